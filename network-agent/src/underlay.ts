// The address by which other hosts reach this one with tenant networks, and how large a packet to it may be.
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
