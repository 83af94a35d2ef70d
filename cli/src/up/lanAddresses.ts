// `up --floating-range`: the key of the configuration, and the subnet of the external network that gives these addresses to servers.
import { execFileSync } from 'node:child_process';
import { isMap, parseDocument } from 'yaml';
import { contains, toNumber } from './freeNetwork';
import type { Session } from './session';

/** Addresses of a LAN, as the configuration has them. */
export interface LanAddresses {
  readonly interface: string;
  readonly range: string;
}

/** What the subnet is called in the API. */
const NAME = 'lan';

/**
 * The text of the configuration with these addresses, or without any when none are given.
 * @throws Error in words when half of it is missing
 */
export function withLanAddresses(text: string, options: LanAddresses): string {
  if ((options.range === '') !== (options.interface === ''))
    throw new Error('--floating-range and --floating-interface go together: give both or none');
  const document = parseDocument(text);
  if (!isMap(document.contents)) return text;
  const { floating: before } = document.toJS() as { floating?: LanAddresses | null };
  const after = options.range === '' ? undefined : { interface: options.interface, range: options.range };
  if (JSON.stringify(before ?? undefined) === JSON.stringify(after)) return text;
  if (after === undefined) document.delete('floating');
  else document.set('floating', document.createNode(after));
  return document.toString({ lineWidth: 0 });
}

interface Subnet {
  readonly id: string;
  readonly cidr: string;
}

interface FloatingIp {
  readonly id: string;
  readonly floating_ip_address: string;
}

/** The network of the interface that the range is in. @throws Error in words when it has none */
function lanCidr({ interface: device, range }: LanAddresses): string {
  interface Link {
    readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
  }
  const shown = execFileSync('ip', ['-json', '-4', 'address', 'show', 'dev', device], { encoding: 'utf8' });
  const [first = ''] = range.split('-');
  const cidrs = (JSON.parse(shown) as Link[]).flatMap(({ addr_info }) =>
    addr_info.map(({ local, prefixlen }) => {
      const size = 2 ** (32 - prefixlen);
      const base = Math.floor(toNumber(local) / size) * size;
      return `${[24, 16, 8, 0].map((bits) => Math.floor(base / 2 ** bits) % 256).join('.')}/${prefixlen}`;
    }),
  );
  const found = cidrs.find((cidr) => contains(cidr, first.trim()));
  if (found === undefined) throw new Error(`${device} has no network with the addresses ${range} any more`);
  return found;
}

/** Takes floating IPs of the subnet away that are not wanted any more. @returns how many */
async function dropAddresses(
  admin: Session,
  networkId: string,
  subnet: Subnet,
  keep: LanAddresses | undefined,
): Promise<number> {
  const { floatingips } = await admin.request<{ floatingips: FloatingIp[] }>(
    'network',
    'GET',
    `/floatingips?floating_network_id=${networkId}`,
  );
  const [first = 0, last = -1] = keep ? keep.range.split('-').map((part) => toNumber(part.trim())) : [];
  const kept = (address: string): boolean => toNumber(address) >= first && toNumber(address) <= last;
  const gone = floatingips.filter(
    ({ floating_ip_address: address }) => contains(subnet.cidr, address) && !kept(address),
  );
  for (const { id } of gone) await admin.request('network', 'DELETE', `/floatingips/${id}`);
  return gone.length;
}

/**
 * Brings the external network in line: floating IPs come out of the range, or out of none of it any more. Those that are in use and
 * outside of it are taken away.
 * @returns a warning when servers lost addresses
 */
export async function ensureLanAddresses(
  admin: Session,
  wanted: LanAddresses | undefined,
  cidrOf: (wanted: LanAddresses) => string = lanCidr,
): Promise<string | undefined> {
  const { networks } = await admin.request<{ networks: { id: string }[] }>(
    'network',
    'GET',
    '/networks?name=public&router:external=True',
  );
  const [network] = networks;
  if (!network) {
    if (wanted) throw new Error('the network public was deleted: floating IPs of the LAN have no place');
    return undefined;
  }
  const { subnets } = await admin.request<{ subnets: Subnet[] }>(
    'network',
    'GET',
    `/subnets?network_id=${network.id}&name=${NAME}`,
  );
  const cidr = wanted && cidrOf(wanted);
  const [first = '', last = ''] = wanted?.range.split('-').map((part) => part.trim()) ?? [];
  const allocation_pools = [{ start: first, end: last }];
  let [there] = subnets;
  let lost = 0;
  if (there) {
    const stays = there.cidr === cidr;
    lost = await dropAddresses(admin, network.id, there, stays ? wanted : undefined);
    if (stays) await admin.request('network', 'PUT', `/subnets/${there.id}`, { subnet: { allocation_pools } });
    else {
      await admin.request('network', 'DELETE', `/subnets/${there.id}`);
      there = undefined;
    }
  }
  if (cidr !== undefined && !there) {
    await admin.request('network', 'POST', '/subnets', {
      subnet: {
        name: NAME,
        network_id: network.id,
        ip_version: 4,
        cidr,
        // Routers keep their addresses on the bridge: only floating IPs come out of this one.
        gateway_ip: null,
        service_types: ['network:floatingip'],
        enable_dhcp: false,
        allocation_pools,
      },
    });
  }
  return lost === 0
    ? undefined
    : `${lost} floating IPs of the LAN were taken away: their addresses are not in the range any more`;
}
