// What hosts and servers see of the network: ports made in a server's transaction, the change feed, whole states per host.
import { schemaProblem, systemClock, NetworkChanges, type NetworkObject } from '@cumulet/common';
import { newId } from '@cumulet/common';
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import { changes, residues } from '../../controller/src/db/entities/tasks';
import { networkChanges } from '../../controller/src/services/network/networkChanges';
import {
  bindServerPorts,
  createServerPorts,
  markPorts,
  releaseServerPort,
  releaseServerPorts,
  type ServerPortRequest,
} from '../../controller/src/services/network/serverPorts';
import { portByAddress, portsOfServer, portsOfServers } from '../../controller/src/services/network/serverPortViews';
import { hintsTold } from '../../controller/src/services/network/hints';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
/** Milliseconds that the cloud's clock is ahead. */
let later: number;
const { call, network, subnet, port, router, group, external, make } = networkCalls(() => cloud);
const owner = { projectId: 'demo-project', userId: 'demo-user' };
const HOST = 'host-a';

const create = (
  serverId: string,
  requests: ServerPortRequest[],
  groups: string[] = [],
  changes: { isAdmin?: boolean } = {},
) =>
  cloud.cloud.db.write((session) =>
    createServerPorts(
      session,
      cloud.cloud,
      { ...owner, ...changes },
      { id: serverId, availabilityZone: 'nova', hostname: 'web' },
      requests,
      groups,
    ),
  );
const bind = (serverId: string, host = HOST) =>
  cloud.cloud.db.write((session) => bindServerPorts(session, cloud.cloud, serverId, host));
const release = (serverId: string) =>
  cloud.cloud.db.write((session) => releaseServerPorts(session, cloud.cloud, serverId));
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing',
    (error: { code: string }) => error.code,
  );
const ofKind = <K extends NetworkObject['kind']>(objects: readonly NetworkObject[], kind: K) =>
  objects.filter((one): one is Extract<NetworkObject, { kind: K }> => one.kind === kind);
const state = async (since = 0, host = HOST) => {
  const answer = await networkChanges(cloud.cloud, host, since);
  expect(schemaProblem(NetworkChanges, answer)).toBeUndefined();
  return answer;
};

beforeEach(async () => {
  later = 0;
  cloud = await startTestCloud({ clock: { ...systemClock, now: () => systemClock.now() + later } });
  const api = createAgentApi(cloud.cloud);
  await api.register({ host: HOST, role: 'network', inventory: { physical_networks: ['lan'], underlay_mtu: 1400 } });
});
afterEach(() => cloud.stop());

test('a server’s port has its address, MAC, default group and name before anything is on a host', async () => {
  const net = await network();
  const range = await subnet(net.id);
  const server = newId();
  const [made] = await create(server, [{ networkId: net.id, tag: 'eth' }]);
  expect(made).toMatchObject({
    server_id: server,
    device_id: server,
    device_owner: 'compute:nova',
    made_for_server: true,
    dns_name: 'web',
    device_tag: 'eth',
    host: '',
  });
  const [seen] = await cloud.cloud.db.read((session) => portsOfServer(session, server));
  expect(seen).toMatchObject({
    network: { name: 'net' },
    securityGroups: [{ name: 'default' }],
    addresses: [{ version: 4, subnet: { id: range.id }, floating: [] }],
  });
  const shown = (await call('GET', `/ports?device_id=${server}`)).body.ports[0];
  expect(shown.fixed_ips).toEqual([{ subnet_id: range.id, ip_address: seen?.addresses[0]?.address }]);
});

test('a server names networks, addresses, ports and groups that its project may use', async () => {
  const net = await network();
  await subnet(net.id);
  const foreign = await network({}, 'other');
  const theirs = await port(foreign.id, {}, 'other');
  const { network: outside } = await external();
  await group({ name: 'twice' });
  await group({ name: 'twice' });
  const web = await group({ name: 'web' });
  const server = newId();
  expect(await codeOf(create(server, [{ networkId: foreign.id }]))).toBe('NetworkNotFound');
  expect(await codeOf(create(server, [{ networkId: outside.id }]))).toBe('NetworkNotFound');
  expect(await codeOf(create(server, [{ portId: theirs.id }]))).toBe('PortNotFound');
  expect(await codeOf(create(server, [{ networkId: net.id }], ['twice']))).toBe('NoUniqueMatch');
  expect(await codeOf(create(server, [{ networkId: net.id }], ['nobody']))).toBe('SecurityGroupNotFound');
  expect(await codeOf(create(server, [{ networkId: net.id, fixedIp: '10.9.9.9' }]))).toBe('InvalidInput');
  expect((await call('GET', '/ports?device_owner=compute:nova')).body.ports).toEqual([]);
  const [made] = await create(server, [{ networkId: net.id, fixedIp: '10.0.0.77' }], ['web', web.id, 'default']);
  const shown = (await call('GET', `/ports/${made?.id}`)).body.port;
  expect(shown.fixed_ips[0].ip_address).toBe('10.0.0.77');
  expect(shown.security_groups).toHaveLength(2);
  expect(await create(newId(), [{ networkId: outside.id }], [], { isAdmin: true })).toHaveLength(1);
  expect(await create(newId(), [])).toEqual([]);
});

test('on a network that is only shared with its project a server does not choose its address', async () => {
  const shared = await network({ shared: true }, 'admin');
  await subnet(shared.id, {}, 'admin');
  expect(await codeOf(create(newId(), [{ networkId: shared.id, fixedIp: '10.0.0.1' }]))).toBe('PolicyNotAuthorized');
  expect(await create(newId(), [{ networkId: shared.id }])).toHaveLength(1);
});

test('a user’s own port is taken once and survives the server', async () => {
  const net = await network();
  await subnet(net.id);
  const mine = await port(net.id, { fixed_ips: [{ ip_address: '10.0.0.109' }] });
  const server = newId();
  expect(await codeOf(create(server, [{ portId: mine.id, fixedIp: '10.0.0.110' }]))).toBe('FixedIpNotFound');
  await create(server, [{ portId: mine.id, fixedIp: '10.0.0.109' }, { networkId: net.id }]);
  expect(await codeOf(create(newId(), [{ portId: mine.id }]))).toBe('PortInUse');
  const held = await call('PUT', `/ports/${mine.id}`, { port: { device_id: '' } });
  expect([held.status, held.body.NeutronError.type]).toEqual([409, 'PortBound']);
  await bind(server);
  const { portIds } = await release(server);
  expect(portIds).toHaveLength(2);
  const left = (await call('GET', '/ports?device_owner=&device_id=')).body.ports;
  expect(left).toMatchObject([{ id: mine.id, device_id: '', status: 'DOWN' }]);
  expect(await release(server)).toEqual({ portIds: [], sequence: 0 });
});

test('one interface of a server is detached alone', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  const [one, two] = await create(server, [{ networkId: net.id }, { networkId: net.id }]);
  const detach = (id: string) => cloud.cloud.db.write((session) => releaseServerPort(session, cloud.cloud, server, id));
  expect((await detach(one?.id ?? '')).portIds).toEqual([one?.id]);
  expect(await detach(one?.id ?? '')).toEqual({ portIds: [], sequence: 0 });
  const left = await cloud.cloud.db.read((session) => portsOfServer(session, server));
  expect(left.map((entry) => entry.port.id)).toEqual([two?.id]);
});

test('writing another server’s id on a port does not put the port on that server', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  await create(server, [{ networkId: net.id }]);
  const foreign = await network({}, 'other');
  await subnet(foreign.id, {}, 'other');
  await port(foreign.id, { device_id: server, device_owner: 'compute:nova' }, 'other');
  expect(await cloud.cloud.db.read((session) => portsOfServer(session, server))).toHaveLength(1);
  expect((await bind(server)).portIds).toHaveLength(1);
});

test('a host gets the network, port, groups and router that belong on it, and another host nothing', async () => {
  const { network: outside, subnet: outsideRange } = await external();
  const net = await network({ dns_domain: 'lab.' });
  expect(net.mtu).toBe(1350);
  const range = await subnet(net.id, {
    dns_nameservers: ['9.9.9.9'],
    host_routes: [{ destination: '10.9.0.0/24', nexthop: '10.0.0.109' }],
  });
  const server = newId();
  const [made] = await create(server, [{ networkId: net.id }]);
  expect((await state()).objects).toEqual([]);
  const { sequence } = await bind(server);
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: range.id });
  const floating = await make('/floatingips', 'floatingip', { floating_network_id: outside.id, port_id: made?.id });
  await call('PUT', `/routers/${gate.id}`, {
    router: { routes: [{ destination: '10.50.0.0/24', nexthop: '10.0.0.200' }] },
  });

  const whole = await state();
  expect(whole.reload).toBe(true);
  expect(whole.sequence).toBeGreaterThan(sequence);
  const networks = ofKind(whole.objects, 'network');
  const inside = networks.find((one) => one.id === net.id);
  const address = floating.fixed_ip_address;
  expect(networks.map((one) => one.id).sort()).toEqual([net.id, outside.id].sort());
  expect(inside).toMatchObject({
    mtu: 1350,
    attachment: { type: 'tenant' },
    dns_domain: 'lab.',
    subnets: [
      { id: range.id, cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1', enable_dhcp: true, dns_nameservers: ['9.9.9.9'] },
    ],
  });
  expect(inside?.dhcp?.addresses).toMatchObject([{ subnet_id: range.id }]);
  expect(inside?.dhcp_hosts).toMatchObject([{ port_id: made?.id, hostname: 'web', addresses: [{ address }] }]);
  expect(ofKind(whole.objects, 'port')).toMatchObject([
    { id: made?.id, network_id: net.id, port_security_enabled: true, fixed_ips: [{ address }] },
  ]);
  const [rules] = ofKind(whole.objects, 'security_group');
  expect(rules?.rules).toHaveLength(4);
  expect(rules?.members).toEqual([address]);
  const [gateway] = ofKind(whole.objects, 'router');
  expect(gateway).toMatchObject({
    id: gate.id,
    interfaces: [{ network_id: net.id, addresses: ['10.0.0.1/24'] }],
    gateway: { network_id: outside.id, next_hops: ['172.24.4.1'], enable_snat: true },
    floating_ips: [{ id: floating.id, floating_address: floating.floating_ip_address, fixed_address: address }],
    routes: [{ destination: '10.50.0.0/24', nexthop: '10.0.0.200' }],
  });
  expect(gateway?.gateway?.addresses[0]).toMatch(/^172\.24\.4\.\d+\/24$/);
  expect(outsideRange.gateway_ip).toBe('172.24.4.1');
  expect((await state(0, 'host-b')).objects).toEqual([]);
});

test('the feed answers what changed since, with what it needs, and what is gone', async () => {
  const net = await network();
  await subnet(net.id);
  const web = await group({ name: 'web' });
  await make('/security-group-rules', 'security_group_rule', {
    security_group_id: web.id,
    direction: 'ingress',
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80,
    remote_group_id: web.id,
  });
  const server = newId();
  await create(server, [{ networkId: net.id }], ['web']);
  let { sequence } = await state();
  const step = async () => {
    // What is young is sent again with an engine whose numbers commit out of order.
    later += 20_000;
    const answer = await state(sequence);
    sequence = answer.sequence;
    expect(answer.reload).toBe(false);
    return {
      objects: answer.objects.map((one) => one.kind).sort(),
      gone: answer.gone.map((one) => one.kind).sort(),
      answer,
    };
  };
  expect(await step()).toMatchObject({ objects: [], gone: [] });
  await bind(server);
  expect((await step()).objects).toEqual(['network', 'port', 'security_group']);
  await make('/security-group-rules', 'security_group_rule', {
    security_group_id: web.id,
    direction: 'ingress',
    protocol: 'icmp',
  });
  expect((await step()).objects).toEqual(['security_group']);
  const guest = await port(net.id);
  expect((await step()).objects).toEqual(['network']);
  await call('PUT', `/ports/${guest.id}`, { port: { security_groups: [web.id] } });
  const joined = await step();
  expect(ofKind(joined.answer.objects, 'security_group').find((one) => one.id === web.id)?.members).toHaveLength(2);
  await release(server);
  expect((await step()).gone).toEqual(expect.arrayContaining(['network', 'port', 'security_group']));
  expect((await state()).objects).toEqual([]);
});

test('a number that the feed does not reach asks for everything', async () => {
  for (let at = 0; at < 3; at++) await network();
  const { sequence } = await state();
  expect((await state(sequence + 100)).reload).toBe(true);
  await cloud.cloud.db.write((session) => session.delete(changes, { kind: 'network' }));
  await network();
  expect((await state(1)).reload).toBe(true);
});

describe('hints', () => {
  const heardBy = async (host: string, work: () => Promise<unknown>): Promise<number> => {
    // Those of before are told.
    await new Promise((resolve) => setTimeout(resolve, 100));
    let last = 0;
    const subscription = await cloud.cloud.bus.onChanges(host, (sequence) => void (last = sequence));
    await work();
    await new Promise((resolve) => setTimeout(resolve, 150));
    await subscription.close();
    return last;
  };
  const made = async () => {
    const net = await network();
    await subnet(net.id);
    const server = newId();
    await create(server, [{ networkId: net.id }]);
    await bind(server);
    return { net, server };
  };
  const now = async (): Promise<number> => (await state()).sequence;

  test('go to the host of the change after its commit', async () => {
    const { net } = await made();
    expect(await heardBy(HOST, () => call('PUT', `/networks/${net.id}`, { network: { mtu: 1300 } }))).toBe(await now());
  });

  test('do not go to hosts that have no part in it', async () => {
    const { net } = await made();
    expect(await heardBy('elsewhere', () => call('PUT', `/networks/${net.id}`, { network: { mtu: 1300 } }))).toBe(0);
    expect(await heardBy(HOST, () => network())).toBe(0);
  });

  test('go to a host that a port has left, and to one whose rules name its group', async () => {
    const { server } = await made();
    const other = await made();
    expect(await heardBy(HOST, () => bind(server, 'elsewhere'))).toBe(await now());
    await release(other.server);
    // Both are in the default group, on different networks.
    const third = await made();
    expect(await heardBy('elsewhere', () => release(third.server))).toBe(await now());
  });

  test('of a router go to all', async () => {
    expect(await heardBy('elsewhere', () => router())).toBe(await now());
  });
});

test('an address group becomes one rule per prefix of the rule’s family', async () => {
  const net = await network();
  await subnet(net.id);
  const list = await make('/address-groups', 'address_group', {
    addresses: ['192.0.2.0/24', '198.51.100.7', 'fd00::/64'],
  });
  const web = await group({ name: 'web' });
  await make('/security-group-rules', 'security_group_rule', {
    security_group_id: web.id,
    direction: 'ingress',
    remote_address_group_id: list.id,
  });
  const server = newId();
  await create(server, [{ networkId: net.id }], ['web']);
  await bind(server);
  const prefixes = async (since?: number) =>
    ofKind((await state(since)).objects, 'security_group').flatMap((one) =>
      one.rules.flatMap((rule) => rule.remote_ip_prefix ?? []),
    );
  expect((await prefixes()).sort()).toEqual(['192.0.2.0/24', '198.51.100.7/32']);
  const { sequence } = await state();
  await call('PUT', `/address-groups/${list.id}/remove_addresses`, { address_group: { addresses: ['192.0.2.0/24'] } });
  expect(await prefixes(sequence)).toEqual(['198.51.100.7/32']);
});

test('a port is ACTIVE when its host has wired it, and says why not', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  const [made] = await create(server, [{ networkId: net.id }]);
  await bind(server);
  const id = made?.id ?? '';
  const mark = (host: string, wired: boolean, fault?: string) =>
    cloud.cloud.db.write((session) =>
      markPorts(session, cloud.cloud, host, [{ id, wired, ...(fault === undefined ? {} : { fault }) }]),
    );
  const status = async () => (await call('GET', `/ports/${id}`)).body.port.status;
  await mark('host-b', true);
  expect(await status()).toBe('DOWN');
  await mark(HOST, true);
  expect(await status()).toBe('ACTIVE');
  const { revision_number: revision } = (await call('GET', `/ports/${id}`)).body.port;
  await mark(HOST, true);
  expect((await call('GET', `/ports/${id}`)).body.port.revision_number).toBe(revision);
  await mark(HOST, false, 'no bridge');
  expect(await status()).toBe('DOWN');
  await cloud.cloud.db.write((session) => markPorts(session, cloud.cloud, HOST, []));
});

test('the caller of the metadata service is found by address, also its link-local one, on its network only', async () => {
  const net = await network();
  await subnet(net.id);
  const other = await network();
  await subnet(other.id);
  const [made] = await create(newId(), [{ networkId: net.id, fixedIp: '10.0.0.105' }]);
  const find = (networkId: string, address: string) =>
    cloud.cloud.db.read(async (session) => (await portByAddress(session, networkId, address))?.id);
  expect(await find(net.id, '10.0.0.105')).toBe(made?.id);
  expect(await find(other.id, '10.0.0.105')).toBeUndefined();
  const [a = '', b = '', c = '', d = '', e = '', f = ''] = (made?.mac_address ?? '').split(':');
  const flipped = (parseInt(a, 16) ^ 2).toString(16);
  expect(await find(net.id, `fe80::${flipped}${b}:${c}ff:fe${d}:${e}${f}`)).toBe(made?.id);
  expect(await find(net.id, 'fe80::1')).toBeUndefined();
});

test('floating addresses go with the port, and many servers need as many queries as one', async () => {
  const { network: outside } = await external();
  const net = await network();
  const range = await subnet(net.id);
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: range.id });
  const servers = [newId(), newId(), newId()];
  for (const server of servers) {
    const [made] = await create(server, [{ networkId: net.id }]);
    await make('/floatingips', 'floatingip', { floating_network_id: outside.id, port_id: made?.id });
  }
  const count = async (ids: string[]) => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    const found = await cloud.cloud.db.read((session) => portsOfServers(session, ids));
    expect([...found.values()].map((list) => list[0]?.addresses[0]?.floating.length)).toEqual(ids.map(() => 1));
    return cloud.statements.length - before;
  };
  expect(await count(servers)).toBe(await count(servers.slice(0, 1)));
  await release(servers[0] ?? '');
  const free = (await call('GET', '/floatingips?status=DOWN')).body.floatingips;
  expect(free).toMatchObject([{ port_id: null, fixed_ip_address: null, router_id: null, port_details: null }]);
});

test('an address that an unreachable host may still use is not given out', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  await create(server, [{ networkId: net.id, fixedIp: '10.0.0.105' }]);
  await bind(server);
  const residue = {
    id: newId(),
    host: HOST,
    resource_type: 'compute',
    resource_id: server,
    generation: 1,
    facts: {},
    created_at: 0,
  };
  await cloud.cloud.db.write((session) => session.insert(residues, residue));
  await release(server);
  const ask = () => call('POST', '/ports', { port: { network_id: net.id, fixed_ips: [{ ip_address: '10.0.0.105' }] } });
  expect((await ask()).body.NeutronError.type).toBe('IpAddressInUse');
  const many = await call('POST', '/ports', { ports: Array.from({ length: 20 }, () => ({ network_id: net.id })) });
  const addresses = many.body.ports.map((row: { fixed_ips: { ip_address: string }[] }) => row.fixed_ips[0]?.ip_address);
  expect(addresses).not.toContain('10.0.0.105');
  await cloud.cloud.db.write((session) => session.delete(residues, { id: residue.id }));
  expect((await ask()).status).toBe(201);
});

test('a router that found no living host gets one at the next full compare', async () => {
  const agents = (await call('GET', '/agents', undefined, 'admin')).body.agents;
  await call('PUT', `/agents/${agents[0].id}`, { agent: { admin_state_up: false } }, 'admin');
  const { network: outside } = await external();
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  await router();
  expect(gate.availability_zones).toEqual([]);
  const api = createAgentApi(cloud.cloud);
  expect(ofKind((await api.networkChanges(HOST, 0)).objects, 'router')).toEqual([]);
  await call('PUT', `/agents/${agents[0].id}`, { agent: { admin_state_up: true } }, 'admin');
  expect(ofKind((await api.networkChanges(HOST, 0)).objects, 'router').map((one) => one.id)).toEqual([gate.id]);
  expect((await call('GET', `/routers/${gate.id}`)).body.router.availability_zones).toEqual(['nova']);
  await call('PUT', `/routers/${gate.id}`, { router: { external_gateway_info: null } });
  expect(ofKind((await api.networkChanges(HOST, 0)).objects, 'router')).toEqual([]);
});

test('a network that is down closes its ports, one that is up again opens them', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  await create(server, [{ networkId: net.id }]);
  await bind(server);
  let { sequence } = await state();
  for (const up of [false, true]) {
    await call('PUT', `/networks/${net.id}`, { network: { admin_state_up: up } });
    const answer = await state(sequence);
    sequence = answer.sequence;
    expect(ofKind(answer.objects, 'port').map((one) => one.admin_state_up)).toEqual([up]);
  }
});

test('a physical network is one that a host maps to a bridge', async () => {
  const flat = (name: string) => ({ 'provider:network_type': 'flat', 'provider:physical_network': name });
  expect((await call('POST', '/networks', { network: flat('moon') }, 'admin')).status).toBe(400);
  const net = await network({ ...flat('lan'), shared: true }, 'admin');
  await subnet(net.id, {}, 'admin');
  const server = newId();
  await create(server, [{ networkId: net.id }]);
  await bind(server);
  expect(ofKind((await state()).objects, 'network')).toMatchObject([
    { attachment: { type: 'physical', physical_network: 'lan' } },
  ]);
});

test('a host’s state needs the same number of queries whatever its size', async () => {
  const net = await network();
  await subnet(net.id);
  const count = async () => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    await state();
    return cloud.statements.length - before;
  };
  const add = async () => {
    const server = newId();
    await create(server, [{ networkId: net.id }]);
    await bind(server);
  };
  await add();
  const few = await count();
  for (let at = 0; at < 5; at++) await add();
  expect(await count()).toBe(few);
});
