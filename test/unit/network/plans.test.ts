// Desired state against observed state: which links, rules and namespaces are made, changed and removed, and what is a fault.
import { parseConfig, type NetworkObject, type NetworkState, type PortState, type RouterState } from '@cumulet/common';
import { NetworkAgentConfig } from '@cumulet/network-agent';
import { cutOffPorts } from '../../../network-agent/src/cutOff';
import { applyChanges, nothingDesired, type Desired } from '../../../network-agent/src/desired';
import { FIRST_ZONE } from '../../../network-agent/src/firewall/zones';
import {
  foreignBridges,
  ownerOfLink,
  planLinks,
  type LinkStep,
  type ObservedLink,
} from '../../../network-agent/src/linkPlan';
import { desiredLinks } from '../../../network-agent/src/links';
import { bridgeName, dhcpLinkName, gatewayLinkName, routerLinkName, tapName } from '../../../network-agent/src/names';
import { emptyNamespace, planNamespace, type ObservedNamespace } from '../../../network-agent/src/namespacePlan';
import { noRules, planRules, type Wiring } from '../../../network-agent/src/rulesPlan';
import { rule, securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

const config: NetworkAgentConfig = {
  ...parseConfig(NetworkAgentConfig, '{}', 'test'),
  physical_networks: { lan: 'br-lan', public: 'cml-ext' },
};
const EXTERNAL = { bridge: 'cml-ext', address: '172.24.4.1/24' };

const desire = (...objects: NetworkObject[]): Desired =>
  applyChanges(nothingDesired, { sequence: 1, reload: true, objects, gone: [] });

const group = securityGroup([rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 22 })]);
const network = tenantNetwork();
const port = serverPort(network, '10.0.0.5', [group.id]);

function router(over: Partial<RouterState> = {}): RouterState {
  return {
    kind: 'router',
    id: 'aaaaaaaa-0000-4000-8000-000000000001',
    admin_state_up: true,
    interfaces: [
      {
        port_id: 'aaaaaaaa-0000-4000-8000-000000000002',
        network_id: network.id,
        mac: 'fa:16:3e:aa:00:01',
        addresses: ['10.0.0.1/24'],
      },
    ],
    gateway: null,
    floating_ips: [],
    routes: [],
    ...over,
  };
}

const link = (name: string, over: Partial<ObservedLink> = {}): ObservedLink => ({
  name,
  alias: '',
  kind: 'tun',
  master: undefined,
  mtu: 1350,
  up: true,
  carrier: true,
  ...over,
});

const observed = (links: readonly ObservedLink[] = [], namespaces: readonly string[] = []) => ({
  links: new Map(links.map((one) => [one.name, one])),
  namespaces: new Set(namespaces),
  forwarding: new Map(),
});

const text = (steps: readonly LinkStep[]): string[] => steps.flatMap((step) => step.lines);

describe('the change feed', () => {
  test('objects replace each other, gone ones go, a reload forgets the rest', () => {
    const all = desire(network, port, group, router());
    expect([all.networks.size, all.ports.size, all.groups.size, all.routers.size]).toEqual([1, 1, 1, 1]);
    const gone = (['network', 'port', 'security_group', 'router'] as const).map((kind, at) => ({
      kind,
      id: [network.id, port.id, group.id, router().id][at] ?? '',
    }));
    const empty = applyChanges(all, { sequence: 2, reload: false, objects: [], gone });
    expect(empty).toEqual(nothingDesired);
    const changed = applyChanges(all, {
      sequence: 2,
      reload: false,
      objects: [{ ...port, admin_state_up: false }],
      gone: [],
    });
    expect(changed.ports.get(port.id)?.admin_state_up).toBe(false);
    expect(applyChanges(all, { sequence: 3, reload: true, objects: [network], gone: [] }).ports.size).toBe(0);
  });
});

describe('links', () => {
  const plan = (desired: Desired, now = observed(), external: typeof EXTERNAL | null = null) =>
    planLinks(desiredLinks(desired, config), now, external, 'cml');

  test('on an empty host: bridge, tap and the DHCP server’s veth, wired only afterwards', () => {
    const { create, wire, zones, faults, remove } = plan(desire(network, port));
    const [bridge, tap, veth] = [bridgeName(network.id), tapName(port.id), dhcpLinkName(network.dhcp?.port_id ?? '')];
    expect(text(create)[0]).toMatch(new RegExp(`^link add name ${bridge} address 0e:.* mtu 1350 type bridge`));
    expect(text(create)).toContain(`tuntap add dev ${tap} mode tap vnet_hdr`);
    expect(text(create)).toContain(`netns add cml-dhcp-${network.id}`);
    expect(text(create)).toContain(`link set dev ${bridge} alias "${network.id} zone=${FIRST_ZONE}" addrgenmode none`);
    expect(text(wire)).toEqual([
      `link set dev ${bridge} up`,
      `link set dev ${tap} master ${bridge} up`,
      `link set dev ${veth} master ${bridge} up`,
    ]);
    expect([...zones]).toEqual([[bridge, FIRST_ZONE]]);
    expect(faults.size + remove.length).toBe(0);
  });

  const [bridge, tap, veth] = [bridgeName(network.id), tapName(port.id), dhcpLinkName(network.dhcp?.port_id ?? '')];
  const there = [
    link(bridge, { kind: 'bridge', alias: `${network.id} zone=20000` }),
    link(tap, { alias: port.id, master: bridge }),
    link(veth, { alias: network.dhcp?.port_id ?? '', master: bridge, kind: 'veth' }),
  ];

  test('what is there already needs nothing, and keeps its zone', () => {
    const { create, wire, remove, zones, namespaces } = plan(
      desire(network, port),
      observed(there, [`cml-dhcp-${network.id}`]),
    );
    expect([...create, ...wire, ...remove, ...namespaces]).toEqual([]);
    expect(zones.get(bridge)).toBe(20000);
  });

  test('an MTU that differs is set, a port off its bridge is put back, a bridge that is down goes up', () => {
    const differs = there.map((one) => ({
      ...one,
      mtu: 1400,
      up: false,
      master: one.kind === 'tun' ? undefined : one.master,
    }));
    const { create, wire } = plan(desire(network, port), observed(differs, [`cml-dhcp-${network.id}`]));
    expect(text(create)).toEqual([
      `link set dev ${bridge} mtu 1350`,
      `link set dev ${tap} mtu 1350`,
      `link set dev ${veth} mtu 1350`,
    ]);
    expect(text(wire)).toContain(`link set dev ${bridge} up`);
    expect(text(wire)).toContain(`link set dev ${tap} master ${bridge} up`);
  });

  test('without anything desired, everything of ours goes, ports before bridges, and nobody else’s', () => {
    const foreign = [link('docker0', { kind: 'bridge' }), link('tap0'), link('tap12345678901', { alias: 'somebody' })];
    const { remove, namespaces } = plan(
      nothingDesired,
      observed([...there, ...foreign], [`cml-dhcp-${network.id}`, 'cml-odd']),
    );
    expect(text(remove)).toEqual([`link del dev ${tap}`, `link del dev ${veth}`, `link del dev ${bridge}`]);
    expect(namespaces).toEqual([`cml-dhcp-${network.id}`]);
  });

  test('a name that is taken is a fault, not ours to remove', () => {
    const { faults, create } = plan(desire(network, port), observed([link(tap, { alias: 'other' })]));
    expect(faults.get(port.id)).toBe(`interface ${tap} is there already and is not ours (its alias is "other")`);
    expect(text(create).join()).not.toContain(tap);
    const occupied = plan(desire(network, port), observed([link(bridge, { kind: 'bridge' })]));
    expect(occupied.faults.get(port.id)).toContain(`interface ${bridge} is there already`);
    expect(occupied.zones.size).toBe(0);
  });

  test('networks that the host does not know or map are faults of their ports', () => {
    const lost = serverPort(tenantNetwork(), '10.0.0.9', []);
    expect(plan(desire(lost)).faults.get(lost.id)).toBe(`network ${lost.network_id} is not known on this host`);
    const physical = (name: string): NetworkState =>
      tenantNetwork('10.0.0.0/24', { dhcp: null, attachment: { type: 'physical', physical_network: name } });
    const [odd, lan] = [physical('odd'), physical('lan')];
    const [a, b] = [serverPort(odd, '10.0.0.6', []), serverPort(lan, '10.0.0.7', [])];
    expect(plan(desire(odd, a)).faults.get(a.id)).toBe('physical network "odd" is not mapped to a bridge on this host');
    expect(plan(desire(lan, b)).faults.get(b.id)).toBe('bridge br-lan does not exist on this host');
    const good = plan(desire(lan, b), observed([link('br-lan', { kind: 'bridge' })]));
    expect(text(good.wire)).toEqual([`link set dev ${tapName(b.id)} master br-lan up`]);
    expect(good.zones.size).toBe(0);
  });

  test('the managed external bridge is made once, and refused where another has its name', () => {
    const outer = tenantNetwork('172.24.4.0/24', {
      dhcp: null,
      attachment: { type: 'physical', physical_network: 'public' },
    });
    const own = serverPort(outer, '172.24.4.9', []);
    expect(text(plan(nothingDesired, observed(), EXTERNAL).create)).toContain('addr add 172.24.4.1/24 dev cml-ext');
    const ours = link('cml-ext', { kind: 'bridge', alias: 'cumulet external' });
    expect(plan(nothingDesired, observed([ours]), EXTERNAL).create).toEqual([]);
    expect(text(plan(nothingDesired, observed([{ ...ours, up: false }]), EXTERNAL).create)).toEqual([
      'link set dev cml-ext up',
    ]);
    const taken = plan(desire(outer, own), observed([link('cml-ext', { kind: 'bridge', alias: 'lab' })]), EXTERNAL);
    expect(taken.faults.get(own.id)).toContain('interface cml-ext is there already');
  });

  test('when all zones are taken a new network is a fault and the old ones stay', () => {
    const all = Array.from({ length: 65536 - FIRST_ZONE }, (_, at) =>
      link(`b${at}`, { kind: 'bridge', alias: `n${at} zone=${FIRST_ZONE + at}` }),
    );
    expect(plan(desire(network, port), observed(all)).faults.get(port.id)).toBe(
      'all conntrack zones of this host are taken',
    );
  });

  test('a router’s ends are on its networks’ bridges; one that is down has none', () => {
    const gateway = {
      port_id: 'aaaaaaaa-0000-4000-8000-000000000003',
      network_id: 'ext',
      mac: 'fa:16:3e:aa:00:02',
      addresses: [],
      next_hops: [],
      enable_snat: true,
    };
    const outer = tenantNetwork('172.24.4.0/24', { id: 'ext', dhcp: null });
    const names = desiredLinks(desire(network, outer, router({ gateway })), config).veths.map((one) => one.name);
    expect(names).toEqual([routerLinkName('aaaaaaaa-0000-4000-8000-000000000002'), gatewayLinkName(gateway.port_id)]);
    expect(desiredLinks(desire(network, router({ admin_state_up: false })), config).veths).toEqual([]);
    expect(desiredLinks(desire(network, router()), config).veths).toHaveLength(1);
    expect(desiredLinks(desire(network, port, { ...network, dhcp: null }), config).veths).toEqual([]);
  });

  test('bridges of others are known, ours and mapped ones are not among them', () => {
    const bridges = ['virbr0', 'docker0', 'br-lan', 'cml-ext', '-odd', 'a b'].map((name) =>
      link(name, { kind: 'bridge' }),
    );
    const ours = link(bridgeName(network.id), { kind: 'bridge', alias: `${network.id} zone=20000` });
    expect(foreignBridges(observed([...bridges, ours, link('eth0')]), { ...config, external: EXTERNAL })).toEqual([
      'docker0',
      'virbr0',
    ]);
    expect(foreignBridges(observed(bridges), config)).toEqual(['docker0', 'virbr0']);
  });

  test('an interface is ours when its name and alias agree', () => {
    expect(ownerOfLink(link(tap, { alias: port.id }))).toEqual({ kind: 'tap', id: port.id });
    expect(ownerOfLink(link(veth, { alias: network.dhcp?.port_id ?? '' }))?.kind).toBe('veth');
    expect(ownerOfLink(link(tap, { alias: network.id }))).toBeUndefined();
    expect(ownerOfLink(link('brx', { alias: `${network.id} zone=20000` }))).toBeUndefined();
  });
});

describe('a tap that somebody removed from under its guest', () => {
  const tap = { name: tapName(port.id), portId: port.id, networkId: network.id, mtu: 1350, bridge: 'br' };
  const none = new Set<string>();
  const wired = new Set([port.id]);
  const cutOff = (before: ReadonlySet<string>, had: ReadonlySet<string>, there: readonly ObservedLink[]): string[] => [
    ...cutOffPorts(before, had, [tap], new Map(there.map((one) => [one.name, one]))),
  ];

  test('is missed when it was there before', () => {
    expect(cutOff(none, wired, [])).toEqual([port.id]);
    expect(cutOff(none, none, [])).toEqual([]);
    expect(cutOff(none, wired, [link(tap.name, { carrier: false })])).toEqual([]);
  });

  test('is missed until a guest has opened the new one, or the port has left', () => {
    expect(cutOff(wired, wired, [link(tap.name, { carrier: false })])).toEqual([port.id]);
    expect(cutOff(wired, wired, [link(tap.name)])).toEqual([]);
    expect([...cutOffPorts(wired, wired, [], new Map())]).toEqual([]);
  });
});

describe('rules', () => {
  const wiring = (...ports: PortState[]): Wiring => ({
    zones: new Map(),
    ports,
    veths: [],
    isolated: new Set(),
    external: null,
    foreignBridges: [],
    tunnels: [],
  });

  test('ports with good rules are open, their groups compiled once, remote groups become sets', () => {
    const other = serverPort(network, '10.0.0.6', [group.id]);
    const remote = securityGroup([rule({ remote_group_id: group.id })]);
    const quiet = tenantNetwork('10.0.0.0/24', { dhcp: null });
    const third = serverPort(quiet, '10.0.0.7', [remote.id]);
    const plan = planRules(wiring(port, other, third), desire(network, quiet, group, remote, port, other, third));
    expect(plan.closed.size).toBe(0);
    expect([...plan.groupChains.keys()]).toEqual([group.id, remote.id]);
    expect(plan.sets.size).toBe(2);
    expect(plan.tables[6].nat.size).toBe(0);
    expect(noRules.closed.size).toBe(0);
  });

  test.each([
    [
      'a group with a rule that makes no sense',
      { ...group, rules: [rule({ protocol: 'nonsense' })] },
      port,
      undefined,
      'is not an IP protocol',
    ],
    ['a group that is not known', undefined, port, undefined, 'is not known on this host'],
    ['a group that the kernel refused', group, port, group.id, 'its host refused the rules'],
    [
      'an address that makes no rule',
      group,
      { ...port, fixed_ips: [{ subnet_id: 's', address: 'nowhere' }] },
      undefined,
      'is not an IP address',
    ],
    ['addresses that the kernel refused', group, port, port.id, 'its host refused the rules for its addresses'],
  ])('%s closes its port and no other', (_name, given, victim, refusedId, words) => {
    const other = serverPort(network, '10.0.0.6', []);
    const desired = desire(network, victim, other, ...(given ? [given] : []));
    const refused = new Map(refusedId === undefined ? [] : [[refusedId, 'kernel words']]);
    const plan = planRules(wiring(victim, other), desired, refused);
    expect([...plan.closed.keys()]).toEqual([victim.id]);
    expect(plan.closed.get(victim.id)).toContain(words);
    expect(plan.frames.ports.get(victim.id)).toEqual({ in: ['drop'], out: ['drop'] });
    expect(plan.frames.ports.get(other.id)?.in.length).toBeGreaterThan(1);
  });
});

describe('namespaces', () => {
  const state = {
    links: [
      { name: 'qr1', alias: 'p1', mac: 'fa:16:3e:00:00:01', mtu: 1400, addresses: ['10.0.0.1/24', 'FD00::1/64'] },
    ],
    routes: [
      { destination: 'default', nexthop: '172.24.4.1', dev: 'qg1' },
      { destination: '192.0.2.9/24', nexthop: '10.0.0.9' },
    ],
  };
  const made: ObservedNamespace = {
    links: new Map([
      ['qr1', { mac: 'fa:16:3e:00:00:01', mtu: 1400, up: true, addresses: ['10.0.0.1/24', 'fd00::1/64'] }],
    ]),
    routes: [
      { destination: 'default', nexthop: '172.24.4.1' },
      { destination: '192.0.2.0/24', nexthop: '10.0.0.9' },
    ],
  };

  test('a new one gets everything', () => {
    expect(planNamespace(state, emptyNamespace)).toEqual([
      'link set dev lo up',
      'link set dev qr1 address fa:16:3e:00:00:01 mtu 1400 alias p1',
      'addr add 10.0.0.1/24 dev qr1',
      'addr add fd00::1/64 dev qr1 nodad',
      'link set dev qr1 up',
      'route replace default via 172.24.4.1 dev qg1 onlink proto static',
      'route replace 192.0.2.0/24 via 10.0.0.9 proto static',
    ]);
  });

  test('one that is as it should be needs nothing', () => {
    expect(planNamespace(state, made)).toEqual([]);
  });

  test('what is too much goes, and routes are named again after a change of addresses', () => {
    const other: ObservedNamespace = {
      links: new Map([
        ['qr1', { mac: 'fa:16:3e:00:00:01', mtu: 1400, up: true, addresses: ['10.0.0.1/24', '10.0.0.77/32'] }],
      ]),
      routes: [{ destination: '203.0.113.0/24', nexthop: '10.0.0.9' }],
    };
    expect(planNamespace(state, other)).toEqual([
      'addr del 10.0.0.77/32 dev qr1',
      'addr add fd00::1/64 dev qr1 nodad',
      'route del 203.0.113.0/24 via 10.0.0.9 proto static',
      'route replace default via 172.24.4.1 dev qg1 onlink proto static',
      'route replace 192.0.2.0/24 via 10.0.0.9 proto static',
    ]);
  });
});
