// The text of every rule: nft for frames and zones, iptables for groups.
import fc from 'fast-check';
import type { PortState } from '@cumulet/common';
import { frameRules } from '../../../network-agent/src/firewall/antispoof';
import {
  emptyBridgeTable,
  renderBridgeChanges,
  renderBridgeTable,
} from '../../../network-agent/src/firewall/bridgeTable';
import { protocolMatch, protocolNumber } from '../../../network-agent/src/firewall/protocols';
import {
  filterChains,
  groupChains,
  groupRule,
  type PortRules,
} from '../../../network-agent/src/firewall/securityGroups';
import {
  bridgeAlias,
  FIRST_ZONE,
  freeZone,
  parseBridgeAlias,
  renderZoneChanges,
  renderZones,
} from '../../../network-agent/src/firewall/zones';
import { groupSet } from '../../../network-agent/src/names';
import { rule, securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

const network = tenantNetwork();
const MAC = 'fa:16:3e:00:00:01';
const port = (over: Partial<PortState> = {}): PortState => ({
  ...serverPort(network, '10.0.0.5', []),
  id: '11111111-2222-4333-8444-555555555555',
  mac: MAC,
  ...over,
});

describe('protocols', () => {
  test.each([
    [null, 4, undefined],
    ['any', 4, undefined],
    ['0', 6, undefined],
    ['tcp', 4, 6],
    ['TCP', 4, 6],
    ['icmp', 4, 1],
    ['icmp', 6, 58],
    ['1', 6, 58],
    ['255', 4, 255],
  ] as const)('%j in IPv%d is number %p', (name, family, expected) => {
    expect(protocolNumber(name, family)).toBe(expected);
  });

  test.each(['256', 'nonsense', 'constructor', '__proto__', '6; -j ACCEPT', '-1'])('%j is no protocol', (name) => {
    expect(() => protocolNumber(name, 4)).toThrow('is not an IP protocol');
  });

  test.each([
    ['tcp', 4, 22, 22, ['-p 6', '-m multiport --dports', '22']],
    ['udp', 6, 100, 200, ['-p 17', '-m multiport --dports', '100:200']],
    ['sctp', 4, null, null, ['-p 132']],
    [null, 4, null, null, []],
    ['icmp', 4, 8, 0, ['-p 1', '-m icmp --icmp-type', '8/0']],
    ['icmp', 4, 3, null, ['-p 1', '-m icmp --icmp-type', '3']],
    ['icmpv6', 6, 128, null, ['-p 58', '-m icmp6 --icmpv6-type', '128']],
    ['icmp', 4, null, null, ['-p 1']],
    ['icmpv6', 4, null, null, ['-p 58']],
  ] as const)('%j in IPv%d with %p and %p', (name, family, low, high, expected) => {
    expect(protocolMatch(name, family, low, high)).toEqual(expected);
  });

  test.each([
    ['tcp', 1, null, 'needs both ends'],
    ['tcp', null, 1, 'needs both ends'],
    ['tcp', 9, 8, 'is empty'],
    ['tcp', 1, 65536, 'not between 0 and 65535'],
    ['tcp', 1.5, 2, 'not between'],
    ['vrrp', 1, 2, 'has no ports'],
    [null, 1, 2, 'protocol any has no ports'],
    ['icmp', null, 0, 'needs an ICMP type'],
    ['icmp', 256, null, 'not between 0 and 255'],
    ['icmp', 8, -1, 'not between 0 and 255'],
  ] as const)('%j with %p and %p is refused: %s', (name, low, high, words) => {
    expect(() => protocolMatch(name, 4, low, high)).toThrow(words);
  });
});

describe('security groups', () => {
  test('remotes of both directions', () => {
    const id = 'r1';
    expect(groupRule(rule({ id, remote_ip_prefix: '10.1.2.3/8' }), 4)).toBe(
      '-s 10.0.0.0/8 -m comment --comment r1 -j ACCEPT',
    );
    expect(groupRule(rule({ id, direction: 'egress', remote_ip_prefix: 'fd00::/8', ethertype: 'IPv6' }), 6)).toBe(
      '-d fd00::/8 -m comment --comment r1 -g cumulet-ok',
    );
    expect(groupRule(rule({ id, remote_ip_prefix: '0.0.0.0/0' }), 4)).toBe('-m comment --comment r1 -j ACCEPT');
    const group = '01234567-89ab-cdef-0123-456789abcdef';
    expect(groupRule(rule({ id, remote_group_id: group }), 4)).toContain(`--match-set ${groupSet(4, group)} src`);
    expect(groupRule(rule({ id, direction: 'egress', remote_group_id: group }), 6)).toContain(
      `${groupSet(6, group)} dst`,
    );
  });

  test('a prefix of the other family is refused', () => {
    expect(() => groupRule(rule({ remote_ip_prefix: 'fd00::/8' }), 4)).toThrow('is not an IPv4 prefix');
  });

  test('a group’s chains hold its rules by direction and family', () => {
    const group = securityGroup([rule({ protocol: 'tcp' }), rule({ ethertype: 'IPv6' })]);
    expect([...groupChains(group, 4).values()].map((rules) => rules.length)).toEqual([1, 1]);
    expect([...groupChains(group, 6).values()].map((rules) => rules.length)).toEqual([1, 1]);
  });

  const rules = (over: Partial<PortRules> = {}): PortRules => ({
    port: port(),
    closed: false,
    stateful: true,
    dhcpServers: ['10.0.0.2'],
    ...over,
  });
  const chain = (given: PortRules, name: 'pi' | 'po', family: 4 | 6 = 4): readonly string[] => {
    const chains = filterChains(family, [given], new Map(), ['qrx']);
    return [...chains].find(([key]) => key.startsWith(`cumulet-${name}-`))?.[1] ?? [];
  };

  test('a port’s chains: its basics, answers, its groups, and nothing more', () => {
    const grouped = rules({ port: port({ security_group_ids: ['22222222-2222-4333-8444-555555555555'] }) });
    expect(chain(grouped, 'pi')).toEqual([
      '-s 10.0.0.2 -p 17 -m udp --sport 67 --dport 68 -j ACCEPT',
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-m conntrack --ctstate INVALID -j DROP',
      '-m comment --comment 22222222-2222-4333-8444-555555555555 -j cumulet-gi-2222222222224333',
      '-j DROP',
    ]);
    expect(chain(grouped, 'po')[0]).toBe('-p 17 -m udp --sport 67 -j DROP');
    expect(chain(grouped, 'po', 6)).toContain('-p 58 -m icmp6 --icmpv6-type 134 -j DROP');
    expect(chain(grouped, 'pi', 6)).toContain('-p 58 -m icmp6 --icmpv6-type 135 -j ACCEPT');
  });

  test.each([
    ['closed', rules({ closed: true }), ['-j DROP'], ['-j DROP']],
    ['administratively down', rules({ port: port({ admin_state_up: false }) }), ['-j DROP'], ['-j DROP']],
    [
      'without port security',
      rules({ port: port({ port_security_enabled: false }) }),
      ['-j ACCEPT'],
      ['-g cumulet-ok'],
    ],
  ])('a port that is %s', (_name, given, ingress, egress) => {
    expect(chain(given, 'pi')).toEqual(ingress);
    expect(chain(given, 'po')).toEqual(egress);
  });

  test('a stateless port has no rule about connections', () => {
    expect(chain(rules({ stateful: false }), 'pi').join()).not.toContain('conntrack');
  });

  test('veths of ours are trusted, and every packet of a port meets the receiver’s rules', () => {
    const chains = filterChains(4, [rules()], new Map([['g', new Map([['cumulet-gi-1', ['-j ACCEPT']]])]]), ['qrx']);
    expect(chains.get('cumulet-ok')).toEqual(['-j cumulet-in', '-j ACCEPT']);
    expect(chains.get('cumulet-forward')).toContain('-m physdev --physdev-in qrx --physdev-is-bridged -g cumulet-ok');
    expect(chains.get('cumulet-gi-1')).toEqual(['-j ACCEPT']);
  });
});

describe('frames', () => {
  test('a guarded port with both families', () => {
    const given = port({
      fixed_ips: [
        { subnet_id: 's', address: '10.0.0.5' },
        { subnet_id: 't', address: 'fd00::5' },
      ],
    });
    const { in: rules, out } = frameRules(given);
    expect(rules.at(-1)).toBe('drop');
    expect(rules).toContain(`ether saddr ${MAC} ether type ip ip saddr { 10.0.0.5 } accept`);
    expect(rules).toContain(`ether saddr ${MAC} ether type ip6 ip6 saddr { fe80::f816:3eff:fe00:1, fd00::5 } accept`);
    expect(out).toEqual([`ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != { ${MAC} } drop`]);
  });

  test('a port without addresses may only ask for one', () => {
    const rules = frameRules(port({ fixed_ips: [] })).in;
    expect(rules.filter((line) => line.includes('ether type ip ip saddr'))).toEqual([]);
    expect(rules.join('\n')).not.toContain('ether type arp arp saddr ip {');
    expect(rules.some((line) => line.includes('udp sport 68 udp dport 67 accept'))).toBe(true);
  });

  test('pairs add addresses to the port’s MAC or a MAC of their own, whole ranges included', () => {
    const other = 'fa:16:3e:00:00:02';
    const pairs = [
      { ip_address: '10.0.0.0/24', mac_address: MAC },
      { ip_address: '0.0.0.0/0', mac_address: other },
      { ip_address: 'fd00::/64', mac_address: MAC },
      { ip_address: '::/0', mac_address: other },
    ];
    const { in: rules, out } = frameRules(port({ allowed_address_pairs: pairs }));
    expect(rules).toContain(`ether saddr ${MAC} ether type ip ip saddr { 10.0.0.0/24 } accept`);
    expect(rules).toContain(`ether saddr ${other} ether type ip accept`);
    expect(rules).toContain(`ether saddr ${other} ether type ip6 accept`);
    expect(rules.join('\n')).toMatch(/@th,64,128 \{ 0xfd0+-0xfd0+f{16}, 0xfe80[0-9a-f]+ \}/);
    expect(out[0]).toContain(`{ ${MAC}, ${other} }`);
  });

  test('a port that is down passes nothing, one without port security everything', () => {
    expect(frameRules(port({ admin_state_up: false }))).toEqual({ in: ['drop'], out: ['drop'] });
    expect(frameRules(port({ port_security_enabled: false }))).toEqual({ in: [], out: [] });
  });

  test.each([
    [{ mac: 'x' }],
    [{ allowed_address_pairs: [{ ip_address: '10.0.0.1', mac_address: 'y' }] }],
    [{ allowed_address_pairs: [{ ip_address: '10.0.0.1 accept', mac_address: MAC }] }],
  ])('%j makes no rules', (over) => {
    expect(() => frameRules(port(over))).toThrow();
  });

  test('whatever text a port carries, no rule of it has a character that could end it or begin another', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('10.0.0.1', 'fd00::1', '10.0.0.0/8', MAC, '10.0.0.1; drop', '10.0.0.1\nadd'),
    );
    fc.assert(
      fc.property(text, text, text, (mac, address, pairAddress) => {
        const given = port({
          mac,
          fixed_ips: [{ subnet_id: 's', address }],
          allowed_address_pairs: [{ ip_address: pairAddress, mac_address: mac }],
        });
        try {
          for (const line of [...frameRules(given).in, ...frameRules(given).out])
            expect(line).toMatch(/^[a-z0-9@:.,{}/!=& -]+$/);
        } catch (error) {
          expect((error as Error).message).toMatch(/is not (an IP address|a MAC address)/);
        }
      }),
    );
  });

  test('the whole table, and only what differs', () => {
    const one = {
      ...emptyBridgeTable,
      ports: new Map([['11111111-2222-4333-8444-555555555555', { in: ['drop'], out: [] }]]),
      isolated: new Set(['tapa']),
    };
    const whole = renderBridgeTable(one).join('\n');
    expect(whole).toContain('delete table bridge cumulet');
    expect(whole).toContain('add rule bridge cumulet in-tap11111111222 drop');
    expect(renderBridgeChanges(one, one)).toEqual([]);
    const opened = {
      ...emptyBridgeTable,
      ports: new Map([['11111111-2222-4333-8444-555555555555', { in: [], out: [] }]]),
      isolated: new Set<string>(),
    };
    expect(renderBridgeChanges(one, opened)).toEqual([
      'add chain bridge cumulet in-tap11111111222 { comment "11111111-2222-4333-8444-555555555555"; }',
      'flush chain bridge cumulet in-tap11111111222',
      'add chain bridge cumulet out-tap11111111222 { comment "11111111-2222-4333-8444-555555555555"; }',
      'flush chain bridge cumulet out-tap11111111222',
      'delete element bridge cumulet isolated { "tapa" }',
    ]);
    const gone = renderBridgeChanges(one, emptyBridgeTable);
    expect(
      gone.indexOf('delete element bridge cumulet inports { "tap11111111222" : goto in-tap11111111222 }'),
    ).toBeLessThan(gone.indexOf('delete chain bridge cumulet in-tap11111111222'));
  });
});

describe('zones', () => {
  test('the lowest free zone, and none when all are taken', () => {
    expect(freeZone(new Set())).toBe(FIRST_ZONE);
    expect(freeZone(new Set([FIRST_ZONE]))).toBe(FIRST_ZONE + 1);
    expect(freeZone(new Set(Array.from({ length: 65536 }, (_, zone) => zone)))).toBeUndefined();
  });

  test('an alias keeps network and zone', () => {
    expect(parseBridgeAlias(bridgeAlias('net', 7))).toEqual({ networkId: 'net', zone: 7 });
    expect(parseBridgeAlias('somebody’s bridge')).toBeUndefined();
  });

  test('the table before defragmentation, and its changes', () => {
    expect(renderZones(new Map()).join('\n')).not.toContain('elements');
    const text = renderZones(new Map([['bra', 7]])).join('\n');
    expect(text).toContain('priority -450');
    expect(text).toContain('elements = { "bra" : 7 };');
    expect(
      renderZoneChanges(
        new Map([
          ['bra', 7],
          ['brb', 8],
        ]),
        new Map([
          ['brb', 8],
          ['brc', 9],
        ]),
      ),
    ).toEqual([
      'delete element inet cumulet zones { "bra" : 7 }',
      'delete element inet cumulet bridges { "bra" }',
      'add element inet cumulet zones { "brc" : 9 }',
      'add element inet cumulet bridges { "brc" }',
    ]);
  });
});
