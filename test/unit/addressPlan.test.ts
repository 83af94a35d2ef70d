// Which addresses a port gets, by tables: what it asks for, on which subnets, as whose port.
import type { Subnet } from '../../controller/src/db/entities/network';
import { planAddresses, type FixedIpRequest } from '../../controller/src/services/network/addressPlan';

const subnet = (id: string, cidr: string, changes: Partial<Subnet> = {}): Subnet =>
  ({
    id,
    cidr,
    ip_version: cidr.includes(':') ? 6 : 4,
    ipv6_address_mode: null,
    ipv6_ra_mode: null,
    service_types: [],
    ...changes,
  }) as unknown as Subnet;

const v4 = subnet('v4', '10.0.0.0/24');
const v6 = subnet('v6', 'fd00:1::/64');
const auto = subnet('auto', 'fd00:2::/64', { ipv6_address_mode: 'slaac', ipv6_ra_mode: 'slaac' });
const stateless = subnet('stateless', 'fd00:3::/64', { ipv6_ra_mode: 'dhcpv6-stateless' });
const pair = subnet('pair', '10.0.1.0/31');
const routers = subnet('routers', '10.0.2.0/24', { service_types: ['network:router'] });
const EUI64 = 'fd00:2::f816:3eff:fe00:1';

const port = (deviceOwner = 'compute:nova') => ({ networkId: 'net', deviceOwner, mac: 'fa:16:3e:00:00:01' });
const plan = (subnets: Subnet[], requests?: FixedIpRequest[], owner?: string) =>
  planAddresses(port(owner), subnets, requests).map(({ candidates, address }) => [
    candidates.map(({ id }) => id).join(' '),
    ...(address === undefined ? [] : [address]),
  ]);

test.each<[string, Subnet[], FixedIpRequest[] | undefined, string | undefined, string[][]]>([
  ['one of each version unless it asks', [v4, pair, v6], undefined, undefined, [['v4 pair'], ['v6']]],
  ['none on a network without subnets', [], undefined, undefined, []],
  ['none when it asks for none', [v4, auto], [], undefined, []],
  ['any of the subnet it names', [v4, pair], [{ subnet_id: 'pair' }], undefined, [['pair']]],
  ['the address it names', [v4, pair], [{ ip_address: '10.0.0.7' }], undefined, [['v4', '10.0.0.7']]],
  ['both ends of a subnet of two', [pair], [{ ip_address: '10.0.1.0' }], undefined, [['pair', '10.0.1.0']]],
  ['an IPv6 address in one spelling', [v6], [{ ip_address: 'FD00:1::0:7' }], undefined, [['v6', 'fd00:1::7']]],
  ['what its MAC makes, on automatic subnets', [v4, auto], undefined, undefined, [['v4'], ['auto', EUI64]]],
  [
    'an automatic one once, however it is asked for',
    [auto],
    [{ subnet_id: 'auto' }, { ip_address: EUI64 }],
    undefined,
    [['auto', EUI64]],
  ],
  [
    'an automatic one beside what it asks for',
    [v4, stateless],
    [{ subnet_id: 'v4' }],
    undefined,
    [['v4'], ['stateless', 'fd00:3::f816:3eff:fe00:1']],
  ],
  [
    'as a router, what it asks for also on automatic subnets',
    [auto],
    [{ ip_address: 'fd00:2::1' }],
    'network:router_interface',
    [['auto', 'fd00:2::1']],
  ],
  ['as a router, none that its MAC makes', [v4, auto], undefined, 'network:router_gateway', [['v4']]],
  ['subnets that are for its kind of port', [v4, routers], undefined, 'network:router_gateway', [['routers']]],
  ['no subnets that are for others', [v4, routers], undefined, undefined, [['v4']]],
])('a port gets %s', (_, subnets, requests, owner, wishes) => {
  expect(plan(subnets, requests, owner)).toEqual(wishes);
});

test.each<[FixedIpRequest, RegExp]>([
  [{}, /requires subnet_id or ip_address/],
  [{ ip_address: '10.0.0' }, /'10\.0\.0' is not a valid IP address/],
  [{ subnet_id: 'foreign' }, /included invalid subnet foreign/],
  [{ ip_address: '192.0.2.1' }, /192\.0\.2\.1 is not a valid IP for any of the subnets/],
  [{ subnet_id: 'v4', ip_address: '10.0.1.0' }, /10\.0\.1\.0 is not a valid IP for the specified subnet/],
  [{ ip_address: '10.0.0.0' }, /10\.0\.0\.0 is not a valid IP for the specified subnet/],
  [{ ip_address: '10.0.0.255' }, /10\.0\.0\.255 is not a valid IP for the specified subnet/],
  [{ ip_address: 'fd00:2::7' }, /fd00:2::7 can not be directly assigned .* automatic addresses/],
])('%j is refused', (request, message) => {
  expect(() => plan([v4, pair, auto], [request])).toThrow(message);
});
