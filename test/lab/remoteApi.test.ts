// The unmodified OpenStack client comes over TLS to an address that the machine gets only while the cloud runs.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '@cumulet/common';
import { RemoteApiConfig } from '@cumulet/controller';
import { freePort } from '../support/freePort';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { runOpenstack } from '../support/openstackClient';

/** For documentation only, so that nobody has it. */
const ADDRESS = '198.51.100.77';
const ip = (...words: string[]): Buffer => execFileSync('ip', words, { stdio: 'pipe' });

let cloud: IdentityCloud;
let port: number;
beforeAll(async () => {
  port = await freePort();
  const remote_api = parseConfig(RemoteApiConfig, `{address: ${ADDRESS}, port: ${port}}`, 'test');
  cloud = await startIdentity({ config: { remote_api } });
});
afterAll(async () => {
  await cloud.stop();
  ip('address', 'del', `${ADDRESS}/32`, 'dev', 'lo');
});

const openstack = async (words: string, more: Record<string, string>): Promise<unknown> =>
  JSON.parse(
    await runOpenstack([...words.split(' '), '-f', 'json'], {
      OS_AUTH_URL: `https://${ADDRESS}:${port}/v3`,
      OS_USERNAME: 'admin',
      OS_PASSWORD: ADMIN_PASSWORD,
      OS_PROJECT_NAME: 'admin',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_IDENTITY_API_VERSION: '3',
      ...more,
    }),
  );

test('with the CA it trusts the cloud and finds every service at that address; without, it refuses', async () => {
  ip('address', 'add', `${ADDRESS}/32`, 'dev', 'lo');
  while (cloud.test.controller.remote?.listening().length === 0) await sleep(200);
  const { access } = (await cloud.test.call('GET', '/cumulet/v1/access', { token: cloud.admin })).body;
  const file = join(cloud.test.directory, 'ca.pem');
  writeFileSync(file, access.ca);
  const trusting = { OS_CACERT: file };
  const catalog = (await openstack('catalog list', trusting)) as { Endpoints: { url: string }[] }[];
  const urls = catalog.flatMap((entry) => entry.Endpoints.map(({ url }) => url));
  expect(urls.length).toBeGreaterThan(4);
  for (const url of urls) expect(url).toMatch(new RegExp(`^https://${ADDRESS}:${port}/`));
  expect(await openstack('network list', trusting)).toEqual([]);
  expect(await openstack('image list', trusting)).toEqual([]);
  expect(await openstack('flavor list', trusting)).toEqual(expect.any(Array));
  await expect(openstack('image list', {})).rejects.toThrow(/certificate verify failed/);
});
