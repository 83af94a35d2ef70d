// Which flows end when the desired state changes: those that are not let in any more.
import type { NetworkObject } from '@cumulet/common';
import { applyChanges, nothingDesired, type Desired } from '../../../network-agent/src/desired';
import { staleFlows } from '../../../network-agent/src/firewall/conntrack';
import { rule, securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

const desire = (...objects: NetworkObject[]): Desired =>
  applyChanges(nothingDesired, { sequence: 1, reload: true, objects, gone: [] });

const group = securityGroup([rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 22 })]);
const network = tenantNetwork();
const port = serverPort(network, '10.0.0.5', [group.id]);

const zone = (): number => 7;
const flows = (before: Desired, after: Desired): string[] => staleFlows(before, after, zone);
const base = desire(network, group, port);

test('nothing changed: none; an unknown zone: none', () => {
  expect(flows(base, base)).toEqual([]);
  expect(staleFlows(base, nothingDesired, () => undefined)).toEqual([]);
});

test('a port that left, went down or got port security loses all', () => {
  const all = ['-D -f ipv4 -w 7 -s 10.0.0.5', '-D -f ipv4 -w 7 -d 10.0.0.5'];
  expect(flows(base, desire(network, group))).toEqual(all);
  expect(flows(base, desire(network, group, { ...port, admin_state_up: false }))).toEqual(all);
  const unsafe = { ...port, port_security_enabled: false };
  expect(flows(desire(network, group, unsafe), base)).toEqual(all);
  expect(flows(desire(network, group, unsafe), desire(network, group, unsafe))).toEqual([]);
  expect(flows(base, desire(network, group, unsafe))).toEqual([]);
});

test('an address that left loses its own flows', () => {
  const pair = { ip_address: '10.0.0.200', mac_address: port.mac };
  const two = { ...port, allowed_address_pairs: [pair] };
  expect(flows(desire(network, group, two), base)).toEqual([
    '-D -f ipv4 -w 7 -s 10.0.0.200',
    '-D -f ipv4 -w 7 -d 10.0.0.200',
  ]);
});

test.each([
  [rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 22 }), '-D -f ipv4 -w 7 -d 10.0.0.5 -p tcp --dport 22'],
  [rule({ protocol: 'udp', port_range_min: 1, port_range_max: 9 }), '-D -f ipv4 -w 7 -d 10.0.0.5 -p udp'],
  [rule({ protocol: 'gre' }), '-D -f ipv4 -w 7 -d 10.0.0.5'],
  [
    rule({ direction: 'egress', protocol: 'icmp', remote_ip_prefix: '192.0.2.0/24' }),
    '-D -f ipv4 -w 7 -s 10.0.0.5 -d 192.0.2.0/24 -p icmp',
  ],
  [rule({ remote_ip_prefix: '0.0.0.0/0' }), '-D -f ipv4 -w 7 -d 10.0.0.5'],
])('a removed rule loses what it let in', (removed, expected) => {
  const before = { ...group, rules: [...group.rules.slice(0, 2), removed] };
  const after = {
    ...group,
    rules: [{ ...rule({ direction: 'egress', protocol: 'udp' }) }, ...group.rules.slice(1, 2)],
  };
  const lost = flows(desire(network, before, port), desire(network, after, port));
  expect(lost).toContain(expected);
  expect(
    flows(
      desire(network, before, port),
      desire(network, { ...before, rules: before.rules.map((one) => ({ ...one, id: 'new' })) }, port),
    ),
  ).toEqual([]);
});

test('a rule of the other family has no flow of this address', () => {
  const before = { ...group, rules: [rule({ ethertype: 'IPv6' })] };
  expect(flows(desire(network, before, port), desire(network, { ...group, rules: [] }, port))).toEqual([]);
});

test('a member that left a remote group loses its flows', () => {
  const remote = { ...securityGroup([]), members: ['10.0.0.8', '10.0.0.9'] };
  const user = securityGroup([rule({ remote_group_id: remote.id }), rule({ remote_group_id: 'unknown' })]);
  const own = serverPort(network, '10.0.0.5', [user.id, 'missing']);
  const before = desire(network, user, remote, own);
  const after = desire(network, user, { ...remote, members: ['10.0.0.9'] }, own);
  expect(flows(before, after)).toEqual(['-D -f ipv4 -w 7 -d 10.0.0.5 -s 10.0.0.8']);
});

test('a port that never had rules is skipped', () => {
  const odd = { ...port, fixed_ips: [{ subnet_id: 's', address: 'nowhere' }] };
  expect(flows(desire(network, group, odd), nothingDesired)).toEqual([]);
});
