// What `cumulet up` makes over the API: run twice, made once; wrong passwords are told apart.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureDemoNetwork, ensureKeypair, ensureOpenDoors } from '../../cli/src/up/firstServer';
import { ensureLanAddresses } from '../../cli/src/up/lanAddresses';
import { ApiError, signIn } from '../../cli/src/up/session';
import { ensureFlavors, ensureImage, ensurePublic, ensureQuota, ensureTenant } from '../../cli/src/up/tenancy';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { qcow2Header } from '../support/qcow2';

let cloud: IdentityCloud;
let directory: string;
beforeAll(async () => {
  cloud = await startIdentity();
  directory = mkdtempSync(join(tmpdir(), 'cumulet-up-'));
});
afterAll(async () => {
  await cloud.stop();
  rmSync(directory, { recursive: true });
});

test('the demo content is made once', async () => {
  const file = join(directory, 'tiny.qcow2');
  writeFileSync(file, qcow2Header());
  const { url } = cloud.test;
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJTLK3TEIEPEZyT/bGf2fNkNdcrB0JNQgKm2Yq7rZpDb me';
  const ids: unknown[] = [];
  for (const round of [1, 2]) {
    const admin = await signIn(url, 'admin', ADMIN_PASSWORD, 'admin');
    expect(await ensureImage(admin, file)).toMatch(round === 1 ? /^tiny, \d+ MB$/ : /there already/);
    expect(await ensureFlavors(admin)).toBe('m1.nano, m1.tiny, m1.small, m1.medium');
    const project = await ensureTenant(admin, 'demo-secret');
    await ensureQuota(admin, project);
    const demo = await signIn(url, 'demo', 'demo-secret', 'demo');
    expect(demo.projectId).toBe(project);
    const external = await ensurePublic(admin, '172.24.4');
    // Something that is reached there now does not move the network that was made.
    const used = round === 1 ? [{ dst: '10.24.0.0/23', dev: 'eth0' }] : [{ dst: '10.24.2.0/24', dev: 'wg0' }];
    ids.push([project, external, await ensureDemoNetwork(demo, external, () => used)]);
    const subnets = await demo.request<{ subnets: object[] }>('network', 'GET', '/subnets?name=demo');
    expect(subnets).toMatchObject({ subnets: [{ cidr: '10.24.2.0/24' }] });
    await ensureOpenDoors(demo);
    expect(await ensureKeypair(demo, key)).toBeUndefined();
  }
  expect(ids[1]).toEqual(ids[0]);
});

test('a range of the LAN becomes a subnet for floating IPs alone, follows changes and goes', async () => {
  const admin = await signIn(cloud.test.url, 'admin', ADMIN_PASSWORD, 'admin');
  const networkId = await ensurePublic(admin, '172.24.4');
  const ensure = (range?: string, cidr = '192.168.7.0/24'): Promise<string | undefined> =>
    ensureLanAddresses(admin, range === undefined ? undefined : { interface: 'eth0', range }, () => cidr);
  const lan = async (): Promise<object[]> =>
    (await admin.request<{ subnets: object[] }>('network', 'GET', '/subnets?name=lan')).subnets;
  const create = async (): Promise<string> => {
    const body = { floatingip: { floating_network_id: networkId } };
    const made = await admin.request<{ floatingip: { floating_ip_address: string } }>(
      'network',
      'POST',
      '/floatingips',
      body,
    );
    return made.floatingip.floating_ip_address;
  };
  const addresses = async (): Promise<string[]> => {
    const listed = await admin.request<{ floatingips: { floating_ip_address: string }[] }>(
      'network',
      'GET',
      '/floatingips',
    );
    return listed.floatingips.map((one) => one.floating_ip_address).sort();
  };
  const before = await create();
  expect(before).toMatch(/^172\.24\.4\./);
  expect(await ensure()).toBeUndefined();
  for (let round = 0; round < 2; round++) expect(await ensure('192.168.7.10 - 192.168.7.11')).toBeUndefined();
  expect(await lan()).toMatchObject([
    { cidr: '192.168.7.0/24', gateway_ip: null, enable_dhcp: false, service_types: ['network:floatingip'] },
  ]);
  expect([await create(), await create()].sort()).toEqual(['192.168.7.10', '192.168.7.11']);
  await expect(create()).rejects.toThrow();
  expect(await ensure('192.168.7.11-192.168.7.12')).toMatch(/^1 floating IPs of the LAN were taken away/);
  expect(await create()).toBe('192.168.7.12');
  expect(await ensure('10.7.0.5-10.7.0.5', '10.7.0.0/16')).toMatch(/^2 floating IPs/);
  expect(await create()).toBe('10.7.0.5');
  expect(await ensure()).toMatch(/^1 floating IPs/);
  expect(await lan()).toEqual([]);
  expect(await addresses()).toEqual([before]);
  for (const { id } of (await admin.request<{ floatingips: { id: string }[] }>('network', 'GET', '/floatingips'))
    .floatingips)
    await admin.request('network', 'DELETE', `/floatingips/${id}`);
  await admin.request('network', 'PUT', `/networks/${networkId}`, { network: { name: 'other' } });
  expect(await ensure()).toBeUndefined();
  await expect(ensure('10.7.0.5-10.7.0.5')).rejects.toThrow('the network public was deleted');
  await admin.request('network', 'PUT', `/networks/${networkId}`, { network: { name: 'public' } });
});

test('the rest of an upload that was interrupted is replaced', async () => {
  const file = join(directory, 'again.qcow2');
  writeFileSync(file, qcow2Header());
  const admin = await signIn(cloud.test.url, 'admin', ADMIN_PASSWORD, 'admin');
  const tiny = async (): Promise<{ id: string; status: string }[]> =>
    (await admin.request<{ images: { id: string; status: string }[] }>('image', 'GET', '/images?name=tiny')).images;
  for (const { id } of await tiny()) await admin.request('image', 'DELETE', `/images/${id}`);
  await admin.request('image', 'POST', '/images', { name: 'tiny', visibility: 'public' });
  const [rest] = await tiny();
  expect(rest).toMatchObject({ status: 'queued' });
  await ensureImage(admin, file);
  const after = await tiny();
  expect(after).toMatchObject([{ status: 'active' }]);
  expect(after[0]?.id).not.toBe(rest?.id);
});

test('a wrong password is an answer with status 401', async () => {
  const refused = signIn(cloud.test.url, 'admin', 'wrong', 'admin');
  await expect(refused).rejects.toBeInstanceOf(ApiError);
  await expect(refused).rejects.toMatchObject({ status: 401 });
});
