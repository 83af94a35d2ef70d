// Who may send us VXLAN: it has no authentication, so it is accepted from the underlay addresses of known hosts only.
import { canonical, type Family } from '../addresses';
import type { DesiredTunnel } from '../links';
import { VXLAN_PORT } from '../tunnels';
import type { Jump } from './host';
import type { Chains } from './securityGroups';

const CHAIN = 'cumulet-vxlan';

/** Leads what arrives for VXLAN into our chain, as long as this host has tunnels. */
export function tunnelJumps(tunnels: readonly DesiredTunnel[]): Jump[] {
  if (tunnels.length === 0) return [];
  return [{ table: 'filter', chain: 'INPUT', match: `-p udp -m udp --dport ${VXLAN_PORT}`, target: CHAIN }];
}

/** What is for another address of this host is somebody else's VXLAN, and for the host's own rules to judge. */
export function tunnelChains(family: Family, tunnels: readonly DesiredTunnel[]): Chains {
  if (family === 6 || tunnels.length === 0) return new Map();
  const pairs = new Set(
    tunnels.flatMap(({ local, peers }) =>
      peers.map((peer) => `-s ${canonical(peer)} -d ${canonical(local)} -j ACCEPT`),
    ),
  );
  const drops = new Set(tunnels.map(({ local }) => `-d ${canonical(local)} -j DROP`));
  return new Map([[CHAIN, [...[...pairs].sort(), ...drops]]]);
}
