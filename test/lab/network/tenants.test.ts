// Two tenants with the same addresses on one host at the same time: their packets share a kernel and never a flow.
import { randomUUID } from 'node:crypto';
import { arrivals, between, echo, ipv4, sendFrames, sentinel, tagged, udp, watch } from '../../support/frames';
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
import type { SecurityGroupState } from '@cumulet/common';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const udp5000 = (): SecurityGroupState =>
  securityGroup([rule({ protocol: 'udp', port_range_min: 5000, port_range_max: 5000 })]);

interface Tenant {
  readonly one: Guest;
  readonly two: Guest;
}

/** A tenant: 10.0.0.1 and 10.0.0.2 on a network of its own, the second behind the group. */
async function tenant(group: SecurityGroupState): Promise<Tenant> {
  const network = tenantNetwork('10.0.0.0/24', { id: randomUUID(), dhcp: null });
  const open = securityGroup([]);
  const [one, two] = [serverPort(network, '10.0.0.11', [open.id]), serverPort(network, '10.0.0.12', [group.id])];
  lab.change([network, open, group, one, two]);
  const guests = { one: await lab.guest(one), two: await lab.guest(two) };
  expect(await lab.command('ports.ensure', [one.id, two.id])).toMatchObject({ outcome: 'done' });
  return guests;
}

/** A datagram of the tenants' common 5-tuple, or of its opposite direction. */
const datagram = (from: Guest, to: Guest, tag: string, back = false): Buffer =>
  ipv4(between(from, to), 17, back ? udp(5000, 4000, tagged(tag)) : udp(4000, 5000, tagged(tag)));

async function establish({ one, two }: Tenant): Promise<void> {
  expect(await arrivals(one, two, [datagram(one, two, 'hello')])).toEqual(['hello']);
  expect(await arrivals(two, one, [datagram(two, one, 'answer', true)])).toEqual(['answer']);
}

test('the same 5-tuple at the same time is judged by each tenant alone', async () => {
  await lab.agent();
  const a = await tenant(udp5000());
  const b = await tenant(securityGroup([]));
  expect(await arrivals(b.one, b.two, [datagram(b.one, b.two, 'before')])).toEqual([]);
  await establish(a);
  expect(await arrivals(b.one, b.two, [datagram(b.one, b.two, 'during')])).toEqual([]);
  expect(await arrivals(a.one, a.two, [datagram(a.one, a.two, 'again')])).toEqual(['again']);
  // Without the zones the other tenant's flow would be taken for this one's: the attack is real.
  await lab.exec(['nft', 'delete', 'table', 'inet', 'cumulet']);
  await establish(a);
  expect(await arrivals(b.one, b.two, [datagram(b.one, b.two, 'unzoned')])).toEqual(['unzoned']);
});

test('a first fragment of one tenant and the second of another never become one packet', async () => {
  await lab.agent();
  const open = (): SecurityGroupState => securityGroup([rule({})]);
  const a = await tenant(open());
  const b = await tenant(open());
  const [head, tail] = [Buffer.concat([tagged('joined_a'), Buffer.alloc(3)]), tagged('joined_b')];
  const first = (t: Tenant): Buffer =>
    ipv4(between(t.one, t.two), 17, udp(4000, 5000, head, 8 + head.length + tail.length), 0x1234, 0x2000);
  const second = (t: Tenant): Buffer => ipv4(between(t.one, t.two), 17, tail, 0x1234, (8 + head.length) / 8);
  const attack = async (): Promise<string[]> => {
    const [atA, atB] = [await watch(a.two), await watch(b.two)];
    await sendFrames(a.one, [first(a)]);
    await sendFrames(b.one, [second(b), sentinel(b.one, b.two, 'end')]);
    await sendFrames(a.one, [sentinel(a.one, a.two, 'end')]);
    return [...(await atA.until('end')), ...(await atB.until('end'))];
  };
  expect(await attack()).toEqual([]);
  // Without the zones the kernel joins them: the attack is real.
  await lab.exec(['nft', 'delete', 'table', 'inet', 'cumulet']);
  expect(await attack()).toContain('joined_b');
});

test('removing a rule cuts the flow that it let in, and leaves the others', async () => {
  await lab.agent();
  const group = securityGroup([
    rule({ protocol: 'udp', port_range_min: 5000, port_range_max: 5000 }),
    rule({ protocol: 'icmp' }),
  ]);
  const a = await tenant(group);
  await establish(a);
  lab.change([{ ...group, rules: group.rules.filter((entry) => entry.protocol !== 'udp') }]);
  expect(await lab.command('ports.ensure', [a.two.port.id])).toMatchObject({ outcome: 'done' });
  expect(await arrivals(a.one, a.two, [datagram(a.one, a.two, 'late')])).toEqual([]);
  expect(await pings(a.one, '10.0.0.12')).toBe(true);
});

test('nothing gets from one tenant to another, and the host itself is out of reach from a tenant network', async () => {
  await lab.agent();
  const a = await tenant(udp5000());
  const b = await tenant(udp5000());
  await lab.exec(['ip', 'link', 'add', 'lan0', 'type', 'bridge']);
  await lab.exec(['ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'lan0']);
  await lab.exec(['ip', 'link', 'set', 'lan0', 'up']);
  const shown = await lab.exec(['ip', '-json', 'link', 'show', 'type', 'bridge']);
  const every = JSON.parse(shown.stdout) as { ifname: string; address: string }[];
  const bridges = every.filter(({ ifname }) => ifname.startsWith('br'));
  expect(bridges).toHaveLength(2);
  await lab.exec([
    'nft',
    'add table inet spy; add chain inet spy input { type filter hook input priority 0; }; add rule inet spy input ip daddr 192.0.2.1 counter',
  ]);
  const toHost = bridges.map(({ address }) =>
    ipv4({ ...between(a.one, a.two), toMac: address, to: '192.0.2.1' }, 1, echo(tagged('host'))),
  );
  const seen = await watch(b.two);
  await sendFrames(a.one, [...toHost, ipv4(between(a.one, b.two), 17, udp(4000, 5000, tagged('crossed')))]);
  await sendFrames(b.one, [sentinel(b.one, b.two, 'end')]);
  expect(await seen.until('end')).toEqual([]);
  const counter = await lab.exec(['nft', 'list', 'table', 'inet', 'spy']);
  expect(counter.stdout).toContain('counter packets 0');
  // Without the bridge table the host would listen: the attack is real.
  await lab.exec(['nft', 'flush', 'chain', 'bridge', 'cumulet', 'input']);
  await sendFrames(a.one, toHost);
  expect((await lab.exec(['nft', 'list', 'table', 'inet', 'spy'])).stdout).not.toContain('counter packets 0');
});
