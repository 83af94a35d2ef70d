// Networks that span hosts, as the feed tells each of them, and which host has a router when hosts fail.
import { newId, silentLogger, type Clock, type NetworkState } from '@cumulet/common';
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import { routers } from '../../controller/src/db/entities/network';
import { agents, hosts } from '../../controller/src/db/entities/tasks';
import { networkChanges } from '../../controller/src/services/network/networkChanges';
import { moveRouters } from '../../controller/src/services/network/routerHosts';
import { createRouterWatch } from '../../controller/src/services/network/routerWatch';
import {
  bindServerPorts,
  createServerPorts,
  releaseServerPorts,
} from '../../controller/src/services/network/serverPorts';
import { hintsTold } from '../../controller/src/services/network/hints';
import { networkCalls } from '../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const { call, network, subnet, router, external, make } = networkCalls(() => cloud);
const UNDERLAY = { a: '10.50.0.1', b: '10.50.0.2', c: '10.50.0.3' } as const;

const register = (host: string, inventory: Record<string, unknown>) =>
  createAgentApi(cloud.cloud).register({ host, role: 'network', inventory });

beforeEach(async () => {
  cloud = await startTestCloud();
  for (const [host, address] of Object.entries(UNDERLAY))
    await register(host, { physical_networks: ['lan'], underlay_address: address, underlay_mtu: 1450 });
});
afterEach(() => cloud.stop());

interface Server {
  readonly id: string;
  readonly mac: string;
}

async function serverOn(host: string, networkId: string): Promise<Server> {
  const id = newId();
  const owner = { projectId: 'demo-project', userId: 'demo-user' };
  const [port] = await cloud.cloud.db.write((session) =>
    createServerPorts(session, cloud.cloud, owner, { id, availabilityZone: 'nova' }, [{ networkId }], []),
  );
  await bind(id, host);
  return { id, mac: port?.mac_address ?? '' };
}

const bind = (server: string, host: string) =>
  cloud.cloud.db.write((session) => bindServerPorts(session, cloud.cloud, server, host));
const release = (server: string) => cloud.cloud.db.write((session) => releaseServerPorts(session, cloud.cloud, server));
const sequence = async (host: string): Promise<number> => (await networkChanges(cloud.cloud, host, 0)).sequence;
const seen = async (host: string, id: string, since = 0): Promise<NetworkState | undefined> => {
  const { objects } = await networkChanges(cloud.cloud, host, since);
  return objects.find((one): one is NetworkState => one.kind === 'network' && one.id === id);
};

/** A router between a tenant's network and the outside on the physical network "lan". */
async function routed() {
  const { network: outside } = await external();
  const net = await network();
  const range = await subnet(net.id);
  const gate = await router();
  await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: range.id });
  const [joined] = (await call('GET', `/ports?device_id=${gate.id}`)).body.ports;
  return { id: gate.id as string, net: net.id as string, outside: outside.id as string, mac: joined.mac_address };
}

const placeOf = async (id: string) => {
  const [row] = await cloud.cloud.db.read((session) => session.find(routers, { where: { id } }));
  return { host: row?.host, generation: row?.generation ?? 0 };

  test('a network agent hears which of its host’s routers another host would get', async () => {
    const { id } = await routed();
    const host = String((await placeOf(id)).host);
    const api = createAgentApi(cloud.cloud);
    const beats = async () => {
      const heard = await Promise.all(Object.keys(UNDERLAY).map((name) => api.heartbeat(name, 'network', 1)));
      return Object.fromEntries(Object.keys(UNDERLAY).map((name, index) => [name, heard[index]?.movable_routers]));
    };
    const nobody = { a: [], b: [], c: [] };
    expect(await beats()).toEqual({ ...nobody, [host]: [id] });
    const others = Object.keys(UNDERLAY).filter((name) => name !== host);
    const [first = '', second = ''] = others;
    const change = (of: string, set: { enabled: boolean }) =>
      cloud.cloud.db.write((session) => session.update(hosts, { name: of }, set));
    // One is disabled, the other lacks the physical network.
    await change(first, { enabled: false });
    await register(second, { physical_networks: [], underlay_address: '10.50.0.9', underlay_mtu: 1450 });
    expect(await api.heartbeat(host, 'network', 1)).toEqual({ movable_routers: [] });
    await change(first, { enabled: true });
    expect(await api.heartbeat(host, 'network', 1)).toEqual({ movable_routers: [id] });
    expect(await api.heartbeat(second, 'network', 2)).toEqual({ movable_routers: [] });
  });
};
const silence = (host: string, at = 0) =>
  cloud.cloud.db.write((session) => session.update(agents, { host }, { heard_at: at }));
const disable = (name: string) =>
  cloud.cloud.db.write((session) => session.update(hosts, { name }, { enabled: false }));

describe('a network on several hosts', () => {
  test('hosts that ask in the same moment get the same, and what is new each time', async () => {
    const api = createAgentApi(cloud.cloud);
    const net = await network();
    await subnet(net.id);
    await serverOn('a', net.id);
    await serverOn('b', net.id);
    const hosts = ['a', 'b'] as const;
    let since = await Promise.all(hosts.map(sequence));
    for (const count of [3, 4]) {
      const { mac } = await serverOn('b', net.id);
      const answers = await Promise.all(hosts.map((host, at) => api.networkChanges(host, since[at] ?? 0)));
      since = answers.map((answer) => answer.sequence);
      for (const { objects, reload } of answers) {
        expect(reload).toBe(false);
        const [told] = objects.filter((one): one is NetworkState => one.kind === 'network');
        expect(told?.dhcp_hosts).toHaveLength(count);
        expect(objects.flatMap((one) => (one.kind === 'security_group' ? [one.members.length] : []))).toEqual([count]);
      }
      const newPort = expect.objectContaining({ kind: 'port', mac });
      expect(answers[0]?.objects).not.toContainEqual(newPort);
      expect(answers[1]?.objects).toContainEqual(newPort);
    }
  });

  test('one that has no subnet is told too', async () => {
    const net = await network();
    const port = { network_id: net.id, 'binding:host_id': 'a', device_id: newId(), device_owner: 'compute:nova' };
    expect((await call('POST', '/ports', { port }, 'admin')).status).toBe(201);
    expect(await seen('a', net.id)).toMatchObject({ subnets: [], dhcp_hosts: [] });
  });

  test('each host knows the others and what is behind them; alone it has no peer', async () => {
    const net = await network();
    expect(net.mtu).toBe(1400);
    await subnet(net.id);
    const one = await serverOn('a', net.id);
    const { body } = await call('GET', `/networks/${net.id}`, undefined, 'admin');
    const vni = body.network['provider:segmentation_id'];
    expect((await seen('a', net.id))?.tunnel).toEqual({ vni, local: UNDERLAY.a, peers: [], entries: [] });
    const two = await serverOn('b', net.id);
    const three = await serverOn('b', net.id);
    const entriesOf = (servers: readonly Server[], peer: string) =>
      expect.arrayContaining(servers.map(({ mac }) => ({ mac, peer })));
    expect((await seen('a', net.id))?.tunnel).toMatchObject({
      local: UNDERLAY.a,
      peers: [UNDERLAY.b],
      entries: entriesOf([two, three], UNDERLAY.b),
    });
    expect((await seen('b', net.id))?.tunnel).toEqual({
      vni,
      local: UNDERLAY.b,
      peers: [UNDERLAY.a],
      entries: [{ mac: one.mac, peer: UNDERLAY.a }],
    });
    expect(await seen('c', net.id)).toBeUndefined();
  });

  test('a server that comes, moves or goes is told to all hosts of its network', async () => {
    const net = await network();
    await subnet(net.id);
    await serverOn('a', net.id);
    let since = await sequence('a');
    const news = async () => {
      const state = await seen('a', net.id, since);
      since = await sequence('a');
      return state?.tunnel?.entries;
    };
    const other = await serverOn('b', net.id);
    expect(await news()).toEqual([{ mac: other.mac, peer: UNDERLAY.b }]);
    await bind(other.id, 'c');
    expect(await news()).toEqual([{ mac: other.mac, peer: UNDERLAY.c }]);
    await release(other.id);
    expect(await news()).toEqual([]);
  });

  test('a host that registers with another underlay address is reached there from then on', async () => {
    const net = await network();
    await subnet(net.id);
    await serverOn('a', net.id);
    await serverOn('b', net.id);
    const since = await sequence('a');
    await register('b', { physical_networks: ['lan'], underlay_address: '10.50.0.22', underlay_mtu: 1450 });
    expect((await seen('a', net.id, since))?.tunnel?.peers).toEqual(['10.50.0.22']);
    const quiet = await sequence('a');
    await register('b', { physical_networks: ['lan'], underlay_address: '10.50.0.22', underlay_mtu: 1450 });
    expect(await sequence('a')).toBe(quiet);
  });

  test.each([undefined, 7, 'eth0', '10.0.0.1 -j ACCEPT', 'fd00::1'])(
    'a host whose underlay address is %p has no tunnel and is nobody’s peer',
    async (underlay_address) => {
      const net = await network();
      await subnet(net.id);
      await serverOn('a', net.id);
      await serverOn('b', net.id);
      await register('b', { ...(underlay_address === undefined ? {} : { underlay_address }) });
      expect((await seen('b', net.id))?.tunnel).toBeNull();
      expect((await seen('a', net.id))?.tunnel?.peers).toEqual([]);
    },
  );

  test('what a host is asked for takes as many queries for many servers as for one', async () => {
    const net = await network();
    await subnet(net.id);
    await serverOn('a', net.id);
    const queries = async (): Promise<number> => {
      await hintsTold(cloud.cloud);
      const before = cloud.statements.length;
      await networkChanges(cloud.cloud, 'a', 0);
      return cloud.statements.length - before;
    };
    const few = await queries();
    for (const host of ['a', 'b', 'b', 'c']) await serverOn(host, net.id);
    expect(await queries()).toBe(few);
  });

  test('the router’s MAC is where the router is', async () => {
    const { id, net, mac } = await routed();
    const { host = '' } = await placeOf(id);
    const elsewhere = host === 'a' ? 'b' : 'a';
    await serverOn(elsewhere, net);
    const peer = UNDERLAY[host as keyof typeof UNDERLAY];
    expect((await seen(elsewhere, net))?.tunnel).toMatchObject({ peers: [peer], entries: [{ mac, peer }] });
  });
});

describe('a router', () => {
  test('moves when its host is silent, once, and everybody is told', async () => {
    const { id, net, mac } = await routed();
    const before = await placeOf(id);
    await serverOn('c', net);
    const host = before.host ?? '';
    const since = await sequence('c');
    await moveRouters(cloud.cloud);
    expect(await placeOf(id)).toEqual(before);
    await silence(host);
    await Promise.all([moveRouters(cloud.cloud), moveRouters(cloud.cloud)]);
    const after = await placeOf(id);
    expect(after.generation).toBe(before.generation + 1);
    expect(after.host).not.toBe(host);
    const peer = UNDERLAY[after.host as keyof typeof UNDERLAY];
    const told = await seen('c', net, since);
    if (after.host === 'c') expect(told?.tunnel?.entries).toEqual([]);
    else expect(told?.tunnel?.entries).toEqual([{ mac, peer }]);
    const { objects } = await networkChanges(cloud.cloud, after.host ?? '', since);
    expect(objects.map((one) => one.id)).toContain(id);
    const old = await networkChanges(cloud.cloud, host, since);
    expect(old.gone).toContainEqual({ kind: 'router', id });
  });

  test('stays when nobody else can take it, and when only others are silent', async () => {
    const { id } = await routed();
    const before = await placeOf(id);
    const others = Object.keys(UNDERLAY).filter((host) => host !== before.host);
    for (const host of others) await silence(host);
    expect(await moveRouters(cloud.cloud)).toBe(true);
    expect(await placeOf(id)).toEqual(before);
    await silence(before.host ?? '');
    expect(await moveRouters(cloud.cloud)).toBe(false);
    expect(await placeOf(id)).toEqual(before);
  });

  test('leaves a disabled host and an agent that is set down, for the host with the fewest routers', async () => {
    const { id } = await routed();
    const first = (await placeOf(id)).host ?? '';
    await disable(first);
    await moveRouters(cloud.cloud);
    const second = (await placeOf(id)).host ?? '';
    expect(second).not.toBe(first);
    const { body } = await call('GET', `/agents?host=${second}`, undefined, 'admin');
    await call('PUT', `/agents/${body.agents[0].id}`, { agent: { admin_state_up: false } }, 'admin');
    await moveRouters(cloud.cloud);
    expect([first, second]).not.toContain((await placeOf(id)).host);
  });

  test('is made on a disabled host when there is no other, and on none that is silent', async () => {
    for (const host of Object.keys(UNDERLAY)) await disable(host);
    const { id } = await routed();
    expect((await placeOf(id)).host).toBe('a');
    for (const host of Object.keys(UNDERLAY)) await silence(host);
    const net = await network();
    const range = await subnet(net.id, { cidr: '10.8.0.0/24' });
    const gate = await router();
    await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: range.id });
    expect((await placeOf(gate.id)).host).toBeNull();
    await silence('b', Date.now());
    await createAgentApi(cloud.cloud).networkChanges('b', 0);
    expect((await placeOf(gate.id)).host).toBe('b');
  });

  test('goes to a host that has its physical network', async () => {
    for (const host of ['a', 'c']) await register(host, { physical_networks: [], underlay_address: UNDERLAY.b });
    const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'lan', 'router:external': true };
    const outside = await make('/networks', 'network', flat, 'admin');
    await subnet(outside.id, { cidr: '203.0.113.0/24', enable_dhcp: false }, 'admin');
    const whole = await router({ external_gateway_info: { network_id: outside.id } });
    expect((await placeOf(whole.id)).host).toBe('b');
    // One that got its gateway later is moved.
    const { id } = await routed();
    expect((await placeOf(id)).host).toBe('a');
    await call('PUT', `/routers/${id}`, { router: { external_gateway_info: { network_id: outside.id } } });
    await moveRouters(cloud.cloud);
    expect((await placeOf(id)).host).toBe('b');
  });
});

describe('the watch', () => {
  /** A clock whose sleeps end when the test says how much later it is. */
  function steps(): { clock: Clock; pass: (milliseconds: number) => Promise<void> } {
    let now = 1_000_000;
    let wake: (() => void) | undefined;
    const sleep: Clock['sleep'] = (_milliseconds, signal) =>
      new Promise((resolve) => {
        const finish = (): void => {
          signal?.removeEventListener('abort', finish);
          resolve();
        };
        wake = finish;
        signal?.addEventListener('abort', finish);
      });
    const clock: Clock = { now: () => now, sleep, tick: sleep };
    const pass = async (milliseconds: number): Promise<void> => {
      now += milliseconds;
      const before = wake;
      before?.();
      while (wake === before) await new Promise((resolve) => setImmediate(resolve));
    };
    return { clock, pass };
  }

  async function watched() {
    const { id } = await routed();
    const { host = '' } = await placeOf(id);
    const { clock, pass } = steps();
    const live = Object.keys(UNDERLAY).filter((one) => one !== host);
    const hear = async (): Promise<void> => {
      for (const one of live) await silence(one, clock.now());
    };
    const watch = createRouterWatch({ ...cloud.cloud, clock, log: silentLogger });
    await silence(host ?? '');
    await hear();
    watch.start();
    const seconds = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        await hear();
        await pass(1_000);
      }
    };
    const moved = async (): Promise<boolean> => (await placeOf(id)).host !== host;
    return { watch, pass, seconds, moved, hear, live };
  }

  test('a host is called down only after this controller could have heard it for a whole time-out', async () => {
    const { watch, seconds, moved } = await watched();
    await seconds(9);
    expect(await moved()).toBe(false);
    await seconds(2);
    expect(await moved()).toBe(true);
    await watch.stop();
  });

  test('after a pause of its own it listens for that long again', async () => {
    const { watch, pass, seconds, moved, hear } = await watched();
    await seconds(8);
    await hear();
    await pass(6_000);
    await seconds(9);
    expect(await moved()).toBe(false);
    await seconds(2);
    expect(await moved()).toBe(true);
    await watch.stop();
  });

  test('after a time in which nobody was heard it listens for that long again', async () => {
    const { watch, pass, seconds, moved, live } = await watched();
    for (const host of live) await silence(host);
    for (let at = 0; at < 15; at++) await pass(1_000);
    await seconds(8);
    expect(await moved()).toBe(false);
    await seconds(4);
    expect(await moved()).toBe(true);
    await watch.stop();
  });
});
