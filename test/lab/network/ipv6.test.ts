// IPv6 on a tenant network: addresses by advertisement and by DHCPv6, through a router, and metadata at its link-local address.
import { randomUUID } from 'node:crypto';
import { systemClock, type NetworkState, type PortState, type RouterState, type SubnetState } from '@cumulet/common';
import {
  labForEach,
  pings,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  withHosts,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const group = securityGroup([rule({ protocol: 'icmp' }), rule({ ethertype: 'IPv6', protocol: 'icmp' })]);

function network6(mode: string, prefix = 'fd00:1::'): NetworkState {
  const base = tenantNetwork();
  const subnet: SubnetState = {
    id: randomUUID(),
    cidr: `${prefix}/64`,
    ip_version: 6,
    gateway_ip: `${prefix}1`,
    enable_dhcp: true,
    dns_nameservers: ['2001:db8::53'],
    host_routes: [],
    ipv6_ra_mode: mode,
    ipv6_address_mode: mode,
  };
  const dhcp = {
    port_id: randomUUID(),
    mac: 'fa:16:3f:00:00:02',
    addresses: [{ subnet_id: subnet.id, address: `${prefix}2` }],
  };
  return { ...base, subnets: [subnet], dhcp };
}

function routerOf(...networks: NetworkState[]): RouterState {
  const interfaces = networks.map((network, index) => ({
    port_id: randomUUID(),
    network_id: network.id,
    mac: `fa:16:3e:bb:00:0${index + 1}`,
    addresses: [`${network.subnets[0]?.gateway_ip ?? ''}/64`],
  }));
  return {
    kind: 'router',
    id: randomUUID(),
    admin_state_up: true,
    interfaces,
    gateway: null,
    floating_ips: [],
    routes: [],
  };
}

/** The address that SLAAC makes of a MAC in a prefix. */
const slaac = (prefix: string, mac: string): string => {
  const bytes = mac.split(':');
  const first = (parseInt(bytes[0] ?? '0', 16) ^ 2).toString(16);
  return `${prefix}${first}${bytes[1]}:${bytes[2]}ff:fe${bytes[3]}:${bytes[4]}${bytes[5]}`;
};

async function addressOf(guest: Guest, wanted: string): Promise<boolean> {
  const number = BigInt(
    `0x${wanted
      .split(':')
      .map((part) => part.padStart(4, '0'))
      .join('')
      .slice(-16)}`,
  );
  for (let tries = 0; tries < 80; tries++) {
    const shown = await guest.run([
      'ip',
      '-json',
      '-6',
      'addr',
      'show',
      'dev',
      'eth0',
      'scope',
      'global',
      '-tentative',
    ]);
    const links = JSON.parse(shown.stdout || '[]') as { addr_info?: { local?: string }[] }[];
    const found = links.flatMap((link) => link.addr_info ?? []).map((entry) => entry.local ?? '');
    if (
      found.some(
        (address) =>
          BigInt(
            `0x${address
              .split(':')
              .slice(-4)
              .map((part) => part.padStart(4, '0'))
              .join('')}`,
          ) === number,
      )
    )
      return true;
    await systemClock.sleep(100);
  }
  return false;
}

test('a guest makes its address from the router’s advertisement, and reaches another network through it', async () => {
  await lab.agent();
  const [left, right] = [network6('slaac', 'fd00:1::'), network6('slaac', 'fd00:2::')];
  const port = (network: NetworkState, prefix: string): PortState => {
    const made = serverPort(network, '', [group.id]);
    return { ...made, fixed_ips: [{ subnet_id: network.subnets[0]?.id ?? '', address: slaac(prefix, made.mac) }] };
  };
  const [a, b] = [port(left, 'fd00:1::'), port(right, 'fd00:2::')];
  const router = routerOf(left, right);
  lab.change([group, left, right, a, b, router]);
  const [one, two] = [await lab.guest(a, { bare: true }), await lab.guest(b, { bare: true })];
  expect(await lab.command('ports.ensure', [a.id, b.id])).toMatchObject({ outcome: 'done', fault: null });
  for (const guest of [one, two]) {
    // A guest asks when it comes up; that was before its port was wired.
    await guest.run(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.accept_ra=2']);
    await guest.run(['ip', 'link', 'set', 'dev', 'eth0', 'down']);
    await guest.run(['ip', 'link', 'set', 'dev', 'eth0', 'up']);
  }
  expect(await addressOf(one, a.fixed_ips[0]?.address ?? '')).toBe(true);
  expect(await addressOf(two, b.fixed_ips[0]?.address ?? '')).toBe(true);
  expect(await pings(one, b.fixed_ips[0]?.address ?? '')).toBe(true);
});

test('metadata answers at its link-local address and knows the caller by the MAC in the source', async () => {
  await lab.agent();
  const network = network6('slaac');
  const port = { ...serverPort(network, 'fd00:1::5', [group.id]) };
  lab.change([group, withHosts(network, [port]), port]);
  const guest = await lab.guest(port);
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done', fault: null });
  const asked = await guest.run([
    'curl',
    '-g',
    '-s',
    '--retry',
    '5',
    '--retry-connrefused',
    '-m',
    '9',
    'http://[fe80::a9fe:a9fe%25eth0]/openstack',
  ]);
  expect(asked.stdout).toBe(`${network.id} fd00:1::5 /openstack`);
});

test('a stateful subnet gives each port its address by DHCPv6', async () => {
  await lab.agent();
  const network = network6('dhcpv6-stateful');
  const port = serverPort(network, 'fd00:1::77', [group.id]);
  const router = routerOf(network);
  lab.change([group, withHosts(network, [port]), port, router]);
  const guest = await lab.guest(port, { bare: true });
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done', fault: null });
  const script = [
    'from scapy.all import *',
    'conf.verb = 0',
    `mac = "${port.mac}"`,
    'll = [a for a, _, i in in6_getifaddr() if i == "eth0" and a.startswith("fe80")][0]',
    'q = Ether(src=mac, dst="33:33:00:01:00:02")/IPv6(src=ll, dst="ff02::1:2")/UDP(sport=546, dport=547)/DHCP6_Solicit(trid=7)/DHCP6OptClientId(duid=DUID_LL(lladdr=mac))/DHCP6OptIA_NA(iaid=1)',
    's = AsyncSniffer(iface="eth0", filter="udp and dst port 546", count=1, timeout=6, started_callback=lambda: sendp(q, iface="eth0"))',
    's.start()',
    's.join()',
    'print(s.results[0][DHCP6OptIAAddress].addr if s.results else "none")',
  ].join('\n');
  expect((await guest.run(['python3', '-c', script])).stdout.trim()).toBe('fd00:1::77');
});
