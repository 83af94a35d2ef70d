// One network's DHCP and DNS server as dnsmasq files: static entries only, unknown clients ignored.
import type { DhcpHostState, NetworkState, SubnetState } from '@cumulet/common';
import { canonical, familyOf, isMac, parsePrefix } from './addresses';
import { dhcpLinkName } from './names';
import { extraOption } from './dhcpOptions';

export interface DhcpFiles {
  /** The main file; a change needs a new process. */
  readonly conf: string;
  /** Static entries, options and names; a changed one is read again on SIGHUP. */
  readonly hosts: string;
  readonly options: string;
  readonly names: string;
  /** What had to be left out, by port id, in words. */
  readonly problems: ReadonlyMap<string, string>;
}

export const METADATA_ADDRESS = '169.254.169.254';
/** The metadata service's IPv6 address; a socket on it needs the interface's name. */
export const METADATA_ADDRESS6 = 'fe80::a9fe:a9fe';
/** Where the agent answers the questions that dnsmasq can't: the relay's address within the namespace. */
export const RELAY_PORT = 5353;
const LEASE_SECONDS = 86400;

const tagOf = (kind: 'subnet' | 'port', id: string): string => `${kind}-${id.replaceAll('-', '').slice(0, 16)}`;

/** A domain as dnsmasq may get it, without the final dot, or undefined when it is empty or no domain name (RFC 1123). */
function domainOf(text: string): string | undefined {
  const domain = text.replace(/\.$/, '').toLowerCase();
  const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return domain.length > 0 && domain.length <= 253 && domain.split('.').every((part) => label.test(part))
    ? domain
    : undefined;
}

const hostnameOf = (text: string): string | undefined => {
  const name = domainOf(text);
  return name?.includes('.') ? undefined : name;
};

/** Whether dnsmasq gives out this subnet's addresses. SLAAC and stateless subnets only get options. */
const servesAddresses = (subnet: SubnetState): boolean =>
  subnet.enable_dhcp && (subnet.ip_version === 4 || subnet.ipv6_address_mode === 'dhcpv6-stateful');

const servesOptions = (subnet: SubnetState): boolean =>
  subnet.enable_dhcp &&
  (subnet.ip_version === 4 || ['dhcpv6-stateful', 'dhcpv6-stateless'].includes(subnet.ipv6_address_mode ?? ''));

function range(subnet: SubnetState): string {
  const { address, length } = parsePrefix(subnet.cidr);
  const width = subnet.ip_version === 4 ? netmask(length) : String(length);
  return `dhcp-range=set:${tagOf('subnet', subnet.id)},${address},static,${width},${LEASE_SECONDS}`;
}

function netmask(length: number): string {
  const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.');
}

function conf(network: NetworkState, link: string, directory: string): string {
  const domain = domainOf(network.dns_domain);
  return [
    `# network ${network.id}`,
    'no-hosts',
    'no-resolv',
    'bind-interfaces',
    `interface=${link}`,
    'except-interface=lo',
    'dhcp-authoritative',
    'leasefile-ro',
    'dhcp-ignore=tag:!known',
    'dhcp-lease-max=65536',
    'domain-needed',
    'no-ping',
    ...(domain === undefined ? [] : [`domain=${domain}`, `local=/${domain}/`]),
    `server=127.0.0.1#${RELAY_PORT}`,
    `dhcp-hostsfile=${directory}/hosts`,
    `dhcp-optsfile=${directory}/options`,
    `addn-hosts=${directory}/names`,
    ...network.subnets.filter(servesOptions).map(range),
    '',
  ].join('\n');
}

/** Option 121 (RFC 3442): with it a client ignores the router option, so the default route is in it too. */
function routesOf(subnet: SubnetState, server: string | undefined): string[] {
  const routes = subnet.host_routes.map((route) => [prefixText4(route.destination), canonical(route.nexthop)] as const);
  const all: (readonly [string, string])[] = [...routes];
  if (server !== undefined) all.push([`${METADATA_ADDRESS}/32`, server]);
  if (subnet.gateway_ip !== null && !routes.some(([destination]) => destination === '0.0.0.0/0')) {
    all.push(['0.0.0.0/0', canonical(subnet.gateway_ip)]);
  }
  return all.flat();
}

function prefixText4(text: string): string {
  const { address, length } = parsePrefix(text);
  return `${address}/${length}`;
}

function subnetOptions(network: NetworkState, subnet: SubnetState): string[] {
  const tag = `tag:${tagOf('subnet', subnet.id)}`;
  const own = network.dhcp?.addresses.find((entry) => entry.subnet_id === subnet.id)?.address;
  const servers = (subnet.dns_nameservers.length > 0 ? subnet.dns_nameservers : own === undefined ? [] : [own]).map(
    canonical,
  );
  if (subnet.ip_version === 6) {
    const text = servers.filter((address) => familyOf(address) === 6).map((address) => `[${address}]`);
    return text.length > 0 ? [`${tag},option6:dns-server,${text.join(',')}`] : [];
  }
  const routes = routesOf(subnet, own);
  return [
    // Without a value the option is not sent: dnsmasq would name itself as the router.
    [tag, 'option:router', ...(subnet.gateway_ip === null ? [] : [canonical(subnet.gateway_ip)])].join(','),
    [tag, 'option:dns-server', ...servers.filter((address) => familyOf(address) === 4)].join(','),
    ...(routes.length > 0 ? [[tag, 'option:classless-static-route', ...routes].join(',')] : []),
    ...(routes.length > 0 ? [[tag, '249', ...routes].join(',')] : []),
    `${tag},option:mtu,${network.mtu}`,
  ];
}

function hostLines(host: DhcpHostState, network: NetworkState): string[] {
  const name = hostnameOf(host.hostname);
  const served = network.subnets.filter(servesAddresses);
  const tail = name === undefined ? '' : `,${name}`;
  const head = `${host.mac},set:${tagOf('port', host.port_id)}`;
  const lines = served.flatMap((subnet) => {
    // A client can have one address of a subnet by DHCP.
    const own = host.addresses.find((entry) => entry.subnet_id === subnet.id);
    if (!own) return [];
    const address = canonical(own.address);
    return [`${head},${familyOf(address) === 4 ? address : `[${address}]`}${tail}`];
  });
  return lines.length > 0 ? lines : [`${head}${tail}`];
}

function nameLines(host: DhcpHostState, domain: string | undefined): string[] {
  const name = hostnameOf(host.hostname);
  if (name === undefined) return [];
  const names = domain === undefined ? name : `${name}.${domain} ${name}`;
  return host.addresses.map((entry) => `${canonical(entry.address)} ${names}`);
}

/**
 * The files of a network's dnsmasq. A host whose data makes no line is left out and named in `problems`; the others are served.
 * @param directory where the files will be
 */
export function dhcpFiles(network: NetworkState, portId: string, directory: string): DhcpFiles {
  const problems = new Map<string, string>();
  const hosts: string[] = [];
  const names: string[] = [];
  const options = network.subnets.filter(servesOptions).flatMap((subnet) => subnetOptions(network, subnet));
  for (const host of network.dhcp_hosts) {
    try {
      if (!isMac(host.mac)) throw new Error(`${JSON.stringify(host.mac)} is not a MAC address`);
      const own = host.extra_options.map((option) => `tag:${tagOf('port', host.port_id)},${extraOption(option)}`);
      hosts.push(...hostLines(host, network));
      names.push(...nameLines(host, domainOf(network.dns_domain)));
      options.push(...own);
    } catch (error) {
      problems.set(host.port_id, `no DHCP for port ${host.port_id}: ${(error as Error).message}`);
    }
  }
  const file = (lines: string[]): string => lines.map((line) => `${line}\n`).join('');
  return {
    conf: conf(network, dhcpLinkName(portId), directory),
    hosts: file(hosts),
    options: file(options),
    names: file(names),
    problems,
  };
}
