// What a guest is told about itself, as plain documents: pure functions of its row, ports and zone.
import { isIPv4 } from 'node:net';
import { interfaceName } from '@cumulet/common';
import type { Server } from '../../db/entities/compute';
import type { Subnet } from '../../db/entities/network';
import type { ServerPort, ServerPortAddress } from '../network/serverPortViews';

export interface GuestFacts {
  readonly server: Server;
  readonly ports: readonly ServerPort[];
  readonly zone: string;
  /** 512 bytes in base64; absent where the same documents must come out again. */
  readonly randomSeed?: string;
}

/** The name a guest is known by in its network's DNS: the one DHCP gives it. */
function fullHostname({ server, ports }: Pick<GuestFacts, 'server' | 'ports'>): string {
  const domain = (ports[0]?.network.dns_domain ?? '').replace(/\.$/, '');
  return domain === '' || server.hostname.includes('.') ? server.hostname : `${server.hostname}.${domain}`;
}

/** A personality file's place on the config drive. */
export const contentPath = (index: number): string => `/content/${String(index).padStart(4, '0')}`;

/** openstack/latest/meta_data.json */
export function metaData(guest: GuestFacts): Record<string, unknown> {
  const { server, zone, randomSeed } = guest;
  const { key, personality } = server;
  return {
    uuid: server.id,
    name: server.name,
    hostname: fullHostname(guest),
    availability_zone: zone,
    project_id: server.project_id,
    launch_index: server.launch_index,
    ...(randomSeed === undefined ? {} : { random_seed: randomSeed }),
    ...(key
      ? {
          public_keys: { [key.name]: `${key.public_key.trim()}\n` },
          keys: [{ name: key.name, type: key.type, data: `${key.public_key.trim()}\n` }],
        }
      : {}),
    ...(Object.keys(server.metadata).length > 0 ? { meta: server.metadata } : {}),
    ...(personality.length > 0
      ? { files: personality.map((file, index) => ({ path: file.path, content_path: contentPath(index) })) }
      : {}),
    devices: guest.ports.flatMap(({ port }) =>
      port.device_tag === null
        ? []
        : [
            {
              type: 'nic',
              bus: 'none',
              address: 'none',
              mac: port.mac_address,
              tags: [port.device_tag],
              vlan: 0,
              trusted: false,
            },
          ],
    ),
    dedicated_cpus: [],
  };
}

function netmask4(length: number): string {
  const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.');
}

function netmask6(length: number): string {
  const groups = Array.from({ length: 8 }, (_, at) => {
    const bits = Math.min(16, Math.max(0, length - at * 16));
    return ((0xffff << (16 - bits)) & 0xffff).toString(16);
  });
  return groups.join(':');
}

/** The mask of a prefix such as "10.0.0.0/24" in long form. */
export function netmask(cidr: string): string {
  const [address = '', length = ''] = cidr.split('/');
  return isIPv4(address) ? netmask4(Number(length)) : netmask6(Number(length));
}

interface Route {
  readonly network: string;
  readonly netmask: string;
  readonly gateway: string;
}

function routesOf(subnet: Subnet): Route[] {
  const zero = subnet.ip_version === 4 ? '0.0.0.0' : '::';
  const byDefault = subnet.gateway_ip === null ? [] : [{ network: zero, netmask: zero, gateway: subnet.gateway_ip }];
  return [
    ...byDefault,
    ...subnet.host_routes.map(({ destination, nexthop }) => ({
      network: destination.replace(/\/.*/, ''),
      netmask: netmask(destination),
      gateway: nexthop,
    })),
  ];
}

const dnsOf = (subnet: Subnet): { type: string; address: string }[] =>
  subnet.dns_nameservers.map((address) => ({ type: 'dns', address }));

/** One address: told to be asked of DHCP or RA where the network gives it that way, written out where not. */
function addressView(one: ServerPortAddress, link: string, networkId: string, index: number): Record<string, unknown> {
  const { subnet, version } = one;
  const common = { id: `network${index}`, link, network_id: networkId };
  if (version === 4 && subnet.enable_dhcp) return { ...common, type: 'ipv4_dhcp' };
  const mode = version === 6 ? subnet.ipv6_address_mode : null;
  if (version === 6 && mode === null && subnet.enable_dhcp) return { ...common, type: 'ipv6_dhcp' };
  return {
    ...common,
    type: `ipv${version}${mode === null ? '' : `_${mode}`}`,
    ip_address: one.address,
    netmask: netmask(subnet.cidr),
    routes: routesOf(subnet),
    services: dnsOf(subnet),
  };
}

/** openstack/latest/network_data.json: agrees with what DHCP tells, MTU included. */
export function networkData(ports: readonly ServerPort[]): Record<string, unknown> {
  const flat = ports.flatMap(({ port, network, addresses }) => addresses.map((one) => ({ port, network, one })));
  const services = new Map(flat.flatMap(({ one }) => dnsOf(one.subnet)).map((dns) => [dns.address, dns]));
  return {
    links: ports.map(({ port, network }) => ({
      id: interfaceName('tap', port.id),
      vif_id: port.id,
      type: 'bridge',
      mtu: network.mtu,
      ethernet_mac_address: port.mac_address,
    })),
    networks: flat.map(({ port, network, one }, index) =>
      addressView(one, interfaceName('tap', port.id), network.id, index),
    ),
    services: [...services.values()],
  };
}

const ec2Id = (prefix: string, id: string): string => `${prefix}-${id.replaceAll('-', '').slice(0, 8)}`;

/** The EC2 tree's meta-data: texts, and folders of texts. */
export interface Ec2Tree {
  readonly [name: string]: string | Ec2Tree;
}

/** latest/meta-data/ */
export function ec2MetaData(guest: GuestFacts): Ec2Tree {
  const { server, ports, zone } = guest;
  const all = ports.flatMap((one) => one.addresses).filter((one) => one.version === 4);
  const groups = new Map(ports.flatMap((one) => one.securityGroups).map((group) => [group.id, group.name]));
  const hostname = fullHostname(guest);
  return {
    'ami-id': ec2Id('ami', server.image_id ?? '00000000'),
    'ami-launch-index': String(server.launch_index),
    'ami-manifest-path': 'FIXME',
    'block-device-mapping': { ami: 'vda', root: server.root_device_name },
    hostname,
    'instance-action': 'none',
    'instance-id': ec2Id('i', server.id),
    'instance-type': server.flavor.name,
    'local-hostname': hostname,
    'local-ipv4': all[0]?.address ?? '',
    placement: { 'availability-zone': zone },
    'public-hostname': hostname,
    'public-ipv4': all.flatMap((one) => one.floating)[0] ?? '',
    ...(server.key
      ? { 'public-keys': { [`0=${server.key.name}`]: { 'openssh-key': `${server.key.public_key.trim()}\n` } } }
      : {}),
    'reservation-id': server.reservation_id,
    'security-groups': [...groups.values()].join('\n'),
  };
}
