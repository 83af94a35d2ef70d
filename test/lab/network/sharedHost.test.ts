// A host that is not ours alone: other people's rules stay as they are and don't get in our way, and tampering is noticed.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { arrivals, between, ipv4, tagged, udp } from '../../support/frames';
import {
  labForEach,
  inNamespace,
  leaseOf,
  pings,
  rule,
  securityGroup,
  serverPort,
  succeeds,
  tenantNetwork,
  withHosts,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';
import { interfaceName, systemClock, type Exec, type PortState, type SecurityGroupState } from '@cumulet/common';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const FOREIGN = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -p icmp -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -d 172.17.0.12/32 -p icmp -j DNAT --to-destination 172.17.0.99
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -m comment --comment "somebody else's" -j RETURN
COMMIT
`;

async function pair(cidr = '10.0.0.0/24'): Promise<{ one: Guest; two: Guest; group: SecurityGroupState }> {
  const base = cidr.replace('0/24', '');
  const group = securityGroup([rule({ protocol: 'icmp' })]);
  const network = tenantNetwork(cidr);
  const ports: [PortState, PortState] = [
    serverPort(network, `${base}11`, [group.id]),
    serverPort(network, `${base}12`, [group.id]),
  ];
  lab.change([group, withHosts(network, ports), ...ports]);
  const [one, two] = [await lab.guest(ports[0]), await lab.guest(ports[1])];
  expect(
    await lab.command(
      'ports.ensure',
      ports.map((port) => port.id),
    ),
  ).toMatchObject({ outcome: 'done' });
  return { one, two, group };
}

/** All rules but ours, without counters and times. */
async function foreignRules(): Promise<string[]> {
  const saved = await Promise.all(['iptables-save', 'ip6tables-save'].map((command) => lab.exec([command])));
  const lines = saved.flatMap(({ stdout }) => stdout.split('\n'));
  return lines
    .filter((line) => line !== '' && !line.startsWith('#') && !line.includes('cumulet-'))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
}

const eventually = async (check: () => Promise<boolean>): Promise<boolean> => {
  for (let tries = 0; tries < 100; tries++) {
    if (await check()) return true;
    await systemClock.sleep(100);
  }
  return false;
};

test("a foreign FORWARD policy of DROP and foreign NAT for a tenant's range change nothing for guests", async () => {
  await lab.exec(['iptables-restore'], { input: FOREIGN });
  await lab.agent();
  const { one, two } = await pair('172.17.0.0/24');
  expect(await pings(one, '172.17.0.12')).toBe(true);
  // Seen by the receiver with its true source: nobody masqueraded it on the way.
  const flows = await lab.exec(['conntrack', '-L', '-p', 'icmp']);
  expect(flows.stdout).toContain('src=172.17.0.12 dst=172.17.0.11');
  expect(flows.stdout).not.toContain('172.17.0.99');
  expect(await pings(two, '172.17.0.11')).toBe(true);
});

test("everybody else's rules are the same before, during and after", async () => {
  await lab.exec(['iptables-restore'], { input: FOREIGN });
  await lab.exec(['nft', 'add table inet firewalld; add chain inet firewalld mine']);
  const before = await foreignRules();
  const agent = await lab.agent({ external: { bridge: 'cml-ext', address: '172.24.4.1/24' } });
  await pair();
  const present = new Set(await foreignRules());
  expect(before.filter((line) => !present.has(line))).toEqual([]);
  await agent.stop();
  await agent.purge();
  const after = await foreignRules();
  expect(after).toEqual(before);
  const tables = await lab.exec(['nft', 'list', 'tables']);
  expect(tables.stdout).toContain('table inet firewalld');
  expect(tables.stdout).not.toContain('cumulet');
  expect((await lab.exec(['ip', '-json', 'link', 'show', 'type', 'bridge'])).stdout.trim()).toBe('[]');
});

test('a host without any rules has none again after a purge', async () => {
  const ruleset = async (): Promise<string> => (await lab.exec(['nft', 'list', 'ruleset'])).stdout;
  expect([await ruleset(), await foreignRules()]).toEqual(['', []]);
  const agent = await lab.agent({ external: { bridge: 'cml-ext', address: '172.24.4.1/24' } });
  await pair();
  expect(await ruleset()).toContain('table ip filter');
  await agent.stop();
  await agent.purge();
  expect([await ruleset(), await foreignRules()]).toEqual(['', []]);
});

test("other people's bridges are not filtered for our sake", async () => {
  await lab.exec(['iptables', '-P', 'FORWARD', 'DROP']);
  await lab.exec(['ip', 'link', 'add', 'br-other', 'up', 'type', 'bridge', 'forward_delay', '0']);
  const [one, two] = [await lab.namespace(`${lab.prefix}-one`), await lab.namespace(`${lab.prefix}-two`)];
  for (const [name, address] of [
    [one, '192.0.2.1/24'],
    [two, '192.0.2.2/24'],
  ] as const) {
    await lab.exec(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
    await lab.exec(['ip', 'link', 'set', name, 'master', 'br-other', 'up']);
    await inNamespace(name)(['ip', 'address', 'add', address, 'dev', 'eth0']);
    await inNamespace(name)(['ip', 'link', 'set', 'eth0', 'up']);
  }
  const reaches = (): Promise<boolean> => eventually(() => pings({ run: inNamespace(one) }, '192.0.2.2'));
  expect(await reaches()).toBe(true);
  await lab.agent({ external: { bridge: 'cml-ext', address: '172.24.4.1/24' } });
  const { one: guest } = await pair();
  expect(await pings(guest, '10.0.0.12')).toBe(true);
  expect(await reaches()).toBe(true);
  const shown = await lab.exec([
    'sysctl',
    '-n',
    'net.bridge.bridge-nf-call-iptables',
    'net.bridge.bridge-nf-call-ip6tables',
  ]);
  expect(shown.stdout).toBe('0\n0\n');
});

/** Whether the frames of these bridges pass the host's rules. */
async function filtered(...names: string[]): Promise<boolean[]> {
  const links = await lab.exec(['ip', '-json', '-details', 'link', 'show', 'type', 'bridge']);
  const parsed = JSON.parse(links.stdout) as {
    ifname: string;
    linkinfo: { info_data: { nf_call_iptables: number; nf_call_ip6tables: number } };
  }[];
  return names.map((name) => {
    const data = parsed.find(({ ifname }) => ifname === name)?.linkinfo.info_data;
    return data?.nf_call_iptables === 1 && data.nf_call_ip6tables === 1;
  });
}

test('filtering that somebody switched off for a bridge of ours is noticed and switched on again', async () => {
  await lab.agent({ look_seconds: 0.5, external: { bridge: 'cml-ext', address: '172.24.4.1/24' } });
  const { one } = await pair();
  const names = ['cml-ext', interfaceName('br', one.port.network_id)];
  expect(await filtered(...names)).toEqual([true, true]);
  for (const name of names)
    await lab.exec(['ip', 'link', 'set', name, 'type', 'bridge', 'nf_call_iptables', '0', 'nf_call_ip6tables', '0']);
  expect(await eventually(async () => (await filtered(...names)).every(Boolean))).toBe(true);
});

test("an administrator's bridge is filtered as soon as a server is on it", async () => {
  await lab.exec(['ip', 'link', 'add', 'br-lan', 'up', 'type', 'bridge', 'forward_delay', '0']);
  await lab.agent({ physical_networks: { lan: 'br-lan' } });
  expect(await filtered('br-lan')).toEqual([false]);
  const group = securityGroup([]);
  const network = tenantNetwork('192.0.2.0/24', {
    attachment: { type: 'physical', physical_network: 'lan' },
    dhcp: null,
  });
  const port = serverPort(network, '192.0.2.11', [group.id]);
  lab.change([group, network, port]);
  const guest = await lab.guest(port);
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done' });
  expect(await filtered('br-lan')).toEqual([true]);
  await lab.exec(['ip', 'address', 'add', '192.0.2.1/24', 'dev', 'br-lan']);
  expect(await pings(guest, '192.0.2.1')).toBe(true);
  expect(await pings({ run: lab.exec }, '192.0.2.11')).toBe(true);
});

/** What somebody removes, and what of it must be there again. */
const removed: [string, readonly string[], readonly string[], string][] = [
  ['the jumps of iptables', ['iptables', '-F', 'FORWARD'], ['iptables', '-S', 'FORWARD'], '-j cumulet-forward'],
  ['those of ip6tables', ['ip6tables', '-F', 'FORWARD'], ['ip6tables', '-S', 'FORWARD'], '-j cumulet-forward'],
  ['a chain of ours', ['iptables', '-F', 'cumulet-forward'], ['iptables', '-S', 'cumulet-forward'], '-j cumulet-p'],
  ['the bridge table', ['nft', 'delete', 'table', 'bridge', 'cumulet'], ['nft', 'list', 'tables'], 'bridge cumulet'],
  ['the inet table', ['nft', 'flush', 'table', 'inet', 'cumulet'], ['nft', 'list', 'table', 'inet', 'cumulet'], 'zone'],
];

test('rules and links that somebody removed come back with the next look, each of them alone', async () => {
  await lab.agent({ look_seconds: 0.5 });
  const { one, two } = await pair();
  await eventually(async () => (await lab.exec(['iptables-save'])).stdout.includes('cumulet-forward'));
  // The looks have come to rely on the watch, instead of reading all rules.
  await systemClock.sleep(2500);
  for (const [what, remove, look, there] of removed) {
    const shows = async (): Promise<boolean> =>
      (await lab.exec(look).catch(() => ({ stdout: '' }))).stdout.includes(there);
    expect([what, await shows()]).toEqual([what, true]);
    await lab.exec(remove);
    expect([what, await eventually(shows)]).toEqual([what, true]);
  }
  await lab.exec(['ip', 'link', 'set', 'dev', interfaceName('tap', two.port.id), 'nomaster']);
  expect(await eventually(() => pings(one, '10.0.0.12'))).toBe(true);
});

test('another agent on a host that runs takes over what is there without breaking a flow', async () => {
  const first = await lab.agent();
  const { one } = await pair();
  await first.stop();
  const before = await first.inventory();
  const pinging = one.run(['ping', '-c', '20', '-i', '0.1', '-W', '1', '10.0.0.12']);
  const second = await lab.agent();
  expect((await pinging).stdout).toContain(' 0% packet loss');
  expect((await second.inventory()).map((resource) => resource.name).sort()).toEqual(
    before.map((resource) => resource.name).sort(),
  );
});

test('a port whose rules make no sense is closed by itself and reported in words, its neighbours work', async () => {
  await lab.agent();
  const { one } = await pair();
  const network = [...lab.objects()].find((object) => object.kind === 'network');
  if (network?.kind !== 'network') throw new Error('no network');
  const odd = securityGroup([rule({ protocol: 'vrrp', port_range_min: 80, port_range_max: 80 })]);
  const port = serverPort(network, '10.0.0.13', [odd.id]);
  lab.change([odd, port]);
  const guest = await lab.guest(port);
  const reply = await lab.command('ports.ensure', [port.id]);
  expect(reply).toMatchObject({ outcome: 'failed', fault: { code: 'port_not_wired' } });
  expect(reply.fault?.message).toContain('protocol vrrp has no ports');
  expect(lab.reports.at(-1)?.find((entry) => entry.id === port.id)?.fault).toContain('protocol vrrp has no ports');
  expect(await pings(guest, '10.0.0.12')).toBe(false);
  expect(await pings(one, '10.0.0.12')).toBe(true);
});

test('metadata is answered from the last known answer while the controller is away', async () => {
  await lab.agent();
  const { one } = await pair();
  await one.run(['ip', 'route', 'add', '169.254.169.254/32', 'via', '10.0.0.2']);
  const ask = (path: string): Promise<{ stdout: string }> =>
    one.run(['curl', '-s', '-m', '5', '-w', '%{http_code}', `http://169.254.169.254${path}`]);
  const known = (await ask('/openstack/latest/meta_data.json')).stdout;
  lab.down = true;
  expect((await ask('/openstack/latest/meta_data.json')).stdout).toBe(known);
  expect((await ask('/openstack/latest/user_data')).stdout).toContain('503');
});

test('a DHCP server that was killed and a namespace that was deleted come back with the next look', async () => {
  const agent = await lab.agent({ look_seconds: 0.5 });
  const { one } = await pair();
  const found = (await agent.inventory()).find((resource) => resource.kind === 'dnsmasq');
  process.kill(Number(found?.name.split(' ')[1]), 'SIGKILL');
  expect(
    await eventually(() =>
      leaseOf(one).then(
        () => true,
        () => false,
      ),
    ),
  ).toBe(true);
  const network = lab.objects().find((object) => object.kind === 'network');
  await lab.exec(['ip', 'netns', 'del', `${lab.prefix}-dhcp-${network?.id ?? ''}`]);
  expect(
    await eventually(() =>
      leaseOf(one).then(
        () => true,
        () => false,
      ),
    ),
  ).toBe(true);
  await one.run(['ip', 'route', 'add', '169.254.169.254/32', 'via', '10.0.0.2']);
  expect(await succeeds(one.run, ['curl', '-s', '-m', '5', 'http://169.254.169.254/'])).toBe(true);
});

test('a DHCP server whose network and files are gone is ended when an agent starts', async () => {
  const folder = join(lab.stateDir, randomUUID());
  mkdirSync(folder);
  writeFileSync(join(folder, 'conf'), 'port=0\n');
  await lab.exec(['dnsmasq', `--conf-file=${folder}/conf`, `--pid-file=${folder}/pid`, '--user=root']);
  const pid = readFileSync(join(folder, 'pid'), 'utf8').trim();
  rmSync(folder, { recursive: true });
  /** Nothing of one that has ended, whether its parent has looked or not. */
  const words = (): string => (existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '');
  expect(words()).toContain(folder);
  await lab.agent();
  expect(await eventually(() => Promise.resolve(words() === ''))).toBe(true);
});

test('files of a network that left while the host was off are removed when an agent starts, and those of others stay', async () => {
  const network = tenantNetwork();
  lab.change([withHosts(network, [])]);
  const [gone, served, foreign] = [randomUUID(), network.id, 'notes'].map((name) => join(lab.stateDir, name));
  for (const folder of [gone, served, foreign]) mkdirSync(folder ?? '');
  await lab.agent();
  expect(await eventually(() => Promise.resolve(!existsSync(gone ?? '')))).toBe(true);
  expect([existsSync(served ?? ''), existsSync(foreign ?? '')]).toEqual([true, true]);
});

test('an address that somebody took from a namespace comes back with the next comparison', async () => {
  await lab.agent({ compare_seconds: 0.5 });
  const { one } = await pair();
  const network = lab.objects().find((object) => object.kind === 'network');
  const inside = inNamespace(`${lab.prefix}-dhcp-${network?.id ?? ''}`);
  const [link] = JSON.parse((await inside(['ip', '-json', 'addr', 'show', 'to', '10.0.0.2'])).stdout) as [
    { ifname: string },
  ];
  await inside(['ip', 'addr', 'del', '10.0.0.2/24', 'dev', link.ifname]);
  expect(await eventually(() => pings(one, '10.0.0.2'))).toBe(true);
});

test('a rule that was removed while no agent ran loses its flows when one comes back', async () => {
  const first = await lab.agent();
  const { one, two, group } = await pair();
  expect(await pings(one, '10.0.0.12')).toBe(true);
  const flow = (tag: string): Buffer => ipv4(between(one, two), 17, udp(4000, 5000, tagged(tag)));
  const open = { ...group, rules: [...group.rules, rule({ protocol: 'udp' })] };
  lab.change([open]);
  await lab.command('ports.ensure', [two.port.id]);
  expect(await arrivals(one, two, [flow('open')])).toEqual(['open']);
  await arrivals(two, one, [ipv4(between(two, one), 17, udp(5000, 4000, tagged('answer')))]);
  await first.stop();
  lab.change([group]);
  await lab.agent();
  expect(await arrivals(one, two, [flow('late')])).toEqual([]);
});

test('an agent that never ran removes all that another one left behind', async () => {
  const external = { bridge: 'cml-ext', address: '172.24.4.1/24' };
  const first = await lab.agent({ external });
  await pair();
  await first.stop();
  const cleaner = lab.idle({ external });
  expect((await cleaner.inventory()).length).toBeGreaterThan(5);
  await cleaner.purge();
  expect(await cleaner.inventory()).toEqual([]);
  expect((await lab.exec(['iptables-save'])).stdout).not.toContain('cumulet');
});

test('a port without its DHCP server is not wired, and says so without naming what is on the host', async () => {
  await lab.agent();
  const network = tenantNetwork();
  const port = serverPort(network, '10.0.0.11', []);
  const taken = interfaceName('dh', network.dhcp?.port_id ?? '');
  await lab.exec(['ip', 'link', 'add', taken, 'type', 'bridge']);
  lab.change([withHosts(network, [port]), port]);
  const reply = await lab.command('ports.ensure', [port.id]);
  expect(reply).toMatchObject({ outcome: 'failed', fault: { code: 'port_not_wired', retryable: true } });
  expect(reply.fault?.message).toBe(`port ${port.id} could not be connected to its network on its host`);
  expect(JSON.stringify(reply.observed)).toContain(`interface ${taken} is there already and is not ours`);
  await lab.exec(['ip', 'link', 'del', 'dev', taken]);
  lab.change([port]);
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done' });
});

test('what failed once is tried again by the next command, not only by the next comparison', async () => {
  let broken = true;
  const run: Exec = (argv, options) =>
    broken && argv.includes('dnsmasq') ? Promise.reject(new Error('no room')) : lab.exec(argv, options);
  await lab.agent({}, run);
  const network = tenantNetwork();
  const group = securityGroup([]);
  const port = serverPort(network, '10.0.0.11', [group.id]);
  lab.change([group, withHosts(network, [port]), port]);
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'failed' });
  broken = false;
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done' });
});
