// The host's own side of the managed external bridge: masquerade, routed traffic and what guests may send to the host.
import { parsePrefix, prefixText, type Family } from '../addresses';
import { parseRange, prefixesOf, type FloatingRange } from '../floatingRange';
import type { Chains } from './securityGroups';

export interface External {
  readonly bridge: string;
  /** The host's address on the bridge with the prefix length. */
  readonly address: string;
  /** Addresses of a LAN that floating IPs may have. */
  readonly floating?: FloatingRange | null;
}

/** A rule at the head of one of the kernel's chains that leads into one of ours. */
export interface Jump {
  readonly table: 'filter' | 'nat';
  readonly chain: 'FORWARD' | 'INPUT' | 'POSTROUTING';
  readonly match: string;
  readonly target: string;
}

const bridged: Jump = {
  table: 'filter',
  chain: 'FORWARD',
  match: '-m physdev --physdev-is-bridged',
  target: 'cumulet-forward',
};

/** The jumps into our chains, in the order in which they stand first in each of the kernel's chains. */
export function jumps(family: Family, external: External | null): Jump[] {
  if (external === null) return [bridged];
  const { bridge } = external;
  const input: Jump = { table: 'filter', chain: 'INPUT', match: `-i ${bridge}`, target: 'cumulet-input' };
  if (family === 6) return [bridged, input];
  return [
    bridged,
    { table: 'filter', chain: 'FORWARD', match: `-i ${bridge}`, target: 'cumulet-routed' },
    { table: 'filter', chain: 'FORWARD', match: `-o ${bridge}`, target: 'cumulet-routed' },
    input,
    { table: 'nat', chain: 'POSTROUTING', match: `! -o ${bridge}`, target: 'cumulet-postrouting' },
  ];
}

/**
 * Chains of the filter table about the external bridge. @param foreign other people's bridges: whether guests may be routed to what
 * is on them (containers, another hypervisor's guests) is for the host's own rules to say
 */
export function hostFilterChains(family: Family, external: External | null, foreign: readonly string[]): Chains {
  if (external === null) return new Map();
  const { bridge, floating } = external;
  const lan = floating ? prefixesOf(parseRange(floating.range)).map((prefix) => prefixText(parsePrefix(prefix))) : [];
  const answers = '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
  const input = ['cumulet-input', [answers, `-p ${family === 4 ? 1 : 58} -j ACCEPT`, '-j DROP']] as const;
  if (family === 6) return new Map([input]);
  return new Map<string, readonly string[]>([
    input,
    [
      'cumulet-routed',
      [
        // From router to router: on the same bridge, but routed by the host.
        ...lan.map((prefix) => `-d ${prefix} -i ${bridge} -o ${bridge} -m physdev ! --physdev-is-bridged -j ACCEPT`),
        // Bridged frames show the bridge on both sides; they were judged by port already.
        `-i ${bridge} -o ${bridge} -j RETURN`,
        ...foreign.map((name) => `-o ${name} -j RETURN`),
        `-s ${prefixText(parsePrefix(external.address))} -i ${bridge} -j ACCEPT`,
        ...lan.map((prefix) => `-s ${prefix} -i ${bridge} -j ACCEPT`),
        ...lan.map((prefix) => `-d ${prefix} -i ${floating?.interface} -o ${bridge} -j ACCEPT`),
        `-o ${bridge} ${answers}`,
      ],
    ],
  ]);
}

/** Chains of the nat table: guests reach the outside under the host's address. */
export function hostNatChains(external: External | null): Chains {
  if (external === null) return new Map();
  const own = prefixText(parsePrefix(external.address));
  return new Map([['cumulet-postrouting', ['-m physdev --physdev-is-bridged -j RETURN', `-s ${own} -j MASQUERADE`]]]);
}
