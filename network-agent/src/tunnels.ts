// The VXLAN link of a network to other hosts: how it is made, and what its forwarding table must hold.
import type { LinkStep, ObservedLink } from './linkPlan';
import type { DesiredTunnel } from './links';

/** The UDP port of VXLAN (RFC 7348). */
export const VXLAN_PORT = 4789;

/** The address under which the kernel keeps whom to send broadcasts and frames to unknown addresses. */
const FLOOD = '00:00:00:00:00:00';

export interface ObservedTunnel {
  readonly vni: number;
  readonly local: string;
  readonly port: number;
  readonly learning: boolean;
}

/** An entry of a VXLAN link's forwarding table. */
export interface ForwardingEntry {
  readonly mac: string;
  readonly peer: string;
}

/** Whether a link is the tunnel that is wanted: what differs here can't be changed on a link that exists. */
export function isTunnel(tunnel: DesiredTunnel, { tunnel: there }: ObservedLink): boolean {
  return there?.vni === tunnel.vni && there.local === tunnel.local && there.port === VXLAN_PORT && !there.learning;
}

export function tunnelSteps(tunnel: DesiredTunnel, there: ObservedLink | undefined): LinkStep[] {
  const { name, networkId: owner, vni, local, mtu } = tunnel;
  if (there) return there.mtu === mtu ? [] : [{ owner, lines: [`link set dev ${name} mtu ${mtu}`] }];
  return [
    {
      owner,
      lines: [
        `link add name ${name} mtu ${mtu} type vxlan id ${vni} local ${local} dstport ${VXLAN_PORT} nolearning`,
        `link set dev ${name} alias ${owner} addrgenmode none`,
      ],
    },
  ];
}

/** Lines for `bridge -batch`: whom to send broadcasts to, and where each known address is. */
export function forwardingSteps(tunnel: DesiredTunnel, present: readonly ForwardingEntry[]): LinkStep[] {
  const { name, networkId: owner } = tunnel;
  const wanted = [...tunnel.peers.map((peer) => ({ mac: FLOOD, peer })), ...tunnel.entries];
  const keyOf = ({ mac, peer }: ForwardingEntry): string => `${mac} ${peer}`;
  const there = new Set(present.map(keyOf));
  const kept = new Set(wanted.map(keyOf));
  const moved = new Set(tunnel.entries.map((entry) => entry.mac));
  const lines = [
    ...wanted
      .filter((entry) => !there.has(keyOf(entry)))
      // An address that moved is replaced in one step: it is never unknown in between.
      .map(({ mac, peer }) => `fdb ${mac === FLOOD ? 'append' : 'replace'} ${mac} dev ${name} dst ${peer} static`),
    ...present
      .filter((entry) => !kept.has(keyOf(entry)) && !moved.has(entry.mac))
      .map(({ mac, peer }) => `fdb del ${mac} dev ${name} dst ${peer}`),
  ];
  return lines.length === 0 ? [] : [{ owner, lines }];
}
