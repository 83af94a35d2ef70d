// The unmodified plugin and SDK of the distribution work on the placement API, with a simulated host behind it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus, exec } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { runOpenstack } from '../support/openstackClient';
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

const environment = (): Record<string, string> => ({
  OS_AUTH_URL: cloud.test.url,
  OS_USERNAME: 'admin',
  OS_PASSWORD: ADMIN_PASSWORD,
  OS_PROJECT_NAME: 'admin',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
  OS_IDENTITY_API_VERSION: '3',
  HOME: directory,
});

/** Runs the client; its output as JSON where it is that, else as text. Version "1" is negotiated by the client. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into output freely
async function openstack(words: string, version = '1'): Promise<any> {
  const stdout = await runOpenstack(['--os-placement-api-version', version, ...words.split(' ')], environment());
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout;
  }
}

const IMAGE = { name: 'tiny', disk_format: 'raw', container_format: 'bare', visibility: 'public' };
const found = { uuid: '' };
const rows = (...names: string[]): { name: string }[] => names.map((name) => ({ name }));

test('providers with inventories and usages, at the version that the client negotiates', async () => {
  const [provider] = await openstack('resource provider list -f json');
  expect(provider).toMatchObject({ name: 'node-1', parent_provider_uuid: null });
  const { uuid } = provider;
  found.uuid = uuid;
  expect(provider.root_provider_uuid).toBe(uuid);
  expect(await openstack(`resource provider show ${uuid} --allocations -f json`)).toMatchObject({ allocations: {} });
  expect(await openstack(`resource provider list --name node-1 --resource VCPU=1 -f json`)).toEqual([provider]);
  expect(await openstack(`resource provider list --forbidden COMPUTE_STATUS_DISABLED -f json`)).toEqual([provider]);
  expect(await openstack(`resource provider inventory list ${uuid} -f json`)).toContainEqual({
    resource_class: 'VCPU',
    allocation_ratio: 8,
    min_unit: 1,
    max_unit: 2147483647,
    reserved: 0,
    step_size: 1,
    total: 64,
    used: 0,
  });
  expect(await openstack(`resource provider inventory show ${uuid} MEMORY_MB -f json`)).toMatchObject({ total: 65536 });
  expect(await openstack(`resource provider usage show ${uuid} -f json`)).toContainEqual({
    resource_class: 'DISK_GB',
    usage: 0,
  });
});

test('inventories are amended, and what the host says otherwise is refused in words', async () => {
  const amend = 'resource provider inventory set --amend --resource VCPU:allocation_ratio=4';
  await openstack(`${amend} --resource MEMORY_MB:reserved=1024 ${found.uuid}`);
  expect(await openstack(`resource provider inventory show ${found.uuid} VCPU -f json`)).toMatchObject({
    allocation_ratio: 4,
    total: 64,
  });
  await openstack(`resource provider inventory class set --total 64 --reserved 2 ${found.uuid} VCPU`);
  expect(await openstack(`resource provider inventory show ${found.uuid} VCPU -f json`)).toMatchObject({
    allocation_ratio: 1,
    reserved: 2,
  });
  await expect(openstack(`resource provider inventory set --amend --resource VCPU=65 ${found.uuid}`)).rejects.toThrow(
    /Unable to set a total of 65 VCPU: the host's agents found 64/,
  );
  await expect(openstack('resource provider create other')).rejects.toThrow(/every host of the cloud is one/);
});

test('traits are made, set on a provider, and deleted', async () => {
  await openstack('trait create CUSTOM_FAST');
  expect(await openstack('trait list --name startswith:CUSTOM -f json')).toEqual(rows('CUSTOM_FAST'));
  expect(await openstack('trait show CUSTOM_FAST -f json')).toEqual({ name: 'CUSTOM_FAST' });
  const set = `resource provider trait set --trait CUSTOM_FAST --trait STORAGE_DISK_SSD ${found.uuid} -f json`;
  expect(await openstack(set)).toEqual(rows('COMPUTE_NODE', 'CUSTOM_FAST', 'HW_ARCH_X86_64', 'STORAGE_DISK_SSD'));
  expect(await openstack(`resource provider trait list ${found.uuid} -f json`)).toHaveLength(4);
  const any = 'resource provider list --required CUSTOM_FAST,HW_CPU_X86_SGX -f json';
  expect(await openstack(any, '1.39')).toHaveLength(1);
  await expect(openstack('trait delete CUSTOM_FAST')).rejects.toThrow(/the host node-1 has it/);
  await openstack(`resource provider trait delete ${found.uuid}`);
  await openstack('trait delete CUSTOM_FAST');
});

test('aggregates of a provider', async () => {
  await openstack('aggregate create rack');
  const headers = { 'openstack-api-version': 'compute 2.41' };
  const { body } = await cloud.test.call('GET', '/compute/v2.1/os-aggregates', { token: cloud.admin, headers });
  const { uuid } = body.aggregates[0];
  const { generation } = await openstack(`resource provider show ${found.uuid} -f json`);
  const set = `resource provider aggregate set --aggregate ${uuid} --generation ${generation} ${found.uuid} -f json`;
  expect(await openstack(set)).toEqual([{ uuid }]);
  expect(await openstack(`resource provider aggregate list ${found.uuid} -f json`)).toEqual([{ uuid }]);
  expect(await openstack(`resource provider list --member-of ${uuid} -f json`)).toHaveLength(1);
});

test('resource classes', async () => {
  await openstack('resource class create CUSTOM_GOLD');
  await openstack('resource class set CUSTOM_GOLD');
  expect(await openstack('resource class list -f json')).toEqual(expect.arrayContaining(rows('VCPU', 'CUSTOM_GOLD')));
  expect(await openstack('resource class show CUSTOM_GOLD -f json')).toEqual({ name: 'CUSTOM_GOLD' });
  await openstack('resource class delete CUSTOM_GOLD');
});

test('allocations and usage of a server, and candidates for another', async () => {
  const call = (method: string, path: string, body: unknown, headers = {}) =>
    cloud.test.call(method, path, { token: cloud.admin, body, headers });
  const image = (await call('POST', '/image/v2/images', IMAGE)).body.id;
  const bytes = { 'content-type': 'application/octet-stream' };
  await call('PUT', `/image/v2/images/${image}/file`, Buffer.alloc(1024), bytes);
  await call('POST', '/compute/v2.1/flavors', { flavor: { name: 'nano', id: 'nano', vcpus: 1, ram: 128, disk: 1 } });
  const server = { name: 's', imageRef: image, flavorRef: 'nano', networks: 'none' };
  const booted = await call('POST', '/compute/v2.1/servers', { server }, { 'openstack-api-version': 'compute 2.79' });
  const { id, tenant_id: project } = (await call('GET', `/compute/v2.1/servers/${booted.body.server.id}`, undefined))
    .body.server;
  const show = async () => openstack(`resource provider allocation show ${id} -f json`, '1.38');
  let claims = await show();
  for (let tries = 0; claims.length === 0 && tries < 10; tries++) claims = await show();
  expect(claims).toEqual([
    expect.objectContaining({
      resource_provider: found.uuid,
      resources: { VCPU: 1, MEMORY_MB: 128, DISK_GB: 1 },
      project_id: project,
      consumer_type: 'INSTANCE',
    }),
  ]);
  expect(await openstack(`resource usage show ${project} -f json`)).toContainEqual({
    resource_class: 'MEMORY_MB',
    usage: 128,
  });
  const asked = '--resource VCPU=2 --resource MEMORY_MB=512';
  for (const version of ['1.10', '1.12', '1.29', '1.39'])
    expect(await openstack(`allocation candidate list ${asked} -f json`, version)).toEqual([
      expect.objectContaining({ allocation: 'VCPU=2,MEMORY_MB=512', 'resource provider': found.uuid }),
    ]);
  const groups = '--group 1 --resource VCPU=1 --group 2 --resource DISK_GB=1';
  expect(await openstack(`allocation candidate list ${groups} -f json`)).toHaveLength(1);
  await expect(openstack(`resource provider allocation delete ${id}`)).rejects.toThrow(/end with them/);
});

/** A program for the SDK, which speaks placement without the client. */
const SDK = `
import openstack
cloud = openstack.connect()
[provider] = cloud.placement.resource_providers(name='node-1')
assert provider.root_provider_id == provider.id and provider.parent_provider_id is None
assert cloud.placement.find_resource_provider('node-1').id == provider.id
assert cloud.placement.get_resource_provider(provider.id).generation == provider.generation
cloud.placement.update_resource_provider(provider, name='node-1')
made = cloud.placement.create_resource_class(name='CUSTOM_SILVER')
assert 'CUSTOM_SILVER' in [one.name for one in cloud.placement.resource_classes()]
assert cloud.placement.get_resource_class('CUSTOM_SILVER').name == 'CUSTOM_SILVER'
cloud.placement.delete_resource_class('CUSTOM_SILVER', ignore_missing=False)
try:
    cloud.placement.create_resource_provider(name='other')
    raise SystemExit('a provider was made')
except openstack.exceptions.HttpException as error:
    print(error.status_code)
`;

test('the SDK', async () => {
  const settings = Object.entries(environment()).map(([key, value]) => `${key}=${value}`);
  const { stdout } = await exec(['env', ...settings, 'python3', '-c', SDK], { timeout: 60_000 });
  expect(stdout.trim()).toBe('403');
});
