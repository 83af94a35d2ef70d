// A router's namespace: links, routes and the text of its rules.
import type { RouterState } from '@cumulet/common';
import { newAddresses, routerPlan, staleTranslations } from '../../../network-agent/src/router';
import { tenantNetwork } from '../../support/networkLab';

const inner = tenantNetwork();
const GATEWAY: NonNullable<RouterState['gateway']> = {
  port_id: '22222222-0000-4000-8000-000000000000',
  network_id: 'outside',
  mac: 'fa:16:3e:00:00:02',
  addresses: ['172.24.4.10/24', 'fd00:ff::10/64'],
  next_hops: ['172.24.4.1'],
  enable_snat: true,
};
const FLOATING = { id: 'f1', floating_address: '172.24.4.20', fixed_address: '10.0.0.5' };
const router = (over: Partial<RouterState> = {}): RouterState => ({
  kind: 'router',
  id: 'r',
  admin_state_up: true,
  interfaces: [
    {
      port_id: '11111111-0000-4000-8000-000000000000',
      network_id: inner.id,
      mac: 'fa:16:3e:00:00:01',
      addresses: ['10.0.0.1/24'],
    },
  ],
  gateway: GATEWAY,
  floating_ips: [FLOATING],
  routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
  ...over,
});
const plan = (over: Partial<RouterState> = {}) => routerPlan(router(over), new Map([[inner.id, inner]]));

test('links with the networks’ MTU, the floating addresses on the outer one, routes inside and out', () => {
  const { state } = plan();
  expect(state.links.map(({ name, mtu, addresses }) => [name, mtu, addresses])).toEqual([
    ['qr11111111000', 1350, ['10.0.0.1/24']],
    ['qg22222222000', 1500, ['172.24.4.10/24', 'fd00:ff::10/64', '172.24.4.20/32']],
  ]);
  expect(state.routes).toEqual([
    { destination: 'default', nexthop: '172.24.4.1', dev: 'qg22222222000' },
    { destination: '192.0.2.0/24', nexthop: '10.0.0.9' },
  ]);
});

test('translations: in, out, back inside, and the shared address last', () => {
  const { rules4 } = plan();
  const order = [
    '-A PREROUTING -d 172.24.4.20 -m comment --comment f1 -j DNAT --to-destination 10.0.0.5',
    '-A POSTROUTING -s 10.0.0.5 -o qg22222222000 -m comment --comment f1 -j SNAT --to-source 172.24.4.20',
    '-A POSTROUTING -m mark ! --mark 1 -m conntrack --ctstate DNAT -j SNAT --to-source 172.24.4.10',
    '-A POSTROUTING -o qg22222222000 -m mark ! --mark 1 -j SNAT --to-source 172.24.4.10',
    '-A FORWARD -i qg22222222000 -j DROP',
  ].map((line) => rules4.indexOf(line));
  expect(order).not.toContain(-1);
  expect(order).toEqual([...order].sort((a, b) => a - b));
});

test('without SNAT the shared address is used for hairpins only, and outside may route in', () => {
  const { rules4 } = plan({ gateway: { ...GATEWAY, enable_snat: false } });
  expect(rules4).not.toContain('-o qg22222222000 -m mark');
  expect(rules4).not.toContain('-j DROP');
});

test('a gateway without an IPv4 address translates to floating addresses only', () => {
  const { rules4 } = plan({ gateway: { ...GATEWAY, addresses: ['fd00:ff::10/64'] } });
  expect(rules4).toContain('--to-source 172.24.4.20');
  expect(rules4).not.toContain('172.24.4.10');
});

test('without a gateway nothing is translated, MSS is clamped all the same', () => {
  const { rules4, rules6, state } = plan({ gateway: null });
  expect(rules4).not.toContain('NAT --to');
  expect(rules4).toContain('--clamp-mss-to-pmtu');
  expect(rules6).toContain('--clamp-mss-to-pmtu');
  expect(state.links).toHaveLength(1);
});

test('an address that makes no rule is refused', () => {
  expect(() => plan({ floating_ips: [{ ...FLOATING, fixed_address: '10.0.0.5 -j ACCEPT' }] })).toThrow(
    'is not an IP address',
  );
});

test('new addresses are announced on their links, known ones not', () => {
  const announced = (before: RouterState | undefined, after: RouterState): string[] =>
    newAddresses(before, after).map(({ link, address }) => `${link.slice(0, 2)} ${address}`);
  const outer = ['qg 172.24.4.10', 'qg 172.24.4.20'];
  expect(announced(undefined, router())).toEqual(['qr 10.0.0.1', ...outer]);
  expect(announced(router({ floating_ips: [] }), router())).toEqual(['qg 172.24.4.20']);
  expect(announced(router({ gateway: null }), router())).toEqual(outer);
  expect(announced(router(), router({ gateway: null }))).toEqual([]);
});

test('translations that went away or lead elsewhere are ended', () => {
  expect(staleTranslations(undefined, router())).toEqual([]);
  expect(staleTranslations(router(), router())).toEqual([]);
  const gone = ['-D -d 172.24.4.20', '-D -q 172.24.4.20'];
  expect(staleTranslations(router(), router({ floating_ips: [] }))).toEqual(gone);
  expect(staleTranslations(router(), router({ floating_ips: [{ ...FLOATING, fixed_address: '10.0.0.6' }] }))).toEqual(
    gone,
  );
});
