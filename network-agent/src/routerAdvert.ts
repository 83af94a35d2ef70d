// Router advertisements (RFC 4861) of one router as a dnsmasq file: only ports of routers ever announce a network.
import type { NetworkState, RouterState, SubnetState } from '@cumulet/common';
import { canonical, covers, familyOf, parseInterfaceAddress, parsePrefix } from './addresses';
import type { DhcpFiles } from './dhcp';
import { routerLinkName } from './names';

const INTERVAL_SECONDS = 200;
const LIFETIME_SECONDS = 1800;
const LEASE_SECONDS = 86400;

interface Announced {
  readonly link: string;
  readonly mtu: number;
  readonly subnet: SubnetState;
  readonly nameServers: readonly string[];
}

function announced(router: RouterState, networks: ReadonlyMap<string, NetworkState>): Announced[] {
  return router.interfaces.flatMap((port) => {
    const network = networks.get(port.network_id);
    if (!network) return [];
    const own = port.addresses.map((text) => parsePrefix(parseInterfaceAddress(text).address));
    return network.subnets
      .filter((subnet) => subnet.ip_version === 6 && subnet.ipv6_ra_mode !== null)
      .filter((subnet) => own.some((address) => covers(parsePrefix(subnet.cidr), address)))
      .map((subnet) => {
        const dhcp = network.dhcp?.addresses.filter((entry) => entry.subnet_id === subnet.id) ?? [];
        const servers = subnet.dns_nameservers.length > 0 ? subnet.dns_nameservers : dhcp.map((entry) => entry.address);
        const nameServers = servers.map(canonical).filter((address) => familyOf(address) === 6);
        return { link: routerLinkName(port.port_id), mtu: network.mtu, subnet, nameServers };
      });
  });
}

/** Managed: addresses come from DHCPv6, which the network's own server answers; this one knows no client and stays silent. */
const modeOf = (subnet: SubnetState): string => {
  if (subnet.ipv6_ra_mode === 'slaac') return 'ra-only';
  return subnet.ipv6_ra_mode === 'dhcpv6-stateless' ? 'ra-stateless' : 'static';
};

function lines({ link, mtu, subnet, nameServers }: Announced): string[] {
  const { address, length } = parsePrefix(subnet.cidr);
  const tag = subnet.id.replaceAll('-', '').slice(0, 16);
  return [
    `dhcp-range=set:${tag},${address},${modeOf(subnet)},${length},${LEASE_SECONDS}`,
    `ra-param=${link},mtu:${mtu},${INTERVAL_SECONDS},${LIFETIME_SECONDS}`,
    // Without a value nothing is announced: the router itself answers no names.
    [`dhcp-option=tag:${tag}`, 'option6:dns-server', ...nameServers.map((server) => `[${server}]`)].join(','),
  ];
}

/** The files of a router's announcer, or undefined when none of its networks wants one. @throws CumuletError bad_address */
export function advertFiles(router: RouterState, networks: ReadonlyMap<string, NetworkState>): DhcpFiles | undefined {
  const all = announced(router, networks);
  if (all.length === 0) return undefined;
  const conf = [
    `# router ${router.id}`,
    'port=0',
    'no-hosts',
    'no-resolv',
    'bind-interfaces',
    'except-interface=lo',
    'enable-ra',
    'leasefile-ro',
    'dhcp-ignore=tag:!known',
    ...new Set(all.map(({ link }) => `interface=${link}`)),
    ...new Set(all.flatMap(lines)),
    '',
  ].join('\n');
  return { conf, hosts: '', options: '', names: '', problems: new Map() };
}
