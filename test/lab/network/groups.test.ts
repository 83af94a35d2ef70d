// Security groups on the wire: every kind of rule lets in what it says and nothing beside it.
import type { PortState, SecurityGroupState } from '@cumulet/common';
import { arrivals, between, icmp, ipv4, tagged, tcpSyn, udp, withTcpChecksum } from '../../support/frames';
import {
  labForEach,
  pings,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const open = securityGroup([]);

async function pair(
  receiver: SecurityGroupState,
  sender: SecurityGroupState = open,
  over: Partial<PortState> = {},
): Promise<{ one: Guest; two: Guest }> {
  await lab.agent();
  const network = tenantNetwork();
  const [a, b] = [serverPort(network, '10.0.0.11', [sender.id]), serverPort(network, '10.0.0.12', [receiver.id], over)];
  lab.change([network, sender, receiver, a, b]);
  const guests = { one: await lab.guest(a), two: await lab.guest(b) };
  expect(await lab.command('ports.ensure', [a.id, b.id])).toMatchObject({ outcome: 'done', fault: null });
  return guests;
}

/** One packet of each kind that the rules below tell apart. */
function probes(from: Guest, to: Guest): Buffer[] {
  const ends = between(from, to);
  const u = (port: number): Buffer => ipv4(ends, 17, udp(4000 + port, port, tagged(`udp${port}`)));
  const t = (port: number): Buffer =>
    ipv4(ends, 6, withTcpChecksum(ends, tcpSyn(4000 + port, port, tagged(`tcp${port}`))));
  const i = (type: number, code: number): Buffer => ipv4(ends, 1, icmp(type, code, tagged(`icmp${type}_${code}`)));
  return [
    ...[99, 100, 150, 200, 201].flatMap((port) => [u(port), t(port)]),
    i(8, 0),
    i(13, 0),
    ipv4(ends, 47, Buffer.concat([Buffer.from([0, 0, 8, 0]), tagged('gre')])),
    ipv4(ends, 112, tagged('vrrp')),
    ipv4(ends, 253, tagged('proto253')),
  ];
}

test.each([
  ['a UDP port range', { protocol: 'udp', port_range_min: 100, port_range_max: 200 }, ['udp100', 'udp150', 'udp200']],
  ['one TCP port by protocol number', { protocol: '6', port_range_min: 100, port_range_max: 100 }, ['tcp100']],
  ['an ICMP type and code', { protocol: 'icmp', port_range_min: 8, port_range_max: 0 }, ['icmp8_0']],
  ['a protocol without ports by name', { protocol: 'vrrp' }, ['vrrp']],
  ['a protocol that only has a number', { protocol: '253' }, ['proto253']],
  [
    'a source prefix that the sender is in',
    { protocol: 'udp', remote_ip_prefix: '10.0.0.8/29' },
    ['udp99', 'udp100', 'udp150', 'udp200', 'udp201'],
  ],
  ['a source prefix that the sender is not in', { remote_ip_prefix: '10.0.0.16/28' }, []],
  ['another direction', { direction: 'egress' as const }, []],
  ['another family', { ethertype: 'IPv6' as const }, []],
])('%s', async (_name, over, expected) => {
  const { one, two } = await pair(securityGroup([rule(over)]));
  expect((await arrivals(one, two, probes(one, two))).sort()).toEqual([...expected].sort());
});

test('what no egress rule allows does not leave', async () => {
  const strict: SecurityGroupState = {
    ...open,
    id: 'a0000000-0000-4000-8000-00000000000a',
    rules: [rule({ direction: 'egress', protocol: 'udp', port_range_min: 100, port_range_max: 100 })],
  };
  const { one, two } = await pair(securityGroup([rule({})]), strict);
  expect(await arrivals(one, two, probes(one, two))).toEqual(['udp100']);
});

test('a remote group admits its members as they come and go', async () => {
  const members: SecurityGroupState = { ...open, id: 'b0000000-0000-4000-8000-00000000000b', members: [] };
  const { one, two } = await pair(securityGroup([rule({ protocol: 'udp', remote_group_id: members.id })]), members);
  const packet = (tag: string): Buffer[] => [ipv4(between(one, two), 17, udp(4000, 5000, tagged(tag)))];
  const settle = async (now: readonly string[]): Promise<void> => {
    lab.change([{ ...members, members: [...now] }]);
    expect(await lab.command('ports.ensure', [two.port.id])).toMatchObject({ outcome: 'done' });
  };
  expect(await arrivals(one, two, packet('nobody'))).toEqual([]);
  await settle(['10.0.0.11']);
  expect(await arrivals(one, two, packet('member'))).toEqual(['member']);
  await settle(['10.0.0.99', 'fd00::1']);
  expect(await arrivals(one, two, packet('left'))).toEqual([]);
});

test('a stateless group lets no answer in by itself', async () => {
  const stateless: SecurityGroupState = { ...securityGroup([]), stateful: false };
  const { one, two } = await pair(stateless);
  const ask = ipv4(between(two, one), 17, udp(4000, 5000, tagged('ask')));
  const answer = ipv4(between(one, two), 17, udp(5000, 4000, tagged('answer')));
  await arrivals(two, one, [ask]);
  expect(await arrivals(one, two, [answer])).toEqual([]);
});

test('a stateful group lets the answer in', async () => {
  const admits = securityGroup([rule({})]);
  const { one, two } = await pair(securityGroup([]), admits);
  expect(await arrivals(two, one, [ipv4(between(two, one), 17, udp(4000, 5000, tagged('ask')))])).toEqual(['ask']);
  expect(await arrivals(one, two, [ipv4(between(one, two), 17, udp(5000, 4000, tagged('answer')))])).toEqual([
    'answer',
  ]);
});

test('an allowed address pair may be used by its port, with its MAC only', async () => {
  await lab.agent();
  const network = tenantNetwork();
  const group = securityGroup([rule({})]);
  const pairs = [
    { ip_address: '10.0.0.200', mac_address: 'fa:16:3e:00:00:c8' },
    { ip_address: '10.1.0.0/16', mac_address: 'fa:16:3e:00:00:c9' },
    { ip_address: 'fd00:5::/64', mac_address: 'fa:16:3e:00:00:c9' },
    { ip_address: '::/0', mac_address: 'fa:16:3e:00:00:ca' },
    { ip_address: '0.0.0.0/0', mac_address: 'fa:16:3e:00:00:ca' },
  ];
  const a = serverPort(network, '10.0.0.11', [group.id], { allowed_address_pairs: pairs });
  const b = serverPort(network, '10.0.0.12', [group.id]);
  lab.change([network, group, a, b]);
  const [one, two] = [await lab.guest(a), await lab.guest(b)];
  await lab.command('ports.ensure', [a.id, b.id]);
  const from = (mac: string, ip: string, tag: string): Buffer =>
    ipv4({ ...between(one, two), fromMac: mac, from: ip }, 17, udp(4000, 5000, tagged(tag)));
  const seen = await arrivals(one, two, [
    from('fa:16:3e:00:00:c8', '10.0.0.200', 'pair'),
    from('fa:16:3e:00:00:c9', '10.1.7.7', 'prefix'),
    from('fa:16:3e:00:00:ca', '198.51.100.7', 'everything'),
    from(a.mac, '10.0.0.200', 'own_mac'),
    from('fa:16:3e:00:00:c8', '10.0.0.11', 'pair_mac_own_ip'),
    from('fa:16:3e:00:00:c9', '10.2.0.1', 'outside_prefix'),
  ]);
  expect(seen).toEqual(['pair', 'prefix', 'everything']);
});

test('a port that is administratively down passes nothing', async () => {
  const { one, two } = await pair(securityGroup([rule({})]));
  expect(await pings(one, '10.0.0.12')).toBe(true);
  lab.change([{ ...two.port, admin_state_up: false }]);
  expect(await lab.command('ports.ensure', [two.port.id])).toMatchObject({ outcome: 'done' });
  expect(await pings(one, '10.0.0.12')).toBe(false);
});
