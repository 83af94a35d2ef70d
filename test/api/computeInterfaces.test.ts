// Interfaces of a server that exists: what is answered, what is refused, what other tenants see, and what the host ends up with.
import { HostError } from '@cumulet/common';
import { servers } from '../../controller/src/db/entities/compute';
import { ports } from '../../controller/src/db/entities/network';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import type { Answer } from '../support/testCloud';

let world: CloudWithHost;
let id: string;
let demo: string;
let second: string;
let count = 0;

const call = (
  method: string,
  path: string,
  { body, version = '2.1', token = 'demo' }: { body?: unknown; version?: string; token?: string } = {},
): Promise<Answer> =>
  world.test.call(method, path, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    ...(body === undefined ? {} : { body }),
  });
const server = (path = ''): string => `/compute/v2.1/servers/${id}${path}`;
const attach = (wanted?: object, more: { version?: string; token?: string } = {}): Promise<Answer> =>
  call('POST', server('/os-interface'), { body: wanted ? { interfaceAttachment: wanted } : {}, ...more });
const detach = (port: string, more: { token?: string } = {}): Promise<Answer> =>
  call('DELETE', server(`/os-interface/${port}`), more);
const interfaces = async (): Promise<{ port_id: string; net_id: string; fixed_ips: { ip_address: string }[] }[]> =>
  (await call('GET', server('/os-interface'))).body.interfaceAttachments;
const action = (body: object, more: { version?: string; token?: string } = {}): Promise<Answer> =>
  call('POST', server('/action'), { body, ...more });
async function makeNetwork(name: string, cidr: string, token = 'demo'): Promise<string> {
  const { network } = (await call('POST', '/network/v2.0/networks', { body: { network: { name } }, token })).body;
  const subnet = { network_id: network.id, ip_version: 4, cidr };
  await call('POST', '/network/v2.0/subnets', { body: { subnet }, token });
  return network.id as string;
}
const makePort = async (network: string, more: object = {}, token = 'demo') =>
  (await call('POST', '/network/v2.0/ports', { body: { port: { network_id: network, ...more } }, token })).body.port;

beforeAll(async () => {
  world = await startCloudWithHost();
  await world.startEngine();
  demo = (await call('GET', '/network/v2.0/networks?name=demo')).body.networks[0].id;
});
afterAll(() => world.stop());
beforeEach(async () => {
  second = await makeNetwork(`second-${++count}`, `10.${count}.0.0/24`);
  id = await world.boot('hello', { networks: [{ uuid: demo }] });
  await world.settled();
});
afterEach(async () => {
  await call('DELETE', server());
  await world.settled();
  await call('DELETE', `/network/v2.0/networks/${second}`);
});

test('a port on a network is made, shown, wired and plugged in before the answer, and deleted by the detach', async () => {
  const answer = await attach({ net_id: second });
  expect([answer.status, answer.body]).toEqual([
    200,
    {
      interfaceAttachment: {
        net_id: second,
        port_id: expect.any(String),
        mac_addr: expect.stringMatching(/^fa:16:3e/),
        port_state: 'ACTIVE',
        fixed_ips: [{ ip_address: expect.stringMatching(/^10\.\d+\.0\./), subnet_id: expect.any(String) }],
      },
    },
  ]);
  const { port_id } = answer.body.interfaceAttachment;
  expect((await interfaces()).map((one) => one.net_id)).toEqual([demo, second]);
  expect(world.host.interfaces.get(id)?.[1]).toBe(port_id);
  const port = (await call('GET', `/network/v2.0/ports/${port_id}`)).body.port;
  expect(port).toMatchObject({ device_id: id, device_owner: 'compute:nova', security_groups: [expect.any(String)] });
  const gone = await detach(port_id);
  expect([gone.status, gone.body]).toEqual([202, '']);
  await world.settled();
  expect(world.host.interfaces.get(id)).not.toContain(port_id);
  expect((await call('GET', `/network/v2.0/ports/${port_id}`)).status).toBe(404);
  const actions = (await call('GET', server('/os-instance-actions'))).body.instanceActions;
  expect(actions.map((one: { action: string }) => one.action)).toEqual([
    'detach_interface',
    'attach_interface',
    'create',
  ]);
  await world.expectClean();
});

test('a port of the user comes after the others whatever its age, and is free again after the detach', async () => {
  const port = await makePort(second);
  id = await (async () => {
    await call('DELETE', server());
    return world.boot('younger', { networks: [{ uuid: demo }] });
  })();
  await world.settled();
  const answer = await attach({ port_id: port.id, tag: 'data' }, { version: '2.49' });
  expect([answer.status, answer.body.interfaceAttachment.port_id]).toEqual([200, port.id]);
  expect(answer.body.interfaceAttachment).not.toHaveProperty('tag');
  expect((await interfaces())[1]?.port_id).toBe(port.id);
  expect(world.host.interfaces.get(id)?.[1]).toBe(port.id);
  const shown = await call('GET', server(`/os-interface/${port.id}`), { version: '2.70' });
  expect(shown.body.interfaceAttachment.tag).toBe('data');
  expect((await attach({ port_id: port.id })).body.conflictingRequest.message).toBe(`Port ${port.id} is still in use.`);
  await detach(port.id);
  await world.settled();
  const left = (await call('GET', `/network/v2.0/ports/${port.id}`)).body.port;
  expect(left).toMatchObject({ device_id: '', device_owner: '', status: 'DOWN' });
  await call('DELETE', `/network/v2.0/ports/${port.id}`);
});

test('a port that is deleted under its server is unplugged at once, and beside other work by that', async () => {
  const [one, two] = [await makePort(second), await makePort(second)];
  for (const port of [one, two]) expect((await attach({ port_id: port.id })).status).toBe(200);
  expect(world.host.interfaces.get(id)).toHaveLength(3);
  expect((await call('DELETE', `/network/v2.0/ports/${one.id}`)).status).toBe(204);
  await world.settled();
  expect(world.host.interfaces.get(id)).toHaveLength(2);
  expect(await interfaces()).toHaveLength(2);
  expect((await call('GET', server('/os-instance-actions'))).body.instanceActions[0].action).toBe('detach_interface');
  expect((await action({ reboot: { type: 'HARD' } })).status).toBe(202);
  expect((await call('DELETE', `/network/v2.0/ports/${two.id}`)).status).toBe(204);
  await world.settled();
  expect((await call('GET', server())).body.server.status).toBe('ACTIVE');
  expect((await action({ 'os-stop': null })).status).toBe(202);
  await world.settled();
  expect(world.host.interfaces.get(id)).toHaveLength(1);
  expect((await call('GET', `/network/v2.0/ports/${two.id}`)).status).toBe(404);
  await world.expectClean();
});

test('a named address is taken; one in use is a conflict, one of another network is not', async () => {
  const ip = (last: number) => ({ net_id: second, fixed_ips: [{ ip_address: `10.${count}.0.${last}` }] });
  expect((await attach(ip(77))).body.interfaceAttachment.fixed_ips).toMatchObject([{ ip_address: `10.${count}.0.77` }]);
  expect((await attach(ip(77))).body.conflictingRequest.code).toBe(409);
  expect((await attach({ net_id: second, fixed_ips: [{ ip_address: '192.0.2.1' }] })).body.badRequest.code).toBe(400);
});

test('without a word the only network is taken; with several it is a bad request', async () => {
  expect((await attach()).body.badRequest.message).toContain('More than one possible network found');
  await call('DELETE', `/network/v2.0/networks/${second}`);
  expect((await attach({})).body.interfaceAttachment.net_id).toBe(demo);
});

test('interfaces that clients change at once come one after the other', async () => {
  const answers = await Promise.all([attach({ net_id: second }), attach({ net_id: second }), attach({ net_id: demo })]);
  expect(answers.map((one) => one.status)).toEqual([200, 200, 200]);
  const all = await interfaces();
  expect(all).toHaveLength(4);
  const gone = await Promise.all(all.slice(1).map((one) => detach(one.port_id)));
  expect(gone.map((one) => one.status)).toEqual([202, 202, 202]);
  await world.settled();
  expect(await interfaces()).toHaveLength(1);
});

test('interfaces stay over a hard reboot, stop and start, and a rebuild, in their order', async () => {
  await attach({ net_id: second });
  const before = (await interfaces()).map((one) => one.port_id);
  const image = (await call('GET', server())).body.server.image.id;
  for (const body of [
    { reboot: { type: 'HARD' } },
    { 'os-stop': null },
    { 'os-start': null },
    { rebuild: { imageRef: image } },
  ]) {
    expect((await action(body)).status).toBe(202);
    await world.settled();
    expect(world.host.interfaces.get(id)).toEqual(before);
  }
});

test('what the host can’t attach is told, and nothing of it stays', async () => {
  world.host.before = (kind) => {
    world.host.before = () => undefined;
    if (kind === 'server.ensure') return;
    throw new HostError('no_bridge', 'the port could not be wired', { retryable: false });
  };
  const answer = await attach({ net_id: second });
  expect(answer.status).toBe(500);
  expect(answer.body.computeFault.message).toContain('the port could not be wired');
  expect(await interfaces()).toHaveLength(1);
  const [last] = (await call('GET', server('/os-instance-actions'))).body.instanceActions;
  expect(last).toMatchObject({ action: 'attach_interface', message: 'Error' });
  await world.expectClean();
});

test('an interface that its guest keeps stays the server’s, and the action says why', async () => {
  const [one] = await interfaces();
  world.host.before = (kind) => {
    if (kind !== 'server.ensure') return;
    throw new HostError('interface_in_use', 'the guest did not let the interface go', { retryable: false });
  };
  expect((await detach(one?.port_id ?? '')).status).toBe(202);
  await world.settled();
  world.host.before = () => undefined;
  expect(await interfaces()).toHaveLength(1);
  const [last] = (await call('GET', server('/os-instance-actions'))).body.instanceActions;
  expect(last).toMatchObject({ action: 'detach_interface', message: 'Error' });
});

const UNKNOWN = '99999999-9999-4999-8999-999999999999';
test.each([
  ['an unknown port', { port_id: UNKNOWN }, 404],
  ['an unknown network', { net_id: UNKNOWN }, 404],
  ['both', { net_id: UNKNOWN, port_id: UNKNOWN }, 400],
  ['an address without a network', { fixed_ips: [{ ip_address: '10.0.0.9' }] }, 400],
  ['no uuid', { net_id: 'demo' }, 400],
  ['two addresses', { net_id: UNKNOWN, fixed_ips: [{ ip_address: '10.0.0.9' }, { ip_address: '10.0.0.8' }] }, 400],
  ['no address', { net_id: UNKNOWN, fixed_ips: [] }, 400],
  ['a name for an address', { net_id: UNKNOWN, fixed_ips: [{ ip_address: 'ten' }] }, 400],
  ['an unknown key', { net_id: UNKNOWN, colour: 'red' }, 400],
  ['a tag before 2.49', { net_id: UNKNOWN, tag: 'x' }, 400],
])('%s is refused', async (_name, wanted, status) => {
  expect((await attach(wanted)).status).toBe(status);
});

test('a tag with a comma, a body of another kind, an unknown port to detach', async () => {
  expect((await attach({ net_id: second, tag: 'a,b' }, { version: '2.49' })).status).toBe(400);
  expect((await call('POST', server('/os-interface'), { body: { colour: 'red' } })).status).toBe(400);
  expect((await detach(UNKNOWN)).body.itemNotFound.message).toContain(UNKNOWN);
});

test('the state, a lock and other work on the server are conflicts; the port quota is forbidden', async () => {
  const set = (change: object) =>
    world.test.cloud.db.write((session) => session.update(servers, { id }, change as Partial<{ locked: boolean }>));
  const [own] = await interfaces();
  for (const change of [{ vm_state: 'suspended' }, { task_state: 'rebooting' }, { locked: true, locked_by: 'owner' }]) {
    await set(change);
    expect((await attach({ net_id: second })).body.conflictingRequest.code).toBe(409);
    expect((await detach(own?.port_id ?? '')).body.conflictingRequest.code).toBe(409);
    await set({ vm_state: 'active', task_state: null, locked: false, locked_by: null });
  }
  const quota = (port: number) =>
    call('PUT', '/network/v2.0/quotas/demo-project', { body: { quota: { port } }, token: 'admin' });
  await quota(0);
  expect((await attach({ net_id: second })).body.forbidden.code).toBe(403);
  await quota(-1);
});

test('networks and ports of another tenant are not found, its external network is forbidden, a bare one is no use', async () => {
  const theirs = await makeNetwork('theirs', '10.200.0.0/24', 'other');
  const port = await makePort(theirs, {}, 'other');
  expect((await attach({ net_id: theirs })).status).toBe(404);
  expect((await attach({ port_id: port.id })).status).toBe(404);
  const external = { network: { name: 'outside', 'router:external': true } };
  const outside = (await call('POST', '/network/v2.0/networks', { body: external, token: 'admin' })).body.network.id;
  expect((await attach({ net_id: outside })).status).toBe(403);
  const bare = (await call('POST', '/network/v2.0/networks', { body: { network: {} } })).body.network.id;
  expect((await attach({ net_id: bare })).body.badRequest.message).toContain('requires a subnet');
  await call('DELETE', `/network/v2.0/networks/${bare}`);
});

test('a second tenant finds no server, a reader may not change it', async () => {
  const [own] = await interfaces();
  for (const [token, status] of [
    ['other', 404],
    ['reader', 403],
  ] as const) {
    expect((await attach({ net_id: second }, { token })).status).toBe(status);
    expect((await detach(own?.port_id ?? '', { token })).status).toBe(status);
    expect((await action({ addFixedIp: { networkId: demo } }, { token })).status).toBe(status);
    expect((await action({ removeFixedIp: { address: '10.0.0.9' } }, { token })).status).toBe(status);
  }
});

describe('fixed addresses', () => {
  const addresses = async (): Promise<string[]> =>
    (await interfaces()).flatMap((one) => one.fixed_ips.map((fixed) => fixed.ip_address));

  test('are added to and taken from the port on the network', async () => {
    const added = await action({ addFixedIp: { networkId: demo } });
    expect([added.status, added.body]).toEqual([202, '']);
    const [first, more] = await addresses();
    expect(await addresses()).toHaveLength(2);
    expect((await action({ removeFixedIp: { address: more } }, { version: '2.43' })).status).toBe(202);
    expect(await addresses()).toEqual([first]);
    const names = (await call('GET', server('/os-instance-actions'))).body.instanceActions;
    expect(names.map((one: { action: string }) => one.action)).toEqual(
      expect.arrayContaining(['addFixedIp', 'removeFixedIp']),
    );
  });

  test('beside automatic IPv6 addresses', async () => {
    const automatic = { ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac', ip_version: 6, cidr: 'fd00:1::/64' };
    await call('POST', '/network/v2.0/subnets', { body: { subnet: { network_id: second, ...automatic } } });
    await attach({ net_id: second });
    expect((await action({ addFixedIp: { networkId: second } })).status).toBe(202);
    expect((await interfaces())[1]?.fixed_ips).toHaveLength(3);
  });

  test.each([
    [{ addFixedIp: { networkId: UNKNOWN } }, 404],
    [{ addFixedIp: {} }, 400],
    [{ addFixedIp: { networkId: '' } }, 400],
    [{ addFixedIp: { networkId: UNKNOWN, more: 1 } }, 400],
    [{ removeFixedIp: { address: '192.0.2.9' } }, 400],
    [{ removeFixedIp: { address: 'ten' } }, 400],
    [{ removeFixedIp: {} }, 400],
  ])('%j is %i', async (body, status) => {
    expect((await action(body)).status).toBe(status);
  });

  test('have no actions from 2.44 on, and none on a locked server', async () => {
    expect((await action({ addFixedIp: { networkId: demo } }, { version: '2.44' })).status).toBe(400);
    expect((await action({ removeFixedIp: { address: '10.0.0.2' } }, { version: '2.44' })).status).toBe(400);
    await action({ lock: null });
    expect((await action({ addFixedIp: { networkId: demo } })).status).toBe(409);
    expect((await action({ removeFixedIp: { address: '10.0.0.2' } })).status).toBe(409);
    await action({ unlock: null });
  });
});

test('the order of a new server’s interfaces is the order of the request', async () => {
  const early = await makePort(second);
  const other = await world.boot('ordered', { networks: [{ uuid: demo }, { port: early.id }, { uuid: demo }] });
  await world.settled();
  const rows = await world.test.cloud.db.read((session) =>
    session.find(ports, { where: { server_id: other }, order: { device_position: 'ASC' } }),
  );
  expect(rows[1]?.id).toBe(early.id);
  expect(world.host.interfaces.get(other)).toEqual(rows.map((row) => row.id));
  await call('DELETE', `/compute/v2.1/servers/${other}`);
  await world.settled();
  await call('DELETE', `/network/v2.0/ports/${early.id}`);
});
