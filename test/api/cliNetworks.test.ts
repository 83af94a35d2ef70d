// cumulet network, subnet, port, router, floating ip, security group, address group and what belongs to them.
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
});
afterAll(() => all.stop());

test('network', async () => {
  const made = await json('network create --description lab --mtu 1400 --disable --tag red n1');
  expect(made).toMatchObject({ name: 'n1', description: 'lab', mtu: 1400, admin_state_up: false, tags: ['red'] });
  expect(await json('network list --name n1 --long')).toMatchObject([{ State: 'DOWN', 'Router Type': 'Internal' }]);
  await ok('network set --name n2 --enable --share --tag blue n1');
  expect(await json('network show n2')).toMatchObject({ admin_state_up: true, shared: true, tags: ['blue', 'red'] });
  await ok('network unset --tag red n2');
  expect(await json('network list --tags blue --long')).toMatchObject([{ Name: 'n2', State: 'UP', Tags: ['blue'] }]);
  await ok('network set --no-tag --tag green n2');
  expect((await json('network show n2')).tags).toEqual(['green']);
  expect(await json('network list --name n1')).toEqual([]);
  expect(await json('network list --external')).toEqual([]);
  const { 'Total IPs': total } = (await json('ip availability list'))[0];
  expect(total).toBe(253);
  expect(await json('ip availability show demo')).toMatchObject({ network_name: 'demo', total_ips: 253 });
  expect(await json('network service provider list')).toMatchObject([{ 'Service Type': 'L3_ROUTER_NAT' }]);
  await ok('network delete n2');
  expect(await fails(1, 'network show dem')).toContain('no network is called "dem": did you mean "demo"?');
});

test('subnet', async () => {
  await ok('network create sn');
  const made = await json(
    'subnet create --network sn --subnet-range 10.1.0.0/24 --gateway 10.1.0.254 --allocation-pool start=10.1.0.10,end=10.1.0.99 --dns-nameserver 9.9.9.9 --host-route destination=10.9.0.0/16,gateway=10.1.0.2 s1',
  );
  expect(made).toMatchObject({
    gateway_ip: '10.1.0.254',
    ip_version: 4,
    allocation_pools: [{ start: '10.1.0.10', end: '10.1.0.99' }],
    dns_nameservers: ['9.9.9.9'],
    host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.1.0.2' }],
  });
  await ok('subnet set --dns-nameserver 1.1.1.1 --no-dhcp s1');
  expect(await json('subnet show s1')).toMatchObject({ dns_nameservers: ['9.9.9.9', '1.1.1.1'], enable_dhcp: false });
  await ok('subnet unset --dns-nameserver 9.9.9.9 --host-route destination=10.9.0.0/16,gateway=10.1.0.2 --gateway s1');
  expect(await json('subnet show s1')).toMatchObject({
    dns_nameservers: ['1.1.1.1'],
    host_routes: [],
    gateway_ip: null,
  });
  await ok('subnet set --no-dns-nameservers --dns-nameserver 8.8.8.8 s1');
  expect((await json('subnet show s1')).dns_nameservers).toEqual(['8.8.8.8']);
  expect(await fails(1, 'subnet unset --dns-nameserver 7.7.7.7 s1')).toContain('it has no "7.7.7.7"');
  expect(await json('subnet list --network sn --no-dhcp')).toMatchObject([{ Name: 's1', Subnet: '10.1.0.0/24' }]);
  const six = await json(
    'subnet create --network sn --subnet-range fd00:1::/64 --ipv6-ra-mode slaac --ipv6-address-mode slaac s6',
  );
  expect(six).toMatchObject({ ip_version: 6, ipv6_ra_mode: 'slaac' });
  await ok('subnet delete s1 s6');
  const bare = await json('subnet create --network sn --subnet-range 10.1.0.0/24 --ip-version 4 --gateway none s2');
  expect(bare).toMatchObject({ gateway_ip: null, ip_version: 4 });
  const usual = await json('subnet create --network sn --subnet-range 10.5.0.0/24 --gateway auto --dhcp s3');
  expect(usual).toMatchObject({ gateway_ip: '10.5.0.1', enable_dhcp: true });
  await ok('subnet delete s2 s3');
  expect(await fails(2, 'subnet create --network sn --subnet-range 10.0.0.0/24 --ip-version 5 x')).toContain(
    'is one of 4, 6',
  );
  expect(await fails(2, 'subnet create --network sn --allocation-pool from=1 x')).toContain('says "from"');
});

test('subnet pool', async () => {
  const pool = await json('subnet pool create --pool-prefix 10.8.0.0/16 --default-prefix-length 26 p1');
  expect(pool).toMatchObject({ prefixes: ['10.8.0.0/16'], default_prefixlen: 26 });
  await ok('subnet pool set --pool-prefix 10.10.0.0/16 --tag red p1');
  expect(await json('subnet pool show p1')).toMatchObject({ tags: ['red'] });
  await ok('subnet pool unset --tag red p1');
  expect(await json('subnet pool list --long')).toMatchObject([{ Name: 'p1', Tags: [] }]);
  await ok('network create pn');
  expect((await json('subnet create --network pn --subnet-pool p1 --prefix-length 28 from-pool')).cidr).toMatch(
    /\/28$/,
  );
  await ok('subnet delete from-pool');
  await ok('subnet pool delete p1');
  expect(await fails(1, 'subnet pool delete p1')).toContain('no subnet pool is called "p1"');
});

test('port', async () => {
  await ok('security group create sg');
  const made = await json(
    'port create --network demo --fixed-ip subnet=demo-subnet,ip-address=10.0.0.50 --security-group sg --allowed-address ip-address=10.0.0.99 eth0',
  );
  expect(made.fixed_ips).toMatchObject([{ ip_address: '10.0.0.50' }]);
  expect(made.security_groups).toHaveLength(1);
  await ok('port set --fixed-ip ip-address=10.0.0.51 --name eth1 --tag red eth0');
  expect((await json('port show eth1')).fixed_ips).toHaveLength(2);
  await ok(
    'port unset --fixed-ip ip-address=10.0.0.50 --security-group sg --allowed-address ip-address=10.0.0.99 eth1',
  );
  expect(await json('port show eth1')).toMatchObject({
    fixed_ips: [{ ip_address: '10.0.0.51' }],
    security_groups: [],
    allowed_address_pairs: [],
  });
  await ok('port set --no-fixed-ip --disable-port-security eth1');
  expect(await json('port show eth1')).toMatchObject({ fixed_ips: [], port_security_enabled: false });
  await ok('port set --binding-profile a=1 --binding-profile b=2 eth1');
  await ok('port unset --binding-profile a eth1');
  expect((await json('port show eth1'))['binding:profile']).toEqual({ b: '2' });
  expect(await json('port list --network demo --tags red')).toMatchObject([{ Name: 'eth1' }]);
  expect(await json('port list --fixed-ip ip-address=10.0.0.51')).toEqual([]);
  await ok('port delete eth1');
  expect(await fails(1, 'port create --network nothing x')).toContain('no network is called "nothing"');
  expect(await fails(1, 'port create --network demo --fixed-ip 192.0.2.1 x')).toContain('HTTP 400');
});

test('router and floating ip', async () => {
  await ok('network create --external public');
  await ok('subnet create --network public --subnet-range 172.24.4.0/24 --no-dhcp public-subnet');
  const router = await json('router create --external-gateway public --description out r1');
  expect(router.external_gateway_info.enable_snat).toBe(true);
  await ok('router set --disable-snat r1');
  const outside = (await json('router show r1')).external_gateway_info;
  expect(outside).toMatchObject({ network_id: router.external_gateway_info.network_id, enable_snat: false });
  await ok('router set --enable-snat --fixed-ip ip-address=172.24.4.99 --disable r1');
  const moved = await json('router show r1');
  expect(moved.external_gateway_info).toMatchObject({
    enable_snat: true,
    external_fixed_ips: [{ ip_address: '172.24.4.99' }],
  });
  expect(await json('router list')).toMatchObject([{ Name: 'r1', State: 'DOWN' }]);
  expect(await json('network list --external --long')).toMatchObject([{ Name: 'public', 'Router Type': 'External' }]);
  await ok('router set --enable r1');
  await ok('router add subnet r1 demo-subnet');
  expect(await json('port list --router r1 --device-owner network:router_interface')).toHaveLength(1);
  await ok('network create second');
  await ok('subnet create --network second --subnet-range 10.2.0.0/24 second');
  await ok('port create --network second leg');
  await ok('router add port r1 leg');
  await ok('router remove port r1 leg');
  const route = 'destination=10.9.0.0/16,gateway=10.0.0.9';
  await ok(`router set --route ${route} r1`);
  expect((await json('router show r1')).routes).toEqual([{ destination: '10.9.0.0/16', nexthop: '10.0.0.9' }]);
  await ok(`router unset --route ${route} r1`);
  expect((await json(`router add route --route ${route} r1`)).routes).toHaveLength(1);
  expect((await json(`router remove route --route ${route} r1`)).routes).toEqual([]);
  expect(await json('router list --long')).toMatchObject([{ Name: 'r1', State: 'UP' }]);

  await ok('port create --network demo --fixed-ip 10.0.0.60 target');
  const made = await json('floating ip create --port target --description door --tag red public');
  expect(made).toMatchObject({ fixed_ip_address: '10.0.0.60', description: 'door', tags: ['red'] });
  const address = made.floating_ip_address;
  await ok(`floating ip unset --port --tag red ${address}`);
  expect(await json(`floating ip show ${address}`)).toMatchObject({ port_id: null, tags: [] });
  await ok(`floating ip set --port target ${address}`);
  expect(await json('floating ip list --port target --network public --router r1')).toMatchObject([
    { 'Floating IP Address': address, 'Fixed IP Address': '10.0.0.60' },
  ]);
  await ok(`floating ip delete ${address}`);
  expect(await fails(1, 'floating ip create demo')).toContain('HTTP 400');
  expect(await fails(1, 'floating ip set --port target 192.0.2.9')).toContain('no floating ip is called "192.0.2.9"');

  expect(await fails(1, 'router delete r1')).toContain('HTTP 409');
  await ok('router remove subnet r1 demo-subnet');
  await ok('router unset --external-gateway r1');
  expect((await json('router show r1')).external_gateway_info).toBeNull();
  await ok('router delete r1');
  expect(await fails(2, 'router add route r1')).toContain('router add route needs --route');
  expect(await fails(1, 'router add subnet r1 demo-subnet')).toContain('no router is called "r1"');
});

test('security group and its rules', async () => {
  await ok('security group create --description "web servers" --stateless web');
  await ok('security group set --name www --tag red web');
  await ok('security group unset --tag red www');
  expect(await json('security group show www')).toMatchObject({
    description: 'web servers',
    stateful: false,
    tags: [],
  });
  expect(await json('security group list --name www')).toMatchObject([{ Name: 'www' }]);
  await ok('address group create --address 192.0.2.0/24 office');
  const create = 'security group rule create';
  expect(await json(`${create} --protocol tcp --dst-port 8000:8080 --remote-ip 10.0.0.0/8 www`)).toMatchObject({
    direction: 'ingress',
    port_range_min: 8000,
    port_range_max: 8080,
    ethertype: 'IPv4',
  });
  await ok(`${create} --protocol icmp --icmp-type 8 www`);
  await ok(`${create} --egress --protocol any --remote-ip fd00::/8 www`);
  await ok(`${create} --protocol tcp --dst-port 22 --remote-address-group office www`);
  await ok(`${create} --protocol udp --dst-port 53 --remote-group www www`);
  const rules = await json('security group rule list --ingress www');
  expect(rules.map((rule: Record<string, unknown>) => rule['Port Range']).sort()).toEqual([
    '22:22',
    '53:53',
    '8000:8080',
    'type=8',
  ]);
  // The list has no order; the rule for ICMP has to stay.
  const { ID: id } = rules.find((rule: Record<string, unknown>) => rule['Port Range'] === '22:22');
  expect(await json(`security group rule show ${id}`)).toMatchObject({ id, direction: 'ingress' });
  await ok(`security group rule delete ${id}`);
  expect(await json('security group rule list --protocol icmp')).toHaveLength(1);
  expect(await fails(2, `${create} --dst-port ssh www`)).toContain('--dst-port is a port or FIRST:LAST, not "ssh"');
  expect(await fails(1, `${create} --protocol tcp nothing`)).toContain('no security group is called "nothing"');

  await ok('address group set --name offices --address 198.51.100.7/32 office');
  expect((await json('address group show offices')).addresses.sort()).toEqual(['192.0.2.0/24', '198.51.100.7/32']);
  await ok('address group unset --address 192.0.2.0/24 offices');
  expect(await json('address group list')).toMatchObject([{ Name: 'offices', Addresses: ['198.51.100.7/32'] }]);
  await ok('security group delete www');
  await ok('address group delete offices');
  expect(await fails(1, 'address group create --address nonsense x')).toContain('HTTP 400');
});

test('the default group of one of several projects is the own one', async () => {
  await ok('security group list --project demo');
  expect((await all.run('security group list', { OS_CLOUD: 'demo' })).exit).toBe(0);
  const own = (await json('token issue')).project_id;
  expect((await json('security group show default')).project_id).toBe(own);
});

test('sharing, agents and extensions', async () => {
  await ok('network create ours');
  const made = await json('network rbac create --type network --action access_as_shared --target-project demo ours');
  expect(made).toMatchObject({ object_type: 'network', action: 'access_as_shared' });
  const demo = await all.run('network show ours -f value -c name', { OS_CLOUD: 'demo' });
  expect(demo.out).toBe('ours');
  await ok(`network rbac set --target-project admin ${made.id}`);
  expect(await all.run('network show ours', { OS_CLOUD: 'demo' })).toMatchObject({ exit: 1, out: '' });
  expect(await json('network rbac list --action access_as_shared --long')).toMatchObject([{ ID: made.id }]);
  expect(await json(`network rbac show ${made.id}`)).toMatchObject({ id: made.id });
  await ok(`network rbac delete ${made.id}`);
  const everybody = 'network rbac create --type network --action access_as_shared --target-all-projects ours';
  expect(await json(everybody)).toMatchObject({ target_tenant: '*' });
  expect((await all.run('network show ours -f value -c name', { OS_CLOUD: 'demo' })).out).toBe('ours');
  expect(await fails(2, 'network rbac create --type netwrk --action x ours')).toContain('did you mean "network"');
  expect(await fails(2, 'network rbac create --type network --action access_as_shared ours')).toContain(
    '--target-project',
  );

  const [agent] = await json('network agent list --host node-1');
  expect(agent).toMatchObject({ Host: 'node-1', Alive: ':-)', State: 'UP' });
  await ok(`network agent set --description rack-1 ${agent.ID}`);
  expect(await json(`network agent show ${agent.ID}`)).toMatchObject({ host: 'node-1', description: 'rack-1' });
  expect(await fails(1, `network agent delete ${agent.ID}`)).toContain('HTTP 409');
  const aliases = (await json('extension list')).map(({ Alias }: { Alias: string }) => Alias);
  expect(aliases).toContain('router');
  expect((await json('extension list --long'))[0]).toHaveProperty('Updated');
  expect(await json('extension show router')).toMatchObject({ alias: 'router' });
  expect(await fails(1, 'extension show teleport')).toContain('HTTP 404');
});

test('every command was seen to succeed', () => {
  const words = ['network', 'ip', 'subnet', 'port', 'router', 'floating', 'security', 'address group', 'extension'];
  // A living agent cannot be deleted.
  expect(all.untried(...words)).toEqual(['network agent delete']);
});

describe('bad input', () => {
  const nouns = ['network', 'subnet', 'subnet pool', 'port', 'router', 'security group', 'address group'];
  test.each([
    ...nouns.flatMap((noun) => [`${noun} show`, `${noun} set --name x`, `${noun} delete`].map((line) => [line, noun])),
    ...nouns.slice(0, 6).map((noun) => [`${noun} unset --tag x`, noun]),
    ['address group unset --address 192.0.2.1/32', 'address group'],
    ...['show', 'unset --port', 'delete'].map((verb) => [`floating ip ${verb}`, 'floating ip']),
    ...['show', 'delete', 'set --target-project admin'].map((verb) => [`network rbac ${verb}`, 'network rbac']),
    ...['show', 'delete', 'set --enable'].map((verb) => [`network agent ${verb}`, 'network agent']),
    ...['show', 'delete', 'list'].map((verb) => [
      `security group rule ${verb}`,
      verb === 'list' ? 'security group' : 'security group rule',
    ]),
    ['ip availability show', 'network'],
    ...['add subnet', 'add port', 'remove subnet', 'remove port'].map((words) => [`router ${words} nix`, 'router']),
    ['router remove route --route destination=10.0.0.0/8,gateway=10.0.0.1', 'router'],
  ] as [string, string][])('%s nobody', async (line, noun) => {
    const text = line.endsWith('nix') ? line.replace('nix', 'nobody nobody') : `${line} nobody`;
    expect(await fails(1, text)).toMatch(new RegExp(`no (${noun}|subnet|port) is called "nobody"`));
  });
  test.each(nouns.flatMap((noun) => [`${noun} create`, `${noun} set x`, `${noun} list --nonsense`]))(
    '%s ends with 2',
    async (line) => expect(await fails(2, line)).toMatch(/needs|has no option/),
  );
});
