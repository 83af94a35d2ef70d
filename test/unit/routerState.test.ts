// A router as its host's agent gets it: what is gone while the rows are read is left out.
import type { FloatingIp, Port, PortAddress, Router, Subnet } from '../../controller/src/db/entities/network';
import { routerState, type RouterParts } from '../../controller/src/services/network/routerState';

const byId = <T extends { id: string }>(...rows: object[]): Map<string, T> =>
  new Map(rows.map((row) => [(row as T).id, row as T]));
const router = (gateway: string | null): Router =>
  ({
    id: 'r',
    admin_state_up: true,
    gateway_port_id: gateway,
    enable_snat: true,
    routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
  }) as unknown as Router;
const inside = { id: 'inside', network_id: 'net', mac_address: 'fa:16:3e:00:00:01' };
const outside = { id: 'outside', network_id: 'public', mac_address: 'fa:16:3e:00:00:02' };
const lan = { id: 'lan', cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1' };
const wan = { id: 'wan', cidr: '172.24.4.0/24', gateway_ip: '172.24.4.1' };
const address = (subnet_id: string, text: string): PortAddress => ({ subnet_id, address: text }) as PortAddress;
const parts = (changes: Partial<RouterParts> = {}): RouterParts => ({
  ports: byId<Port>(inside, outside),
  addresses: new Map([
    ['inside', [address('lan', '10.0.0.1')]],
    ['outside', [address('wan', '172.24.4.7')]],
  ]),
  subnets: byId<Subnet>(lan, wan),
  subnetsOf: new Map([['public', [wan as Subnet]]]),
  ...changes,
});
const floating = (fixed: string | null): FloatingIp =>
  ({ id: 'f', floating_ip_address: '172.24.4.9', fixed_ip_address: fixed }) as FloatingIp;

test('has its interfaces, its gateway with the next hops, its floating IPs and its routes', () => {
  expect(routerState(router('outside'), ['inside'], [floating('10.0.0.5')], parts())).toEqual({
    kind: 'router',
    id: 'r',
    admin_state_up: true,
    interfaces: [{ port_id: 'inside', network_id: 'net', mac: inside.mac_address, addresses: ['10.0.0.1/24'] }],
    gateway: {
      port_id: 'outside',
      network_id: 'public',
      mac: outside.mac_address,
      addresses: ['172.24.4.7/24'],
      next_hops: ['172.24.4.1'],
      enable_snat: true,
    },
    floating_ips: [{ id: 'f', floating_address: '172.24.4.9', fixed_address: '10.0.0.5' }],
    routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
  });
});

test('has no gateway and no floating IP when it has neither', () => {
  const state = routerState(router(null), [], [floating(null)], parts());
  expect([state.gateway, state.interfaces, state.floating_ips]).toEqual([null, [], []]);
});

test('has no next hop in a subnet without a gateway, or in one where its port has no address', () => {
  const subnets = [{ ...wan, gateway_ip: null }, lan] as Subnet[];
  const state = routerState(router('outside'), [], [], parts({ subnetsOf: new Map([['public', subnets]]) }));
  expect(state.gateway?.next_hops).toEqual([]);
});

test.each<[string, Partial<RouterParts>, object[]]>([
  ['port', { ports: byId<Port>(outside) }, []],
  ['address', { addresses: new Map() }, [{ port_id: 'inside', addresses: [] }]],
  ['subnet', { subnets: byId<Subnet>(wan) }, [{ port_id: 'inside', addresses: [] }]],
])('leaves out what belongs to a %s that is gone', (_what, changes, interfaces) => {
  expect(routerState(router(null), ['inside'], [], parts(changes)).interfaces).toMatchObject(interfaces);
});
