// DHCP files: what each client is told, and what no client can smuggle into them.
import fc from 'fast-check';
import type { NetworkState, RouterState, SubnetState } from '@cumulet/common';
import { dhcpFiles } from '../../../network-agent/src/dhcp';
import { extraOption } from '../../../network-agent/src/dhcpOptions';
import { advertFiles } from '../../../network-agent/src/routerAdvert';

const subnet = (over: Partial<SubnetState> = {}): SubnetState => ({
  id: '11111111-1111-4111-8111-111111111111',
  cidr: '10.0.0.0/24',
  ip_version: 4,
  gateway_ip: '10.0.0.1',
  enable_dhcp: true,
  dns_nameservers: [],
  host_routes: [],
  ipv6_ra_mode: null,
  ipv6_address_mode: null,
  ...over,
});
const six = (over: Partial<SubnetState> = {}): SubnetState =>
  subnet({
    id: '66666666-6666-4666-8666-666666666666',
    cidr: 'fd00::/64',
    ip_version: 6,
    gateway_ip: 'fd00::1',
    ...over,
  });

const host = (over: Partial<NetworkState['dhcp_hosts'][number]> = {}): NetworkState['dhcp_hosts'][number] => ({
  port_id: '22222222-2222-4222-8222-222222222222',
  mac: 'fa:16:3e:00:00:05',
  hostname: 'web',
  addresses: [{ subnet_id: subnet().id, address: '10.0.0.5' }],
  extra_options: [],
  ...over,
});

const network = (over: Partial<NetworkState> = {}): NetworkState => ({
  kind: 'network',
  id: '33333333-3333-4333-8333-333333333333',
  mtu: 1400,
  attachment: { type: 'tenant' },
  tunnel: null,
  dns_domain: 'lab.test.',
  subnets: [subnet()],
  dhcp: { port_id: 'd', mac: 'fa:16:3e:00:00:02', addresses: [{ subnet_id: subnet().id, address: '10.0.0.2' }] },
  dhcp_hosts: [host()],
  ...over,
});

const files = (given: NetworkState) => dhcpFiles(given, '44444444-4444-4444-8444-444444444444', '/d');

describe('files of a network', () => {
  test('the usual network', () => {
    const made = files(network());
    expect(made.conf).toContain('interface=dh44444444444\n');
    expect(made.conf).toContain('domain=lab.test\nlocal=/lab.test/\n');
    expect(made.conf).toContain('dhcp-range=set:subnet-1111111111114111,10.0.0.0,static,255.255.255.0,86400\n');
    expect(made.hosts).toBe('fa:16:3e:00:00:05,set:port-2222222222224222,10.0.0.5,web\n');
    expect(made.names).toBe('10.0.0.5 web.lab.test web\n');
    expect(made.options.split('\n')).toEqual([
      'tag:subnet-1111111111114111,option:router,10.0.0.1',
      'tag:subnet-1111111111114111,option:dns-server,10.0.0.2',
      'tag:subnet-1111111111114111,option:classless-static-route,169.254.169.254/32,10.0.0.2,0.0.0.0/0,10.0.0.1',
      'tag:subnet-1111111111114111,249,169.254.169.254/32,10.0.0.2,0.0.0.0/0,10.0.0.1',
      'tag:subnet-1111111111114111,option:mtu,1400',
      '',
    ]);
    expect(made.problems.size).toBe(0);
  });

  test('without gateway, domain, own address and names', () => {
    const bare = network({
      dns_domain: '',
      dhcp: null,
      subnets: [subnet({ gateway_ip: null })],
      dhcp_hosts: [host({ hostname: 'not a name' })],
    });
    const made = files(bare);
    expect(made.conf).not.toContain('domain=');
    expect(made.options).toContain('option:router\n');
    expect(made.options).not.toContain('classless');
    expect(made.names).toBe('');
    expect(made.hosts).toBe('fa:16:3e:00:00:05,set:port-2222222222224222,10.0.0.5\n');
    expect(files(network({ dns_domain: '' })).names).toBe('10.0.0.5 web\n');
  });

  test('name servers and routes of the subnet, with a default route of its own', () => {
    const made = files(
      network({
        subnets: [
          subnet({
            cidr: '10.0.0.0/20',
            dns_nameservers: ['192.0.2.1', 'fd00::53'],
            host_routes: [{ destination: '0.0.0.0/0', nexthop: '10.0.0.9' }],
          }),
        ],
      }),
    );
    expect(made.conf).toContain('255.255.240.0');
    expect(made.options).toContain('option:dns-server,192.0.2.1\n');
    expect(made.options).toContain('classless-static-route,0.0.0.0/0,10.0.0.9,169.254.169.254/32,10.0.0.2\n');
  });

  test('subnets without DHCP are not served, their hosts still have a name', () => {
    const made = files(
      network({ subnets: [subnet({ enable_dhcp: false }), subnet({ id: 'x', cidr: '0.0.0.0/0', gateway_ip: null })] }),
    );
    expect(made.conf).not.toContain('10.0.0.0');
    expect(made.conf).toContain('0.0.0.0,static,0.0.0.0');
    expect(made.hosts).toBe('fa:16:3e:00:00:05,set:port-2222222222224222,web\n');
    expect(made.names).toBe('10.0.0.5 web.lab.test web\n');
  });

  test.each([
    ['dhcpv6-stateful', '[fd00::5]', true],
    ['dhcpv6-stateless', undefined, true],
    ['slaac', undefined, false],
    [null, undefined, false],
  ])('IPv6 subnet with address mode %p', (mode, address, served) => {
    const addresses = [{ subnet_id: six().id, address: 'fd00::5' }];
    const made = files(
      network({
        subnets: [six({ ipv6_address_mode: mode, dns_nameservers: ['fd00::53', '192.0.2.1'] })],
        dhcp_hosts: [host({ addresses })],
      }),
    );
    expect(made.hosts.includes('[fd00::5]')).toBe(address !== undefined);
    expect(made.conf.includes('fd00::,static,64')).toBe(served);
    expect(made.options.includes('option6:dns-server,[fd00::53]\n')).toBe(served);
  });

  test('an IPv6 subnet without a name server says nothing of names', () => {
    expect(files(network({ subnets: [six({ ipv6_address_mode: 'dhcpv6-stateful' })] })).options).toBe('');
  });

  test('a host that makes no line is named, the others are served', () => {
    const bad = host({ port_id: 'bad', mac: 'x\ny' });
    const forged = host({
      port_id: 'forged',
      mac: 'fa:16:3e:00:00:06',
      extra_options: [{ name: 'mtu', value: '1\n2', ip_version: 4 }],
    });
    const made = files(network({ dhcp_hosts: [bad, forged, host()] }));
    expect([...made.problems.keys()]).toEqual(['bad', 'forged']);
    expect(made.hosts.split('\n')).toHaveLength(2);
  });

  test('whatever names hosts carry, no file gets a line that is not ours', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (hostname, domain, value) => {
        const given = host({ hostname, extra_options: [{ name: 'bootfile-name', value, ip_version: 4 }] });
        const made = files(network({ dns_domain: domain, dhcp_hosts: [given] }));
        for (const line of made.hosts.split('\n'))
          expect(line === '' || line.startsWith('fa:16:3e:00:00:05,set:port-')).toBe(true);
        for (const line of made.options.split('\n')) expect(line === '' || line.startsWith('tag:')).toBe(true);
        for (const line of made.names.split('\n')) expect(line === '' || line.startsWith('10.0.0.5 ')).toBe(true);
        for (const line of made.conf.split('\n'))
          expect(line).toMatch(/^(# network [0-9a-f-]+|[a-z-]+(=[\x21-\x7e]*)?|)$/);
      }),
    );
  });
});

describe('options of a port', () => {
  test.each([
    ['mtu', '1400', 4, '26,1400'],
    ['26', '1400', 4, '26,1400'],
    ['server-ip-address', '10.0.0.9', 4, 'option:server-ip-address,10.0.0.9'],
    ['domain-search', 'a.b', 6, 'option6:24,a.b'],
    ['59', 'tftp://x', 6, 'option6:59,tftp://x'],
  ])('%s', (name, value, version, expected) => {
    expect(extraOption({ name, value, ip_version: version })).toBe(expected);
  });

  test.each([
    ['dhcp-script', 'x', 4],
    ['250', 'x', 4],
    ['constructor', 'x', 4],
    ['mtu', '1\r2', 4],
    ['mtu', '1\u00002', 4],
    ['mtu', '1\u20282', 4],
    ['mtu', 'x'.repeat(256), 4],
  ])('%s is refused', (name, value, version) => {
    expect(() => extraOption({ name, value, ip_version: version })).toThrow('DHCP option');
  });
});

describe('router advertisements', () => {
  const announce = (
    given: SubnetState,
    addresses = ['fd00::1/64'],
    dhcp: NetworkState['dhcp'] = null,
  ): string | undefined => {
    const router: RouterState = {
      kind: 'router',
      id: 'r',
      admin_state_up: true,
      interfaces: [
        {
          port_id: '55555555-5555-4555-8555-555555555555',
          network_id: network().id,
          mac: 'fa:16:3e:00:00:01',
          addresses,
        },
        { port_id: 'lost', network_id: 'lost', mac: 'fa:16:3e:00:00:01', addresses },
      ],
      gateway: null,
      floating_ips: [],
      routes: [],
    };
    return advertFiles(router, new Map([[network().id, network({ subnets: [given], dhcp })]]))?.conf;
  };

  test.each([
    ['slaac', 'fd00::,ra-only,64'],
    ['dhcpv6-stateless', 'fd00::,ra-stateless,64'],
    ['dhcpv6-stateful', 'fd00::,static,64'],
  ])('%s', (mode, expected) => {
    const conf = announce(six({ ipv6_ra_mode: mode }));
    expect(conf).toContain(expected);
    expect(conf).toContain('ra-param=qr55555555555,mtu:1400,200,1800\n');
    expect(conf).toContain('option6:dns-server\n');
  });

  test('name servers of the subnet, else the network’s own', () => {
    expect(announce(six({ ipv6_ra_mode: 'slaac', dns_nameservers: ['fd00::53', '192.0.2.1'] }))).toContain(
      'option6:dns-server,[fd00::53]\n',
    );
    const dhcp = { port_id: 'd', mac: 'fa:16:3e:00:00:02', addresses: [{ subnet_id: six().id, address: 'fd00::2' }] };
    expect(announce(six({ ipv6_ra_mode: 'slaac' }), undefined, dhcp)).toContain('option6:dns-server,[fd00::2]\n');
  });

  test('nothing for IPv4, for a subnet that another router announces, or where the router has no address', () => {
    expect(announce(subnet())).toBeUndefined();
    expect(announce(six())).toBeUndefined();
    expect(announce(six({ ipv6_ra_mode: 'slaac' }), ['fd01::1/64'])).toBeUndefined();
  });
});
