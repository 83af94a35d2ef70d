// A guest that lies about who it is, against a neighbour whose security group lets everything in: nothing of it arrives.
import type { PortState } from '@cumulet/common';
import { between, ipv4, sendFrames, sendScapy, sentinel, tagged, udp, watch } from '../../support/frames';
import {
  labForEach,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const OTHER_MAC = 'fa:16:3e:99:99:99';

/** Every lie, as a scapy expression around a tagged payload. */
function lies(attacker: Guest, victim: Guest): Record<string, string> {
  const [a, v] = [attacker.port.mac, victim.port.mac];
  const own = attacker.port.fixed_ips[0]?.address ?? '';
  const its = victim.port.fixed_ips[0]?.address ?? '';
  const local = `in6_ptop("fe80::" + inet_ntop(socket.AF_INET6, b"\\0" * 8 + bytes.fromhex("${eui64(a)}"))[2:])`;
  const six = `Ether(src="${a}", dst="33:33:00:00:00:01")/IPv6(src=${local}, dst="ff02::1", hlim=255)`;
  const all: Record<string, string> = {
    foreign_mac: `Ether(src="${OTHER_MAC}", dst="${v}")/IP(src="${own}", dst="${its}")/UDP(dport=9)/@`,
    foreign_ip: `Ether(src="${a}", dst="${v}")/IP(src="10.0.0.77", dst="${its}")/UDP(dport=9)/@`,
    gateway_ip: `Ether(src="${a}", dst="${v}")/IP(src="10.0.0.1", dst="${its}")/ICMP()/@`,
    no_ip: `Ether(src="${a}", dst="${v}")/IP(src="0.0.0.0", dst="${its}")/UDP(sport=68, dport=67)/@`,
    arp_gateway: `Ether(src="${a}", dst="${v}")/ARP(op=2, hwsrc="${a}", psrc="10.0.0.1", hwdst="${v}", pdst="${its}")/@`,
    arp_gratuitous: `Ether(src="${a}", dst="ff:ff:ff:ff:ff:ff")/ARP(op=1, hwsrc="${a}", psrc="${its}", pdst="${its}")/@`,
    arp_foreign_mac: `Ether(src="${a}", dst="${v}")/ARP(op=2, hwsrc="${OTHER_MAC}", psrc="${own}", pdst="${its}")/@`,
    arp_probe_of_victim: `Ether(src="${a}", dst="ff:ff:ff:ff:ff:ff")/ARP(op=1, hwsrc="${a}", psrc="0.0.0.0", pdst="${its}")/@`,
    dhcp_server: `Ether(src="${a}", dst="${v}")/IP(src="${own}", dst="255.255.255.255")/UDP(sport=67, dport=68)/@`,
    dhcpv6_server: `${six}/UDP(sport=547, dport=546)/@`,
    router_advert: `${six}/ICMPv6ND_RA()/ICMPv6NDOptPrefixInfo(prefix="2001:db8::")/@`,
    router_advert_behind_options: `${six}/IPv6ExtHdrDestOpt()/ICMPv6ND_RA()/@`,
    router_advert_in_fragments: `*fragment6(${six}/IPv6ExtHdrFragment()/IPv6ExtHdrDestOpt(options=PadN(optdata=b"A" * 200))/ICMPv6ND_RA()/@, 100)`,
    redirect: `${six}/ICMPv6ND_Redirect(tgt="fe80::1", dst="2001:db8::1")/@`,
    neighbor_advert: `${six}/ICMPv6ND_NA(tgt="fe80::1", R=0, S=0, O=1)/ICMPv6NDOptDstLLAddr(lladdr="${a}")/@`,
    neighbor_solicit_dad: `Ether(src="${a}", dst="33:33:00:00:00:01")/IPv6(src="::", dst="ff02::1", hlim=255)/ICMPv6ND_NS(tgt="fe80::1")/@`,
    foreign_ipv6: `Ether(src="${a}", dst="${v}")/IPv6(src="2001:db8::66", dst="fe80::2")/UDP(dport=9)/@`,
    foreign_link_local: `Ether(src="${a}", dst="${v}")/IPv6(src="fe80::1", dst="fe80::2")/UDP(dport=9)/@`,
    vlan_tag: `Ether(src="${a}", dst="${v}")/Dot1Q(vlan=5)/IP(src="${own}", dst="${its}")/UDP(dport=9)/@`,
    spanning_tree: `Dot3(src="${a}", dst="01:80:c2:00:00:0e")/LLC()/@`,
    other_ethertype: `Ether(src="${a}", dst="${v}", type=0x88b5)/@`,
  };
  return Object.fromEntries(
    Object.entries(all).map(([name, frame]) => [name, frame.replace('@', `Raw(b"TAG-${name};")`)]),
  );
}

function eui64(mac: string): string {
  const [first = '00', ...rest] = mac.split(':');
  const flipped = (parseInt(first, 16) ^ 2).toString(16).padStart(2, '0');
  return [flipped, ...rest.slice(0, 2), 'ff', 'fe', ...rest.slice(2)].join('');
}

async function stage(over: Partial<PortState>): Promise<{ attacker: Guest; victim: Guest }> {
  const group = securityGroup([rule({}), rule({ ethertype: 'IPv6' })]);
  const network = tenantNetwork();
  const attacker = serverPort(network, '10.0.0.5', over.port_security_enabled === false ? [] : [group.id], over);
  const victim = serverPort(network, '10.0.0.6', [], { port_security_enabled: false });
  await lab.agent();
  lab.change([group, network, attacker, victim]);
  const guests = { attacker: await lab.guest(attacker), victim: await lab.guest(victim) };
  expect(await lab.command('ports.ensure', [attacker.id, victim.id])).toMatchObject({ outcome: 'done' });
  return guests;
}

async function received({ attacker, victim }: { attacker: Guest; victim: Guest }): Promise<string[]> {
  const seen = await watch(victim);
  await sendScapy(attacker, Object.values(lies(attacker, victim)));
  await sendFrames(attacker, [sentinel(attacker, victim, 'end')]);
  return seen.until('end');
}

test('no lie about MAC, IPv4, IPv6, ARP, neighbour, DHCP server or router leaves a guarded port', async () => {
  expect(await received(await stage({}))).toEqual([]);
});

test('the same frames do arrive from a port without port security, so the rules are what stops them', async () => {
  const guests = await stage({ port_security_enabled: false });
  // Bridges themselves never pass on frames for the reserved addresses.
  const expected = Object.keys(lies(guests.attacker, guests.victim)).filter((name) => name !== 'spanning_tree');
  expect((await received(guests)).sort()).toEqual(
    expect.arrayContaining(expected.filter((name) => !name.endsWith('fragments')).sort()),
  );
});

test('a frame for another guest is not shown to a neighbour, even while the bridge floods it', async () => {
  const { attacker, victim } = await stage({});
  const group = securityGroup([rule({})]);
  const network = { ...attacker.port, id: '0a0a0a0a-0000-4000-8000-000000000003', mac: 'fa:16:3e:00:00:03' };
  const third: PortState = {
    ...network,
    fixed_ips: [{ subnet_id: '', address: '10.0.0.7' }],
    security_group_ids: [group.id],
  };
  lab.change([group, third]);
  const guest = await lab.guest(third);
  expect(await lab.command('ports.ensure', [third.id])).toMatchObject({ outcome: 'done' });
  const seen = await watch(guest);
  const nobody = { ...between(attacker, guest), toMac: '02:00:00:00:00:99', to: '10.0.0.99' };
  const flooded = ipv4(nobody, 17, udp(4000, 9, tagged('secret')));
  const openly = await watch(victim);
  await sendFrames(attacker, [flooded, sentinel(attacker, guest, 'end'), sentinel(attacker, victim, 'stop')]);
  expect(await seen.until('end')).toEqual([]);
  expect(await openly.until('stop')).toEqual(['secret']);
});
