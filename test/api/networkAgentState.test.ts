// What hosts see of the network: the change feed, whole states per host, hints.
import { schemaProblem, systemClock, NetworkChanges, type NetworkObject } from '@cumulet/common';
import { newId } from '@cumulet/common';
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import { changes } from '../../controller/src/db/entities/tasks';
import { hintsTold } from '../../controller/src/services/network/hints';
import { networkChanges } from '../../controller/src/services/network/networkChanges';
import { HOST, networkAgentScene } from '../support/networkAgentScene';

/** Milliseconds that the cloud's clock is ahead. */
let later: number;
beforeEach(() => {
  later = 0;
});

const scene = networkAgentScene({ ...systemClock, now: () => systemClock.now() + later });
const { call, network, subnet, port, router, group, external, make, create, bind, release } = scene;
const ofKind = <K extends NetworkObject['kind']>(objects: readonly NetworkObject[], kind: K) =>
  objects.filter((one): one is Extract<NetworkObject, { kind: K }> => one.kind === kind);
const state = async (since = 0, host = HOST) => {
  const answer = await networkChanges(scene.cloud.cloud, host, since);
  expect(schemaProblem(NetworkChanges, answer)).toBeUndefined();
  return answer;
};

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
  await scene.cloud.cloud.db.write((session) => session.delete(changes, { kind: 'network' }));
  await network();
  expect((await state(1)).reload).toBe(true);
});

describe('hints', () => {
  const heardBy = async (host: string, work: () => Promise<unknown>): Promise<number> => {
    // Those of before are told.
    await new Promise((resolve) => setTimeout(resolve, 100));
    let last = 0;
    const subscription = await scene.cloud.cloud.bus.onChanges(host, (sequence) => void (last = sequence));
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

test('a router that found no living host gets one at the next full compare', async () => {
  const agents = (await call('GET', '/agents', undefined, 'admin')).body.agents;
  await call('PUT', `/agents/${agents[0].id}`, { agent: { admin_state_up: false } }, 'admin');
  const { network: outside } = await external();
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  await router();
  expect(gate.availability_zones).toEqual([]);
  const api = createAgentApi(scene.cloud.cloud);
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
    await hintsTold(scene.cloud.cloud);
    const before = scene.cloud.statements.length;
    await state();
    return scene.cloud.statements.length - before;
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
