// Networks between hosts as plans: the VXLAN link, its forwarding table, who may send to it and what stays on this side.
import { parseConfig, type NetworkState, type Exec } from '@cumulet/common';
import { NetworkAgentConfig } from '../../../network-agent/src/config';
import { applyChanges, nothingDesired } from '../../../network-agent/src/desired';
import { renderBridgeTable } from '../../../network-agent/src/firewall/bridgeTable';
import { localServerRules } from '../../../network-agent/src/firewall/localServer';
import { ownerOfLink, planLinks, type LinkStep, type ObservedLink } from '../../../network-agent/src/linkPlan';
import { desiredLinks } from '../../../network-agent/src/links';
import { bridgeName, vxlanName } from '../../../network-agent/src/names';
import { parseForwarding, parseLinks } from '../../../network-agent/src/observe';
import { planRules } from '../../../network-agent/src/rulesPlan';
import type { ForwardingEntry } from '../../../network-agent/src/tunnels';
import { findUnderlay, readUnderlay, readUplinkMtu } from '../../../network-agent/src/underlay';
import { tenantNetwork } from '../../support/networkLab';

const config = parseConfig(NetworkAgentConfig, '{}', 'test');
const FLOOD = '00:00:00:00:00:00';
const [B, C] = ['10.50.0.2', '10.50.0.3'];
const MAC = 'fa:16:3e:00:00:05';

const network = tenantNetwork('10.0.0.0/24', {
  tunnel: { vni: 77, local: '10.50.0.1', peers: [B, C], entries: [{ mac: MAC, peer: B }] },
});
const [name, bridge] = [vxlanName(network.id), bridgeName(network.id)];

const text = (steps: readonly LinkStep[]): string[] => steps.flatMap((step) => step.lines);

const there = (over: Partial<ObservedLink> = {}): ObservedLink[] => [
  {
    name: bridge,
    alias: `${network.id} zone=20000`,
    kind: 'bridge',
    master: undefined,
    mtu: 1350,
    up: true,
    carrier: true,
  },
  {
    name,
    alias: network.id,
    kind: 'vxlan',
    master: bridge,
    mtu: 1350,
    up: true,
    carrier: true,
    tunnel: { vni: 77, local: '10.50.0.1', port: 4789, learning: false },
    ...over,
  },
];

function plan(wanted: NetworkState, links: readonly ObservedLink[] = [], entries: readonly ForwardingEntry[] = []) {
  const desired = applyChanges(nothingDesired, { sequence: 1, reload: true, objects: [wanted], gone: [] });
  const observed = {
    links: new Map(links.map((link) => [link.name, link])),
    namespaces: new Set<string>(),
    forwarding: new Map([[name, entries]]),
  };
  return planLinks(desiredLinks(desired, config), observed, null, 'cml');
}

const withTunnel = (over: Partial<NonNullable<NetworkState['tunnel']>>): NetworkState => ({
  ...network,
  tunnel: network.tunnel && { ...network.tunnel, ...over },
});
const complete = [
  { mac: FLOOD, peer: B },
  { mac: FLOOD, peer: C },
  { mac: MAC, peer: B },
];

describe('the link', () => {
  test('a new one is made, told its peers, and joined to the bridge last', () => {
    const { create, forward, wire, faults } = plan(network);
    expect(text(create).slice(2)).toEqual([
      `link add name ${name} mtu 1350 type vxlan id 77 local 10.50.0.1 dstport 4789 nolearning`,
      `link set dev ${name} alias ${network.id} addrgenmode none`,
    ]);
    expect(text(forward)).toEqual([
      `fdb append ${FLOOD} dev ${name} dst ${B} static`,
      `fdb append ${FLOOD} dev ${name} dst ${C} static`,
      `fdb replace ${MAC} dev ${name} dst ${B} static`,
    ]);
    expect(text(wire)).toEqual([`link set dev ${bridge} up`, `link set dev ${name} master ${bridge} up`]);
    expect(faults.size).toBe(0);
  });

  test('one that is as it should be needs nothing', () => {
    const { create, forward, wire, remove } = plan(network, there(), complete);
    expect([...create, ...forward, ...wire, ...remove]).toEqual([]);
    expect(text(plan(network, there({ mtu: 1400 }), complete).create)).toEqual([`link set dev ${name} mtu 1350`]);
  });

  test.each([
    ['number', { vni: 78, local: '10.50.0.1', port: 4789, learning: false }],
    ['address', { vni: 77, local: '10.50.0.9', port: 4789, learning: false }],
    ['port', { vni: 77, local: '10.50.0.1', port: 8472, learning: false }],
    ['learning', { vni: 77, local: '10.50.0.1', port: 4789, learning: true }],
  ])('another %s makes it anew with all its entries', (_what, tunnel) => {
    const { remove, create, forward, wire } = plan(network, there({ tunnel }), complete);
    expect(text(remove)).toEqual([`link del dev ${name}`]);
    expect(text(create)).toHaveLength(2);
    expect(text(forward)).toHaveLength(3);
    expect(text(wire)).toEqual([`link set dev ${name} master ${bridge} up`]);
  });

  test('it goes with the last peer, with the underlay and with the network', () => {
    for (const wanted of [withTunnel({ peers: [], entries: [] }), { ...network, tunnel: null }])
      expect(text(plan(wanted, there(), complete).remove)).toEqual([`link del dev ${name}`]);
    const other = tenantNetwork();
    expect(text(plan(other, there(), complete).remove)).toEqual([`link del dev ${name}`, `link del dev ${bridge}`]);
  });

  test('a name that somebody else has is a fault of the network', () => {
    const { faults, create, remove } = plan(network, there({ alias: 'mine' }).slice(1));
    expect(faults.get(network.id)).toMatch(/is there already and is not ours/);
    expect(text([...create, ...remove]).join()).not.toContain(name);
  });

  test('a physical network has none, whatever the feed says', () => {
    const physical: NetworkState = { ...network, attachment: { type: 'physical', physical_network: 'lan' } };
    expect(desiredLinks({ ...nothingDesired, networks: new Map([[network.id, physical]]) }, config).tunnels).toEqual(
      [],
    );
  });
});

describe('the forwarding table', () => {
  test('an address that moved is replaced in one step, one that left is removed, peers come and go', () => {
    const moved = withTunnel({ peers: [C], entries: [{ mac: MAC, peer: C }] });
    const before = [
      { mac: FLOOD, peer: B },
      { mac: MAC, peer: B },
      { mac: 'fa:16:3e:00:00:06', peer: B },
    ];
    expect(text(plan(moved, there(), before).forward)).toEqual([
      `fdb append ${FLOOD} dev ${name} dst ${C} static`,
      `fdb replace ${MAC} dev ${name} dst ${C} static`,
      `fdb del ${FLOOD} dev ${name} dst ${B}`,
      `fdb del fa:16:3e:00:00:06 dev ${name} dst ${B}`,
    ]);
  });

  test('is read from what bridge and ip print', () => {
    const rows = [
      { mac: FLOOD, ifname: name, dst: B, flags: ['self'] },
      { mac: MAC, ifname: name, dst: B },
      { mac: 'c6:9c:d0:dd:8b:aa', ifname: name, master: bridge },
      {},
    ];
    expect(parseForwarding(JSON.stringify(rows)).get(name)).toEqual([complete[0], complete[2]]);
    expect(parseForwarding('').size).toBe(0);
    const data = { id: 77, local: '10.50.0.1', port: 4789, learning: false };
    const print = (info_data?: object): string =>
      JSON.stringify([{ ifname: name, linkinfo: { info_kind: 'vxlan', ...(info_data ? { info_data } : {}) } }]);
    expect(parseLinks(print(data)).get(name)?.tunnel).toEqual({ vni: 77, ...data, id: undefined });
    expect(parseLinks(print()).get(name)?.tunnel).toEqual({ vni: 0, local: '', port: 0, learning: true });
  });

  test('the link says by name and alias whose it is', () => {
    const [, link] = there();
    expect(link && ownerOfLink(link)).toEqual({ kind: 'vxlan', id: network.id });
  });
});

describe('rules', () => {
  const desired = applyChanges(nothingDesired, { sequence: 1, reload: true, objects: [network], gone: [] });
  const rulesOf = (networks: readonly NetworkState[]) =>
    planRules(
      {
        zones: new Map(),
        ports: [],
        veths: [],
        isolated: new Set(),
        external: null,
        foreignBridges: [],
        tunnels: networks.flatMap((one) =>
          one.tunnel ? [{ ...one.tunnel, name, networkId: one.id, mtu: one.mtu, bridge }] : [],
        ),
      },
      desired,
    );

  test('VXLAN is accepted from peers of any network of this host and from nobody else', () => {
    const second = tenantNetwork('10.1.0.0/24', {
      tunnel: { vni: 78, local: '10.50.0.1', peers: [C, '10.50.0.4'], entries: [] },
    });
    const { tables, jumps } = rulesOf([network, second]);
    expect(tables[4].filter.get('cumulet-vxlan')).toEqual([
      '-s 10.50.0.2 -d 10.50.0.1 -j ACCEPT',
      '-s 10.50.0.3 -d 10.50.0.1 -j ACCEPT',
      '-s 10.50.0.4 -d 10.50.0.1 -j ACCEPT',
      '-d 10.50.0.1 -j DROP',
    ]);
    expect(jumps[4].map((jump) => `${jump.chain} ${jump.match}`)).toContain('INPUT -p udp -m udp --dport 4789');
    expect(tables[6].filter.has('cumulet-vxlan')).toBe(false);
  });

  test('without a tunnel there is nothing of it', () => {
    const { tables, jumps, frames } = rulesOf([{ ...network, tunnel: null }]);
    expect(tables[4].filter.has('cumulet-vxlan')).toBe(false);
    expect(jumps[4]).toHaveLength(1);
    expect(frames.tunnels.size).toBe(0);
  });

  test('the DHCP server’s frames, questions for its addresses and DHCP clients’ stay on this side, both ways', () => {
    const { frames } = rulesOf([network]);
    const table = renderBridgeTable(frames).join('\n');
    for (const direction of ['in', 'out']) {
      const chain = `add rule bridge cumulet ${direction}-${name}`;
      expect(table).toContain(`${chain} ether saddr ${network.dhcp?.mac} drop`);
      expect(table).toContain(`${chain} ether daddr ${network.dhcp?.mac} drop`);
      expect(table).toContain(`${chain} ether type arp arp daddr ip { 10.0.0.2, 169.254.169.254 } drop`);
      expect(table).toContain(`${chain} ether type ip udp dport 67 drop`);
      expect(table).toContain(`"${name}" : goto ${direction}-${name}`);
    }
  });

  test('a network without DHCP passes everything; one whose server has no proper address nothing', () => {
    expect(localServerRules({ ...network, dhcp: null })).toEqual({ in: [], out: [] });
    const dhcp = { port_id: 'p', mac: 'fa:16:3e:00:00:02', addresses: [{ subnet_id: 's', address: 'fd00::2' }] };
    expect(localServerRules({ ...network, dhcp }).out.join()).toContain('0xfd000000000000000000000000000002');
    expect(() => localServerRules({ ...network, dhcp: { ...dhcp, mac: 'x' } })).toThrow('"x" is not a MAC address');
    const closed = planRules(
      {
        zones: new Map(),
        ports: [],
        veths: [],
        isolated: new Set(),
        external: null,
        foreignBridges: [],
        tunnels: ['bad', 'unknown'].map((networkId) => ({
          vni: 1,
          local: '10.50.0.1',
          peers: [B],
          entries: [],
          name: vxlanName(networkId),
          networkId,
          mtu: 1350,
          bridge,
        })),
      },
      { ...nothingDesired, networks: new Map([['bad', { ...network, dhcp: { ...dhcp, mac: 'x' } }]]) },
    );
    for (const id of ['bad', 'unknown']) expect(closed.frames.tunnels.get(id)).toEqual({ in: ['drop'], out: ['drop'] });
  });
});

describe('the underlay', () => {
  const printed = JSON.stringify([
    { ifname: 'lo', mtu: 65536, addr_info: [{ family: 'inet', local: '127.0.0.1' }] },
    {
      ifname: 'eth0',
      mtu: 1400,
      addr_info: [
        { family: 'inet6', local: 'fe80::1' },
        { family: 'inet', local: B },
      ],
    },
    { ifname: 'eth1', mtu: 9000, addr_info: [{ family: 'inet6', local: 'fe80::2' }] },
    {},
  ]);

  test('is read from the host', async () => {
    const asked: string[] = [];
    const found = await readUnderlay(
      (argv) => {
        asked.push(argv.join(' '));
        return Promise.resolve({ stdout: printed, stderr: '' });
      },
      { interface: 'eth0' },
    );
    expect([asked, found]).toEqual([['ip -json address show'], { address: B, mtu: 1400 }]);
  });

  test('is found by address or by interface, with its MTU', () => {
    expect(findUnderlay(printed, { address: B })).toEqual({ address: B, mtu: 1400 });
    expect(findUnderlay(printed, { interface: 'eth0' })).toEqual({ address: B, mtu: 1400 });
  });

  test.each([
    ['[{"dst":"default","dev":"eth0"}]', 1400, 1400],
    ['[{"dst":"default","dev":"wlan0","metric":600},{"dst":"default","dev":"eth0","metric":100}]', 9000, 1500],
    ['[]', 1400, undefined],
  ])('without one, packets are as large as the uplink takes: %s', async (routes, mtu, found) => {
    const exec: Exec = (argv) => {
      const stdout = argv.includes('route')
        ? routes
        : `[{"ifname":"${argv.at(-1)}","mtu":${argv.at(-1) === 'eth0' ? mtu : 1}}]`;
      return Promise.resolve({ stdout, stderr: '' });
    };
    expect(await readUplinkMtu(exec)).toBe(found);
  });

  test('that is not there is said in words', () => {
    expect(() => findUnderlay(printed, { address: '10.9.9.9' })).toThrow('no interface of this host has the underlay');
    for (const one of ['eth1', 'eth7'])
      expect(() => findUnderlay(printed, { interface: one })).toThrow(`the underlay interface ${one} is not there`);
  });

  test.each([
    '{address: 10.0.0.256}',
    '{address: "fd00::1"}',
    '{interface: "a b"}',
    '{address: 10.0.0.1, interface: x}',
    '10.0.0.1',
  ])('the setting %s is refused', (value) => {
    expect(() => parseConfig(NetworkAgentConfig, `underlay: ${value}`, 'test')).toThrow(/underlay/);
  });

  test('the setting takes an address or an interface', () => {
    for (const value of [{ address: '10.0.0.255' }, { interface: 'bond0.7' }, null])
      expect(parseConfig(NetworkAgentConfig, JSON.stringify({ underlay: value }), 'test').underlay).toEqual(value);
  });
});
