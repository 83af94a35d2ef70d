// Arbitrary bodies and queries: the network API answers each with a reason, never with an internal error.
import fc from 'fast-check';
import { networkService } from '../../controller/src/api/network/routes';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
let ids: Record<string, string>;
const { call, network, subnet, port, router, group } = networkCalls(() => cloud);

beforeAll(async () => {
  cloud = await startTestCloud();
  for (const project of ['demo-project', 'admin-project']) {
    const quota = Object.fromEntries(
      ['network', 'subnet', 'port', 'router', 'floatingip', 'security_group', 'security_group_rule'].map((name) => [
        name,
        -1,
      ]),
    );
    await call('PUT', `/quotas/${project}`, { quota }, 'admin');
  }
  const net = await network();
  ids = {
    network_id: net.id,
    subnet_id: (await subnet(net.id)).id,
    port_id: (await port(net.id)).id,
    router_id: (await router()).id,
    security_group_id: (await group()).id,
  };
});
afterAll(() => cloud.stop());

const words = [
  '',
  'x',
  'null',
  '0',
  '-1',
  '10.0.0.5',
  '10.0.0.0/24',
  'fd00::/64',
  '0.0.0.0/0',
  'tcp',
  'icmp',
  'ingress',
  'egress',
  'IPv6',
  'slaac',
  'True',
  '\u0000',
  "'; --",
  '%',
  '\ud800',
];
const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, -1, 4, 6, 65_536, 1e300, ...words),
  fc.constantFrom('network_id', 'subnet_id', 'port_id', 'router_id', 'security_group_id').map((name) => ({ id: name })),
);
const value = fc.oneof(
  { weight: 3, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom(
        'subnet_id',
        'ip_address',
        'start',
        'end',
        'destination',
        'nexthop',
        'network_id',
        'opt_name',
        'opt_value',
        '__proto__',
      ),
      scalar,
      { maxKeys: 3 },
    ),
  },
);
const withIds = (any: unknown): unknown =>
  JSON.parse(JSON.stringify(any), (_key, one: unknown) =>
    typeof one === 'object' && one !== null && Object.keys(one).length === 1 && 'id' in one
      ? (ids[String(one.id)] ?? one)
      : one,
  );

const attributes: Record<string, [string, string[]]> = {
  '/networks': [
    'network',
    [
      'name',
      'admin_state_up',
      'shared',
      'mtu',
      'dns_domain',
      'availability_zone_hints',
      'provider:network_type',
      'provider:segmentation_id',
      'router:external',
      'constructor',
    ],
  ],
  '/subnets': [
    'subnet',
    [
      'network_id',
      'cidr',
      'ip_version',
      'gateway_ip',
      'allocation_pools',
      'dns_nameservers',
      'host_routes',
      'ipv6_ra_mode',
      'ipv6_address_mode',
      'enable_dhcp',
      'prefixlen',
      'subnetpool_id',
      'service_types',
    ],
  ],
  '/ports': [
    'port',
    [
      'network_id',
      'fixed_ips',
      'mac_address',
      'security_groups',
      'allowed_address_pairs',
      'extra_dhcp_opts',
      'device_owner',
      'device_id',
      'binding:host_id',
      'binding:profile',
      'dns_name',
      'tags',
    ],
  ],
  '/routers': ['router', ['name', 'external_gateway_info', 'routes', 'admin_state_up']],
  '/floatingips': [
    'floatingip',
    ['floating_network_id', 'port_id', 'fixed_ip_address', 'floating_ip_address', 'subnet_id'],
  ],
  '/security-group-rules': [
    'security_group_rule',
    [
      'security_group_id',
      'direction',
      'ethertype',
      'protocol',
      'port_range_min',
      'port_range_max',
      'remote_ip_prefix',
      'remote_group_id',
    ],
  ],
  '/subnetpools': [
    'subnetpool',
    ['name', 'prefixes', 'min_prefixlen', 'max_prefixlen', 'default_prefixlen', 'default_quota'],
  ],
  '/address-groups': ['address_group', ['name', 'addresses']],
  '/rbac-policies': ['rbac_policy', ['object_type', 'object_id', 'action', 'target_tenant']],
};

test.each(Object.entries(attributes))('%s takes or refuses any body in words', async (path, [member, names]) => {
  const body = fc.dictionary(fc.constantFrom(...names), value, { minKeys: 1, maxKeys: names.length });
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom('demo', 'admin'), async (values, token) => {
      const answer = await call('POST', path, { [member]: withIds(values) }, token);
      expect([201, 400, 403, 404, 409]).toContain(answer.status);
      if (answer.status !== 201) expect(answer.body.NeutronError.message).not.toBe('');
    }),
    { numRuns: 60 },
  );
});

test('any query of a list is answered or refused in words', async () => {
  const paths = networkService.routes
    .filter((route) => route.method === 'GET' && !route.path.includes(':'))
    .map((route) => route.path);
  const keys = fc.constantFrom(
    'name',
    'id',
    'fixed_ips',
    'tags',
    'not-tags-any',
    'shared',
    'mtu',
    'fields',
    'sort_key',
    'sort_dir',
    'limit',
    'marker',
    'page_reverse',
    'router:external',
    'changed_since',
    'revision_number',
    'constructor',
    '__proto__',
    '',
  );
  const texts = fc.oneof(
    fc.constantFrom(
      '',
      'name',
      'asc',
      'desc',
      '1',
      '0',
      'true',
      'ip_address=10.0.0.1',
      'ip_address_substr=%',
      'x=',
      '=',
      '\u0000',
      "' OR 1=1 --",
    ),
    fc.string({ maxLength: 12 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.array(fc.tuple(keys, texts), { maxLength: 4 }),
      async (path, pairs) => {
        const answer = await call('GET', `${path}?${new URLSearchParams(pairs).toString()}`);
        expect([200, 400, 403, 404]).toContain(answer.status);
      },
    ),
    { numRuns: 200 },
  );
});
