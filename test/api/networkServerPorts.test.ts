// The ports of servers: made in a server's transaction, wired by its host, found by address, released with what goes with them.
import { newId } from '@cumulet/common';
import { In } from '../../controller/src/db';
import { ports } from '../../controller/src/db/entities/network';
import { residues } from '../../controller/src/db/entities/tasks';
import { hintsTold } from '../../controller/src/services/network/hints';
import { reportPorts } from '../../controller/src/services/network/portReports';
import { bindServerPorts, releaseServerPort } from '../../controller/src/services/network/serverPorts';
import { portByAddress, portsOfServer, portsOfServers } from '../../controller/src/services/network/serverPortViews';
import { HOST, networkAgentScene } from '../support/networkAgentScene';

const scene = networkAgentScene();
const { call, network, subnet, port, router, group, external, make, create, bind, release } = scene;
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing',
    (error: { code: string }) => error.code,
  );

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
  const [seen] = await scene.cloud.cloud.db.read((session) => portsOfServer(session, server));
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
  const detach = (id: string) =>
    scene.cloud.cloud.db.write((session) => releaseServerPort(session, scene.cloud.cloud, server, id));
  expect((await detach(one?.id ?? '')).portIds).toEqual([one?.id]);
  expect(await detach(one?.id ?? '')).toEqual({ portIds: [], sequence: 0 });
  const left = await scene.cloud.cloud.db.read((session) => portsOfServer(session, server));
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
  expect(await scene.cloud.cloud.db.read((session) => portsOfServer(session, server))).toHaveLength(1);
  expect((await bind(server)).portIds).toHaveLength(1);
});

test('a port is ACTIVE when its host has wired it, and says why not', async () => {
  const net = await network();
  await subnet(net.id);
  const server = newId();
  const [made] = await create(server, [{ networkId: net.id }]);
  await bind(server);
  const id = made?.id ?? '';
  const mark = (host: string, wired: boolean, fault?: string) =>
    reportPorts(scene.cloud.cloud, host, [{ id, wired, ...(fault === undefined ? {} : { fault }) }]);
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
  await reportPorts(scene.cloud.cloud, HOST, []);
});

test('hosts that report together are written together, each for its own ports', async () => {
  const { cloud, statements } = scene.cloud;
  const net = await network();
  await subnet(net.id);
  const made = await Promise.all(
    ['host-b', 'host-c', HOST].map(async (host) => {
      const server = newId();
      const [port] = await create(server, [{ networkId: net.id }]);
      await cloud.db.write((session) => bindServerPorts(session, cloud, server, host));
      return { host, id: port?.id ?? '' };
    }),
  );
  const [b = '', c = '', own = ''] = made.map(({ id }) => id);
  const revisionOf = async (id: string): Promise<number> =>
    (await call('GET', `/ports/${id}`)).body.port.revision_number;
  const before = await Promise.all([b, c, own].map(revisionOf));
  statements.length = 0;
  await Promise.all([
    reportPorts(cloud, 'host-b', [
      { id: b, wired: true },
      { id: own, wired: false, fault: 'not mine' },
    ]),
    reportPorts(cloud, 'host-c', [{ id: c, wired: true }]),
    reportPorts(cloud, HOST, [{ id: own, wired: false }]),
    reportPorts(cloud, HOST, [{ id: own, wired: false, fault: 'no bridge' }]),
  ]);
  // Of the ports only: hints about what was made before, which hosts they go to, may still be on their way.
  expect(statements.filter((sql) => /^(SELECT (?!DISTINCT).*FROM|UPDATE) .port. /.test(sql))).toHaveLength(3);
  const shown = await cloud.db.read((session) => session.find(ports, { where: { id: In([b, c, own]) } }));
  expect(Object.fromEntries(shown.map(({ id, status, fault }) => [id, [status, fault]]))).toEqual({
    [b]: ['ACTIVE', null],
    [c]: ['ACTIVE', null],
    [own]: ['DOWN', 'no bridge'],
  });
  expect(await Promise.all([b, c, own].map(revisionOf))).toEqual(before.map((one) => one + 1));
});

test('the caller of the metadata service is found by address, also its link-local one, on its network only', async () => {
  const net = await network();
  await subnet(net.id);
  const other = await network();
  await subnet(other.id);
  const [made] = await create(newId(), [{ networkId: net.id, fixedIp: '10.0.0.105' }]);
  const find = (networkId: string, address: string) =>
    scene.cloud.cloud.db.read(async (session) => (await portByAddress(session, networkId, address))?.id);
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
    await hintsTold(scene.cloud.cloud);
    const before = scene.cloud.statements.length;
    const found = await scene.cloud.cloud.db.read((session) => portsOfServers(session, ids));
    expect([...found.values()].map((list) => list[0]?.addresses[0]?.floating.length)).toEqual(ids.map(() => 1));
    return scene.cloud.statements.length - before;
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
  await scene.cloud.cloud.db.write((session) => session.insert(residues, residue));
  await release(server);
  const ask = () => call('POST', '/ports', { port: { network_id: net.id, fixed_ips: [{ ip_address: '10.0.0.105' }] } });
  expect((await ask()).body.NeutronError.type).toBe('IpAddressInUse');
  const many = await call('POST', '/ports', { ports: Array.from({ length: 20 }, () => ({ network_id: net.id })) });
  const addresses = many.body.ports.map((row: { fixed_ips: { ip_address: string }[] }) => row.fixed_ips[0]?.ip_address);
  expect(addresses).not.toContain('10.0.0.105');
  await scene.cloud.cloud.db.write((session) => session.delete(residues, { id: residue.id }));
  expect((await ask()).status).toBe(201);
});
