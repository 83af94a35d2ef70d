// The unmodified plugin and SDK of the distribution work on the placement API, with a simulated host behind it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus, exec } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';

jest.setTimeout(240_000);
let cloud: IdentityCloud;
let directory: string;
let host: SimulatedHost;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-placement-'));
  const bus = createMemoryBus();
  cloud = await startIdentity({ bus, engine: { kinds: taskKinds, pollMs: 100 } });
  host = createSimulatedHost('node-1', bus, cloud.test.controller.agentApi);
  await host.start();
});
afterAll(async () => {
  await host?.stop();
  await cloud?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const environment = (): string[] =>
  Object.entries({
    OS_AUTH_URL: cloud.test.url,
    OS_USERNAME: 'admin',
    OS_PASSWORD: ADMIN_PASSWORD,
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_IDENTITY_API_VERSION: '3',
    HOME: directory,
  }).map(([key, value]) => `${key}=${value}`);

/** Runs the client; its output as JSON where it is that, else as text. Version "1" is negotiated by the client. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into output freely
async function openstack(words: string, version = '1'): Promise<any> {
  const argv = ['openstack', '--os-placement-api-version', version, ...words.split(' ')];
  const { stdout } = await exec(['env', ...environment(), ...argv], { timeout: 90_000 });
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}

test('providers with inventories and usages', async () => {
  const [provider] = await openstack('resource provider list -f json');
  expect(provider).toMatchObject({ name: 'node-1', parent_provider_uuid: null });
  const { uuid } = provider;
  expect(provider.root_provider_uuid).toBe(uuid);
  expect(await openstack(`resource provider show ${uuid} --allocations -f json`)).toMatchObject({ allocations: {} });
  const inventories = await openstack(`resource provider inventory list ${uuid} -f json`);
  expect(inventories).toContainEqual({
    resource_class: 'VCPU',
    allocation_ratio: 8,
    min_unit: 1,
    max_unit: 2147483647,
    reserved: 0,
    step_size: 1,
    total: 64,
    used: 0,
  });
});
