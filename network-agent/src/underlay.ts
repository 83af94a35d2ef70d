// The address by which other hosts reach this one with tenant networks, and how large a packet to it, or to the outside, may be.
import { CumuletError, type Exec } from '@cumulet/common';
import { parseJson, type JsonLink } from './observe';

/** What an administrator names: an IPv4 address of the host, or the interface whose first one it is. */
export type UnderlayConfig = { readonly address: string } | { readonly interface: string };

export interface Underlay {
  readonly address: string;
  /** Bytes of an IP packet. */
  readonly mtu: number;
}

/** Finds the underlay in the output of `ip -json address show`. @throws CumuletError no_underlay when it is not on this host */
export function findUnderlay(text: string, wanted: UnderlayConfig): Underlay {
  for (const link of parseJson<JsonLink>(text, 'ip address')) {
    if ('interface' in wanted && link.ifname !== wanted.interface) continue;
    const own = (link.addr_info ?? []).filter((entry) => entry.family === 'inet');
    const found = own.find((entry) => !('address' in wanted) || entry.local === wanted.address);
    if (found?.local !== undefined) return { address: found.local, mtu: link.mtu ?? 0 };
  }
  const words =
    'address' in wanted
      ? `no interface of this host has the underlay address ${wanted.address}`
      : `the underlay interface ${wanted.interface} is not there or has no IPv4 address`;
  throw new CumuletError('no_underlay', words);
}

/** Looks at the host. @throws CumuletError no_underlay */
export async function readUnderlay(exec: Exec, wanted: UnderlayConfig): Promise<Underlay> {
  return findUnderlay((await exec(['ip', '-json', 'address', 'show'])).stdout, wanted);
}

/** What most of the way to anywhere carries, however large the packets of the first link may be. */
const USUAL_MTU = 1500;

/**
 * How large guests' packets to the outside may be: as on the interface of the default route. Undefined without one. A larger packet would
 * have to be refused by ICMP, which is slow and not heard behind every firewall.
 */
export async function readUplinkMtu(exec: Exec): Promise<number | undefined> {
  const routes = await exec(['ip', '-json', '-4', 'route', 'show', 'default']);
  const found = parseJson<{ readonly dev?: string; readonly metric?: number }>(routes.stdout, 'ip route');
  const [best] = [...found].sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0));
  if (best?.dev === undefined) return undefined;
  const [link] = parseJson<JsonLink>((await exec(['ip', '-json', 'link', 'show', 'dev', best.dev])).stdout, 'ip link');
  return Math.min(link?.mtu ?? USUAL_MTU, USUAL_MTU);
}
