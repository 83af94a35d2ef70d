// What is left of routers that another host may serve by now.
import type { NetworkState, RouterState } from '@cumulet/common';
import { nothingDesired, type Desired } from '../../../network-agent/src/desired';
import { withdraw } from '../../../network-agent/src/withdraw';
import { tenantNetwork } from '../../support/networkLab';

const inner = tenantNetwork();
const outer: NetworkState = {
  ...inner,
  id: 'outer',
  attachment: { type: 'physical', physical_network: 'lan' },
};
const port = (port_id: string, network_id: string, addresses: string[]): RouterState['interfaces'][number] => ({
  port_id,
  network_id,
  mac: 'fa:16:3e:00:00:01',
  addresses,
});
const router = (id: string): RouterState => ({
  kind: 'router',
  id,
  admin_state_up: true,
  interfaces: [port('p1', inner.id, ['10.0.0.1/24', 'fd00::1/64']), port('p2', outer.id, ['192.168.1.2/24'])],
  gateway: {
    port_id: 'p3',
    network_id: outer.id,
    mac: 'fa:16:3e:00:00:02',
    addresses: ['172.24.4.10/24'],
    next_hops: ['172.24.4.1'],
    enable_snat: true,
  },
  floating_ips: [{ id: 'f1', floating_address: '172.24.4.20', fixed_address: '10.0.0.5' }],
  routes: [
    { destination: '192.0.2.0/24', nexthop: '10.0.0.9' },
    { destination: '2001:db8::/32', nexthop: 'fd00::9' },
    { destination: '198.51.100.0/24', nexthop: '172.24.4.7' },
    { destination: '203.0.113.0/24', nexthop: '192.168.1.9' },
  ],
});
const desired: Desired = {
  ...nothingDesired,
  networks: new Map([inner, outer].map((one) => [one.id, one])),
  routers: new Map(['r1', 'r2'].map((id) => [id, router(id)])),
};

test('no gateway, no floating address, no interface on a physical network, no route that leads there', () => {
  const left = withdraw(desired, new Set(['r1', 'unknown']));
  expect(left.routers.get('r1')).toEqual({
    ...router('r1'),
    interfaces: [router('r1').interfaces[0]],
    gateway: null,
    floating_ips: [],
    routes: router('r1').routes.slice(0, 2),
  });
});

test('other routers, and all else, stay as they are', () => {
  const left = withdraw(desired, new Set(['r1']));
  expect(left.routers.get('r2')).toBe(desired.routers.get('r2'));
  expect(left.networks).toBe(desired.networks);
  expect(withdraw(desired, new Set())).toBe(desired);
});
