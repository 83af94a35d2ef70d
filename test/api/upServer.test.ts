// The first server of `cumulet up`, on a simulated host: booted once, replaced when it failed, and what is said when it can't be.
import { HostError } from '@cumulet/common';
import {
  ensureDemoNetwork,
  ensureFloatingIp,
  ensureHello,
  ensureKeypair,
  helloAddress,
} from '../../cli/src/up/firstServer';
import { signIn, type Session } from '../../cli/src/up/session';
import { ensureFlavors, ensurePublic, hostUp, unlessThere, until } from '../../cli/src/up/tenancy';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { ADMIN_PASSWORD } from '../support/identity';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJTLK3TEIEPEZyT/bGf2fNkNdcrB0JNQgKm2Yq7rZpDb';
const OTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFPeLlYyxmLVXjAlbgBg2XN2SSmzYuvJfHFpWIMWPuXe';

let all: CommandCloud;
let admin: Session;
let demo: Session;
let publicId: string;
let networkId: string;

beforeAll(async () => {
  all = await startCommandCloud();
  const { url } = all.cloud.test;
  admin = await signIn(url, 'admin', ADMIN_PASSWORD, 'admin');
  demo = await signIn(url, 'demo', 'demo-secret', 'demo');
  publicId = await ensurePublic(admin, '172.24.4');
  networkId = await ensureDemoNetwork(demo, publicId);
});
afterAll(() => all.stop());
afterEach(() => {
  all.host.before = () => undefined;
});

const boot = (progress: (text: string) => void = () => undefined) => ensureHello(demo, networkId, progress);

/** Everything that is called hello goes. */
async function clear(): Promise<void> {
  const { servers } = await admin.request<{ servers: { id: string }[] }>('compute', 'GET', '/servers?all_tenants=1');
  for (const { id } of servers) await all.ok(`server delete --wait ${id}`);
}

test('what a server needs is named when it is missing', async () => {
  await expect(boot()).rejects.toThrow('flavor m1.nano is not there');
  await ensureFlavors(admin);
  await all.ok('image set --deactivate tiny');
  await expect(boot()).rejects.toThrow('image tiny is not there');
  await all.ok('image set --activate tiny');
});

test("another user's key under the name default is told, the own one again is not", async () => {
  expect(await ensureKeypair(demo, `${KEY} me@here`)).toBeUndefined();
  expect(await ensureKeypair(demo, `${KEY} me@elsewhere`)).toBeUndefined();
  expect(await ensureKeypair(demo, `${OTHER} you@here`)).toMatch(/keypair default .* another user's key/);
});

test('the first server is booted once and gets one floating address', async () => {
  expect(await hostUp(admin)).toBe('node-1');
  expect(await helloAddress(demo)).toBeUndefined();
  const hello = await boot();
  expect(hello).toMatchObject({ name: 'hello', status: 'ACTIVE' });
  expect((await boot()).id).toBe(hello.id);
  expect(await helloAddress(demo)).toEqual({ status: 'ACTIVE', address: undefined });
  const address = await ensureFloatingIp(demo, hello, publicId);
  expect(address).toMatch(/^172\.24\.4\.\d+$/);
  expect(await ensureFloatingIp(demo, hello, publicId)).toBe(address);
  expect(await helloAddress(demo)).toEqual({ status: 'ACTIVE', address });
  await clear();
});

test('a floating IP that nobody uses is taken before another is allocated', async () => {
  const { floatingips } = await demo.request<{ floatingips: object[] }>('network', 'GET', '/floatingips');
  expect(floatingips).toMatchObject([{ port_id: null }]);
  await ensureFloatingIp(demo, await boot(), publicId);
  const after = await demo.request<{ floatingips: object[] }>('network', 'GET', '/floatingips');
  expect(after.floatingips).toHaveLength(1);
  await clear();
});

test('a server without a port can have no address', async () => {
  const { id } = await all.json('server create --image tiny --flavor m1.nano --network none --wait alone');
  await expect(
    ensureFloatingIp(demo, { id, name: 'alone', status: 'ACTIVE', addresses: {} }, publicId),
  ).rejects.toThrow('server alone has no port');
  await clear();
});

test('while it is built, its step is shown', async () => {
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  all.host.before = (kind) => (kind === 'server.ensure' ? held : undefined);
  const shown: string[] = [];
  await boot((text) => {
    shown.push(text);
    go();
  });
  expect(shown[0]).toMatch(/^step \w+/);
  await clear();
});

test('why it failed is told, and the next run replaces it', async () => {
  all.host.before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('broken', 'the machine has no processor', { retryable: false });
  };
  await expect(boot()).rejects.toThrow(/server hello failed: .*the machine has no processor.*; last heard: step \w+/);
  all.host.before = () => undefined;
  const shown: string[] = [];
  expect(await boot((text) => shown.push(text))).toMatchObject({ status: 'ACTIVE' });
  expect(shown).toContain('removing the failed one');
  await clear();
});

test('a server that somebody deletes meanwhile is not waited for', async () => {
  all.host.before = async (kind) => {
    if (kind !== 'server.ensure') return;
    const { servers } = await demo.request<{ servers: { id: string }[] }>('compute', 'GET', '/servers');
    for (const { id } of servers) await demo.request('compute', 'DELETE', `/servers/${id}`);
  };
  await expect(boot()).rejects.toThrow('server hello is gone while it was booting');
});

test('waiting ends with what was waited for', async () => {
  await expect(until('the moon did not rise', 0, () => Promise.resolve(undefined))).rejects.toThrow(
    'the moon did not rise within 0 s',
  );
});

test('only what is there already is passed over', async () => {
  const make = (group: string) =>
    demo.request('network', 'POST', '/security-group-rules', {
      security_group_rule: { security_group_id: group, direction: 'ingress', protocol: 'sctp' },
    });
  const { security_groups } = await demo.request<{ security_groups: { id: string }[] }>(
    'network',
    'GET',
    '/security-groups?name=default',
  );
  const [{ id } = { id: '' }] = security_groups;
  await make(id);
  await unlessThere(make(id));
  await expect(unlessThere(make('00000000-0000-0000-0000-000000000000'))).rejects.toMatchObject({ status: 404 });
});
