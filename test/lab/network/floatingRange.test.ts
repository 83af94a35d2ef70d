// Floating IPs out of a LAN: other machines there reach servers, the host's interface stays as it is, and nothing is left afterwards.
import { randomUUID } from 'node:crypto';
import { systemClock, type Exec, type RouterState } from '@cumulet/common';
import { checkFloating, type NetworkAgent } from '@cumulet/network-agent';
import {
  inNamespace,
  labForEach,
  pings,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';

const LAN = '192.168.77';
const [FIRST, SECOND] = [`${LAN}.200`, `${LAN}.201`];
const floating = { interface: 'eth0', range: `${FIRST}-${LAN}.206` };
const external = { bridge: 'cml-ext', address: '172.24.4.1/24' };

let lab: NetworkLab;
/** Another machine on the LAN. */
let neighbour: Exec;
labForEach((made) => (lab = made));

beforeEach(async () => {
  const name = await lab.namespace(`${lab.prefix}-lan`);
  neighbour = inNamespace(name);
  await lab.exec(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
  await lab.exec(['ip', 'address', 'add', `${LAN}.5/24`, 'dev', 'eth0']);
  await neighbour(['ip', 'address', 'add', `${LAN}.50/24`, 'dev', 'eth0']);
  for (const run of [lab.exec, neighbour]) await run(['ip', 'link', 'set', 'eth0', 'up']);
  await lab.exec(['ip', 'route', 'add', 'default', 'via', `${LAN}.1`]);
  // Its link-local address is made later than a test begins.
  await lab.exec(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.disable_ipv6=1']);
  // As Docker and ufw leave it: the kernel's chains are there, and forwarding is closed.
  for (const chain of ['INPUT', 'FORWARD']) await lab.exec(['ip6tables', '-P', chain, 'ACCEPT']);
  await lab.exec(['iptables', '-t', 'nat', '-P', 'POSTROUTING', 'ACCEPT']);
  await lab.exec(['iptables', '-P', 'INPUT', 'ACCEPT']);
  await lab.exec(['iptables', '-P', 'FORWARD', 'DROP']);
});

/** Everything of the host that the range could have touched, without what our bridge and the kernel's counters make of it. */
async function machine(): Promise<string[]> {
  const commands = [
    ['ip', '-details', 'link', 'show', 'eth0'],
    ['ip', 'address', 'show', 'eth0'],
    ['ip', 'route', 'show', 'table', 'all'],
    ['ip', 'rule', 'show'],
    ['ip', 'neigh', 'show', 'proxy'],
    ['iptables-save'],
    ['nft', 'list', 'ruleset'],
    ['sysctl', '-a', '--pattern', '^net.ipv4.conf.(all|default|eth0).'],
  ];
  const shown = await Promise.all(commands.map((command) => lab.exec(command)));
  const lines = shown
    .flatMap(({ stdout }) => stdout.split('\n'))
    .filter((line) => !/^\s*$|^#|cml-ext|cumulet/.test(line));
  return lines.map((line) => line.replace(/ \[\d+:\d+\]$/, ''));
}

interface Stage {
  readonly guests: readonly [Guest, Guest];
  readonly agent: NetworkAgent;
  readonly settle: () => Promise<void>;
}

/** Two guests behind a router each, with an address of the LAN each. */
async function stage(): Promise<Stage> {
  const group = securityGroup([
    rule({ protocol: 'icmp' }),
    rule({ protocol: 'tcp', port_range_min: 80, port_range_max: 80 }),
  ]);
  const outer = tenantNetwork('172.24.4.0/24', {
    attachment: { type: 'physical', physical_network: 'public' },
    dhcp: null,
  });
  const parts = [FIRST, SECOND].map((address, index) => {
    const inner = tenantNetwork('10.0.0.0/24');
    const port = serverPort(inner, '10.0.0.11', [group.id]);
    const router: RouterState = {
      kind: 'router',
      id: randomUUID(),
      admin_state_up: true,
      interfaces: [
        { port_id: randomUUID(), network_id: inner.id, mac: `fa:16:3e:aa:01:0${index}`, addresses: ['10.0.0.1/24'] },
      ],
      gateway: {
        port_id: randomUUID(),
        network_id: outer.id,
        mac: `fa:16:3e:aa:02:0${index}`,
        addresses: [`172.24.4.1${index}/24`],
        next_hops: ['172.24.4.1'],
        enable_snat: true,
      },
      floating_ips: [{ id: randomUUID(), floating_address: address, fixed_address: '10.0.0.11' }],
      routes: [],
    };
    return { inner, port, router };
  });
  lab.change([group, outer, ...parts.flatMap(({ inner, port, router }) => [inner, port, router])]);
  const [one, two] = parts;
  if (!one || !two) throw new Error('there are two');
  const guests = [
    await lab.guest(one.port, { gateway: '10.0.0.1' }),
    await lab.guest(two.port, { gateway: '10.0.0.1' }),
  ] as const;
  // It would make the taps itself.
  const agent = await lab.agent({
    external: { ...external, floating },
    physical_networks: { public: 'cml-ext' },
    look_seconds: 0.3,
  });
  const settle = async (): Promise<void> => {
    const ports = parts.map(({ port }) => port.id);
    expect(await lab.command('ports.ensure', ports)).toMatchObject({ outcome: 'done', fault: null });
  };
  await settle();
  return { guests, agent, settle };
}

/** Asks for a TCP connection; the other end tells who it sees. */
async function seenBy(server: Exec, client: Exec, address: string): Promise<string> {
  const listen = `import socket
s = socket.create_server(("0.0.0.0", 80))
s.settimeout(20)
c, a = s.accept()
c.sendall(a[0].encode())`;
  const ask = `import socket, time
for _ in range(50):
  try:
    print(socket.create_connection(("${address}", 80), 5).recv(99).decode(), end="")
    break
  except ConnectionRefusedError: time.sleep(0.1)`;
  const listening = server(['python3', '-c', listen]);
  const { stdout } = await client(['python3', '-c', ask]);
  await listening;
  return stdout;
}

test('neighbours on the LAN reach servers and are reached from their addresses, by ping and TCP', async () => {
  const { guests } = await stage();
  const [one, two] = guests;
  expect(await pings({ run: neighbour }, FIRST)).toBe(true);
  expect(await pings({ run: neighbour }, SECOND)).toBe(true);
  expect(await seenBy(one.run, neighbour, FIRST)).toBe(`${LAN}.50`);
  expect(await seenBy(neighbour, one.run, `${LAN}.50`)).toBe(FIRST);
  expect(await pings({ run: lab.exec }, FIRST)).toBe(true);
  // From one tenant's router to another's, and back to itself.
  expect(await seenBy(two.run, one.run, SECOND)).toBe(FIRST);
  expect(await pings(one, FIRST)).toBe(true);
  // An address of the range that no server has is nobody's.
  expect(await pings({ run: neighbour }, `${LAN}.206`)).toBe(false);
  // What the group does not open stays closed.
  const closed = `import socket; socket.create_connection(("${FIRST}", 81), 1)`;
  await expect(neighbour(['python3', '-c', closed])).rejects.toThrow(/timed out/i);
});

test('an interface that went down and came back serves again after a look', async () => {
  await stage();
  await lab.exec(['ip', 'link', 'set', 'eth0', 'down']);
  expect((await lab.exec(['ip', 'neigh', 'show', 'proxy'])).stdout).toBe('');
  await lab.exec(['ip', 'link', 'set', 'eth0', 'up']);
  let proxies = '';
  for (let tries = 0; tries < 100 && !proxies.includes(FIRST); tries++) {
    await systemClock.sleep(100);
    proxies = (await lab.exec(['ip', 'neigh', 'show', 'proxy'])).stdout;
  }
  await neighbour(['ip', 'neigh', 'flush', 'all']);
  expect(await pings({ run: neighbour }, FIRST)).toBe(true);
});

test('the interface is never changed; left out, the range is gone, and after a purge the machine is as before', async () => {
  const before = await machine();
  const proxied = await lab.exec(['ip', 'neigh', 'add', 'proxy', `${LAN}.99`, 'dev', 'eth0']);
  expect(proxied.stdout).toBe('');
  const { agent } = await stage();
  const link = await lab.exec(['ip', '-json', 'address', 'show', 'eth0']);
  expect(JSON.parse(link.stdout)).toMatchObject([{ addr_info: [{ local: `${LAN}.5` }] }]);
  expect((await lab.exec(['ip', '-json', 'link', 'show', 'eth0'])).stdout).not.toContain('master');
  expect((await lab.exec(['sysctl', '-n', 'net.ipv4.conf.eth0.proxy_arp', 'net.ipv4.conf.all.proxy_arp'])).stdout).toBe(
    '0\n0\n',
  );
  await agent.stop();
  const without = await lab.agent({ external, physical_networks: { public: 'cml-ext' } });
  // What somebody else had made is not ours to take away.
  expect((await lab.exec(['ip', 'neigh', 'show', 'proxy'])).stdout).toBe(`${LAN}.99 dev eth0 proxy \n`);
  expect((await lab.exec(['ip', 'route', 'show'])).stdout).not.toContain(FIRST);
  await neighbour(['ip', 'neigh', 'flush', 'all']);
  expect(await pings({ run: neighbour }, FIRST)).toBe(false);
  await without.stop();
  await lab.idle({ external: { ...external, floating } }).purge();
  await lab.exec(['ip', 'neigh', 'del', 'proxy', `${LAN}.99`, 'dev', 'eth0']);
  expect(await machine()).toEqual(before);
});

test('an interface that is not there is a fault of its own: everything else is made', async () => {
  await lab.agent({
    external: { ...external, floating: { ...floating, interface: 'eth7' } },
    physical_networks: { public: 'cml-ext' },
  });
  expect((await lab.exec(['ip', 'address', 'show', 'cml-ext'])).stdout).toContain('172.24.4.1/24');
});

/** What other programs make of the host's rules when they start or reload, as iptables-restore --noflush reads it. */
const others: Readonly<Record<string, string>> = {
  Docker: `*nat
:DOCKER - [0:0]
-I PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-I POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A DOCKER-USER -j RETURN
-A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-I FORWARD -j DOCKER-FORWARD
-I FORWARD -j DOCKER-USER
COMMIT
`,
  // Started anew it flushes the kernel's chains.
  ufw: `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:ufw-before-forward - [0:0]
:ufw-before-input - [0:0]
:ufw-reject-forward - [0:0]
-F INPUT
-F FORWARD
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-reject-forward -j REJECT
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
COMMIT
`,
  "libvirt's default network": `*nat
:LIBVIRT_PRT - [0:0]
-A LIBVIRT_PRT -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
-I POSTROUTING -j LIBVIRT_PRT
COMMIT
*filter
:LIBVIRT_FWI - [0:0]
:LIBVIRT_FWO - [0:0]
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT
-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT
-A LIBVIRT_FWO -i virbr0 -j REJECT
-I FORWARD -j LIBVIRT_FWI
-I FORWARD -j LIBVIRT_FWO
COMMIT
`,
};

describe('beside other firewalls', () => {
  /** Within the time in which the agent looks at the host; with the settings of a cloud that is 20 s. */
  const soon = async (check: () => Promise<boolean>): Promise<boolean> => {
    for (let tries = 0; tries < 20; tries++) if (await check()) return true;
    return false;
  };
  const whole = async (guest: Guest): Promise<boolean> =>
    (await pings({ run: neighbour }, FIRST)) && (await pings(guest, `${LAN}.50`)) && (await pings(guest, SECOND));

  test.each(Object.entries(others))('that were there first, and after a reload of them: %s', async (_, text) => {
    const load = (): Promise<unknown> => lab.exec(['iptables-restore', '--noflush', '-w'], { input: text });
    await load();
    const { guests } = await stage();
    expect(await soon(() => whole(guests[0]))).toBe(true);
    await load();
    expect(await soon(() => whole(guests[0]))).toBe(true);
    // Theirs hold as before for what is theirs.
    const kept = await lab.exec(['iptables-save']);
    for (const line of text.split('\n').filter((one) => one.startsWith('-A ') && !/-A (?:FORWARD|INPUT)/.test(one)))
      expect(kept.stdout).toContain(line.replace(/ -j REJECT$/, ' -j REJECT --reject-with icmp-port-unreachable'));
  });
});

describe('a range', () => {
  const check = (range: string, device = 'eth0'): Promise<void> =>
    checkFloating(lab.exec, { interface: device, range });

  test('that is free is taken', async () => {
    await check(floating.range);
  });

  test('that can not be given to servers is refused with the reason', async () => {
    await lab.exec(['ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'far']);
    await lab.exec(['ip', 'link', 'set', 'eth1', 'arp', 'off']);
    await lab.exec(['ip', 'address', 'add', '10.9.9.1/24', 'dev', 'eth1']);
    await lab.exec(['ip', 'link', 'add', 'cml-ext', 'type', 'bridge']);
    await lab.exec(['ip', 'address', 'add', '172.24.4.1/24', 'dev', 'cml-ext']);
    const refused: [string, string, RegExp][] = [
      [`${LAN}.40-${LAN}.60`, 'eth0', /another machine on eth0 has 192.168.77.50 now/],
      [`${LAN}.2-${LAN}.9`, 'eth0', /has 192.168.77.5, which is this machine's own address/],
      [`${LAN}.1-${LAN}.3`, 'eth0', /has 192.168.77.1, which is the gateway/],
      ['10.1.1.1-10.1.1.2', 'eth0', /is not inside the network of eth0, which has 192.168.77.5\/24/],
      [`${LAN}.250-${LAN}.255`, 'eth0', /first or last address of 192.168.77.5\/24/],
      [`${LAN}.250-192.168.78.2`, 'eth0', /is not inside the network of eth0/],
      [floating.range, 'eth7', /no interface eth7; those with addresses are eth0, eth1$/],
      ['172.24.4.100-172.24.4.101', 'cml-ext', /the interface cml-ext leads to no LAN; take one of eth0, eth1/],
      ['127.0.0.7-127.0.0.8', 'lo', /the interface lo leads to no LAN/],
      ['10.9.9.7-10.9.9.8', 'eth1', /has no ARP/],
      [`${LAN}.200`, 'eth0', /is not FIRST-LAST/],
    ];
    for (const [range, device, words] of refused) await expect(check(range, device)).rejects.toThrow(words);
    await lab.exec(['ip', 'address', 'del', `${LAN}.5/24`, 'dev', 'eth0']);
    await expect(check(floating.range)).rejects.toThrow(/is not inside the network of eth0, which has no IPv4 address/);
  });
});
