// cumulet subnet and subnet pool.
import type { Command, Options } from '../command';
import { clears, drops, either, int, list, record, ref, sets, str } from '../fields';
import { networkNoun, route, sharing } from './networkOptions';
import { net, subnet, subnetPool } from './resources';

const pool = record({ start: 'start', end: 'end' });
const gateway = str('gateway_ip', 'address of the gateway, or none, or auto', 'ADDRESS', {
  put: ([given]) => (given === 'auto' ? {} : { gateway_ip: given === 'none' ? null : given }),
});

const settable: Options = {
  ...either('enable_dhcp', 'dhcp', 'no-dhcp', 'hand out addresses'),
  gateway,
  'no-allocation-pool': clears('allocation_pools', 'forget the ranges so far'),
  'allocation-pool': list('allocation_pools', 'a range to take addresses from', 'start=ADDRESS,end=ADDRESS', {
    read: pool,
  }),
  'no-dns-nameservers': clears('dns_nameservers', 'forget the name servers so far'),
  'dns-nameserver': list('dns_nameservers', 'a name server', 'ADDRESS'),
  'no-host-route': clears('host_routes', 'forget the routes so far'),
  'host-route': list('host_routes', 'a route of its servers', 'destination=CIDR,gateway=ADDRESS', { read: route }),
  'service-type': list('service_types', 'kind of device it is for', 'TYPE'),
};

const version: Options = {
  'ip-version': str('ip_version', '4 or 6', 'VERSION', {
    oneOf: ['4', '6'],
    put: ([given]) => ({ ip_version: Number(given) }),
  }),
};

const subnets = networkNoun(subnet, {
  example: 'demo-subnet',
  list: {
    columns: { ID: 'id', Name: 'name', Network: 'network_id', Subnet: 'cidr' },
    long: {
      Project: 'project_id',
      DHCP: 'enable_dhcp',
      'Name Servers': 'dns_nameservers',
      'Allocation Pools': 'allocation_pools',
      'Host Routes': 'host_routes',
      'IP Version': 'ip_version',
      Gateway: 'gateway_ip',
      'Service Types': 'service_types',
      Tags: 'tags',
    },
    filters: {
      network: ref('network_id', net, 'only those of this network'),
      'subnet-range': str('cidr', 'only this range', 'CIDR'),
      gateway: str('gateway_ip', 'only those with this gateway', 'ADDRESS'),
      'subnet-pool': ref('subnetpool_id', subnetPool, 'only those out of this pool'),
      ...version,
      ...either('enable_dhcp', 'dhcp', 'no-dhcp', 'only those with DHCP', 'only those without DHCP'),
    },
  },
  create: {
    example: '--network demo --subnet-range 10.0.0.0/24 demo-subnet',
    options: {
      network: ref('network_id', net, 'network it belongs to', { required: true }),
      'subnet-range': str('cidr', 'its addresses', 'CIDR', {
        put: ([cidr]) => ({ cidr, ip_version: String(cidr).includes(':') ? 6 : 4 }),
      }),
      'subnet-pool': ref('subnetpool_id', subnetPool, 'pool its addresses come from', {
        put: ([subnetpool_id], before) => ({ subnetpool_id, ip_version: before['ip_version'] ?? 4 }),
      }),
      'use-default-subnet-pool': sets(
        { use_default_subnetpool: true, ip_version: 4 },
        'take addresses from the default pool',
      ),
      'prefix-length': int('prefixlen', 'length of its prefix, out of a pool', 'BITS'),
      ...version,
      ...settable,
      'ipv6-ra-mode': str('ipv6_ra_mode', 'how routers announce it', 'MODE'),
      'ipv6-address-mode': str('ipv6_address_mode', 'how addresses are made', 'MODE'),
    },
  },
  set: { example: '--dns-nameserver 9.9.9.9 demo-subnet', options: settable },
  unset: {
    example: '--dns-nameserver 9.9.9.9 demo-subnet',
    options: {
      gateway: sets({ gateway_ip: null }, 'the gateway'),
      'allocation-pool': drops('allocation_pools', 'a range', 'start=ADDRESS,end=ADDRESS', { read: pool }),
      'dns-nameserver': drops('dns_nameservers', 'a name server', 'ADDRESS'),
      'host-route': drops('host_routes', 'a route', 'destination=CIDR,gateway=ADDRESS', { read: route }),
      'service-type': drops('service_types', 'a kind of device', 'TYPE'),
    },
  },
});

const poolSettable: Options = {
  'pool-prefix': list('prefixes', 'addresses of the pool', 'CIDR'),
  'default-prefix-length': int('default_prefixlen', 'prefix of a subnet unless said', 'BITS'),
  'min-prefix-length': int('min_prefixlen', 'shortest prefix', 'BITS'),
  'max-prefix-length': int('max_prefixlen', 'longest prefix', 'BITS'),
  ...either('is_default', 'default', 'no-default', 'the pool that is used unless another is named'),
  'default-quota': int('default_quota', 'most addresses of a project', 'COUNT'),
};

const pools = networkNoun(subnetPool, {
  example: 'lab-pool',
  list: {
    columns: { ID: 'id', Name: 'name', Prefixes: 'prefixes' },
    long: {
      'Default Prefix Length': 'default_prefixlen',
      'Default Subnet Pool': 'is_default',
      Shared: 'shared',
      Tags: 'tags',
    },
    filters: {
      ...sharing('only shared ones'),
      ...either('is_default', 'default', 'no-default', 'only the default', 'only others'),
    },
  },
  create: {
    example: '--pool-prefix 10.8.0.0/16 --default-prefix-length 24 lab-pool',
    options: { ...poolSettable, ...sharing() },
  },
  set: { example: '--pool-prefix 10.9.0.0/16 lab-pool', options: poolSettable },
  unset: { example: '--tag red lab-pool', options: {} },
});

export const commands: readonly Command[] = [...subnets, ...pools];
