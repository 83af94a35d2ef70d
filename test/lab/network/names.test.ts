// Names and options that a network's DHCP server gives: its own servers, the outside through the host, and nothing forged.
import { createSocket, type Socket } from 'node:dgram';
import {
  createNetworkLab,
  leaseOf,
  securityGroup,
  serverPort,
  tenantNetwork,
  withHosts,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';
import type { NetworkState } from '@cumulet/common';

let lab: NetworkLab;
let upstream: Socket;
let asked: string[];
beforeEach(async () => {
  lab = await createNetworkLab();
  asked = [];
  upstream = createSocket('udp4');
  await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', resolve));
  // A name server with one answer: 192.0.2.53 to everything.
  upstream.on('message', (question, from) => {
    asked.push(question.toString('latin1', 12));
    const header = Buffer.from(question.subarray(0, 12));
    header.writeUInt16BE(0x8180, 2);
    header.writeUInt16BE(1, 6);
    header.writeUInt16BE(0, 10);
    const end = question.indexOf(0, 12) + 5;
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
    upstream.send(Buffer.concat([header, question.subarray(12, end), answer]), from.port, from.address);
  });
});
afterEach(async () => {
  upstream.close();
  await lab.close();
});

async function guestOn(
  change: (network: NetworkState) => NetworkState,
): Promise<{ guest: Guest; network: NetworkState }> {
  await lab.agent({ dns_servers: [`127.0.0.1#${upstream.address().port}`] });
  const group = securityGroup([]);
  const network = tenantNetwork();
  const [port, other] = [serverPort(network, '10.0.0.11', [group.id]), serverPort(network, '10.0.0.12', [group.id])];
  const full = change(withHosts(network, [port, other]));
  lab.change([group, full, port]);
  const guest = await lab.guest(port);
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done', fault: null });
  return { guest, network: full };
}

const resolve = async (guest: Guest, name: string): Promise<string> => {
  const script = [
    'from scapy.all import *',
    'conf.verb = 0',
    'import socket',
    's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
    's.settimeout(4)',
    's.connect(("10.0.0.2", 53))',
    `s.send(bytes(DNS(id=7, rd=1, qd=DNSQR(qname="${name}"))))`,
    'r = DNS(s.recv(2000))',
    'print(r.an.rdata if r.ancount else "rcode %d" % r.rcode)',
  ].join('\n');
  return (await guest.run(['python3', '-c', script])).stdout.trim();
};

test("servers of the network are known by name, other names go to the host's own name servers", async () => {
  const { guest } = await guestOn((network) => network);
  expect(await resolve(guest, 'vm2.lab.test')).toBe('10.0.0.12');
  expect(await resolve(guest, 'nobody.lab.test')).toBe('rcode 3');
  expect(asked).toEqual([]);
  expect(await resolve(guest, 'www.example.org')).toBe('192.0.2.53');
  expect(asked).toHaveLength(1);
});

test("a port's DHCP options and the subnet's routes are given; a forged one is left out and takes nothing with it", async () => {
  const { guest } = await guestOn((network) => ({
    ...network,
    subnets: network.subnets.map((subnet) => ({
      ...subnet,
      dns_nameservers: ['192.0.2.1', '192.0.2.2'],
      host_routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
    })),
    dhcp_hosts: network.dhcp_hosts.map((host, index) => ({
      ...host,
      extra_options:
        index === 0
          ? [
              { name: 'ntp-server', value: 'not an address "', ip_version: 4 },
              { name: 'bootfile-name', value: 'pxelinux0', ip_version: 4 },
            ]
          : [{ name: 'bootfile-name', value: 'x\ndhcp-script=/bin/sh', ip_version: 4 }],
    })),
  }));
  expect(await leaseOf(guest)).toMatchObject({
    yiaddr: '10.0.0.11',
    name_server: ['192.0.2.1', '192.0.2.2'],
    classless_static_routes: ['192.0.2.0/24:10.0.0.9', '169.254.169.254/32:10.0.0.2', '0.0.0.0/0:10.0.0.1'],
    'boot-file-name': 'pxelinux0',
  });
});

test('a client that no port stands for gets nothing', async () => {
  const { guest } = await guestOn((network) => ({ ...network, dhcp_hosts: network.dhcp_hosts.slice(1) }));
  await expect(leaseOf(guest)).rejects.toThrow('no DHCP answer');
});
