// A router as the state of a namespace: its links, routes and rules. Everything in the namespace is ours, so rules are whole.
import type { NetworkState, RouterState } from '@cumulet/common';
import { canonical, familyOf, parseInterfaceAddress } from './addresses';
import { gatewayLinkName, routerLinkName, safeId } from './names';
import type { NamespaceState, Route } from './namespacePlan';

export interface RouterPlan {
  readonly state: NamespaceState;
  /** Input for iptables-restore and ip6tables-restore in the namespace. */
  readonly rules4: string;
  readonly rules6: string;
}

export const ROUTER_SYSCTLS = [
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv6.conf.all.accept_ra=0',
  'net.ipv6.conf.default.accept_ra=0',
  // An address is answered for only on the link that has it.
  'net.ipv4.conf.all.arp_ignore=1',
  'net.ipv4.conf.all.arp_announce=2',
  // A hairpin leaves where it came in; telling the guest a shorter way would lead around the translation.
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
];

const GUARD = '-m mark ! --mark 1';
const ANSWERS = '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
const CLAMP = '-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu';

function gatewayRoutes(router: RouterState): Route[] {
  const { gateway } = router;
  if (gateway === null) return [];
  return gateway.next_hops.map((hop) => ({
    destination: 'default',
    nexthop: canonical(hop),
    dev: gatewayLinkName(gateway.port_id),
  }));
}

function links(router: RouterState, networks: ReadonlyMap<string, NetworkState>): NamespaceState['links'] {
  const mtuOf = (networkId: string): number => networks.get(networkId)?.mtu ?? 1500;
  const { gateway } = router;
  const inner = router.interfaces.map((port) => ({
    name: routerLinkName(port.port_id),
    alias: safeId(port.port_id),
    mac: port.mac,
    mtu: mtuOf(port.network_id),
    addresses: port.addresses,
  }));
  if (gateway === null) return inner;
  const floating = router.floating_ips.map((entry) => `${canonical(entry.floating_address)}/32`);
  return [
    ...inner,
    {
      name: gatewayLinkName(gateway.port_id),
      alias: safeId(gateway.port_id),
      mac: gateway.mac,
      mtu: mtuOf(gateway.network_id),
      addresses: [...gateway.addresses, ...floating],
    },
  ];
}

/** NAT of the router: floating addresses first, then the shared one. */
function natRules(router: RouterState, out: string, shared: string | undefined): string[] {
  const enableSnat = router.gateway?.enable_snat === true && shared !== undefined;
  const pairs = router.floating_ips.map((entry) => ({
    id: safeId(entry.id),
    outside: canonical(entry.floating_address),
    inside: canonical(entry.fixed_address),
  }));
  return [
    ...pairs.map(
      (p) => `-A PREROUTING -d ${p.outside} -m comment --comment ${p.id} -j DNAT --to-destination ${p.inside}`,
    ),
    ...pairs.map(
      (p) => `-A POSTROUTING -s ${p.inside} -o ${out} -m comment --comment ${p.id} -j SNAT --to-source ${p.outside}`,
    ),
    // Hairpin: a neighbour that was reached by its floating address must answer through us, or the flow has one side only.
    ...pairs.map(
      (p) =>
        `-A POSTROUTING -s ${p.inside} ${GUARD} -m conntrack --ctstate DNAT -m comment --comment ${p.id} -j SNAT --to-source ${p.outside}`,
    ),
    ...(shared === undefined
      ? []
      : [`-A POSTROUTING ${GUARD} -m conntrack --ctstate DNAT -j SNAT --to-source ${shared}`]),
    ...(enableSnat ? [`-A POSTROUTING -o ${out} ${GUARD} -j SNAT --to-source ${shared}`] : []),
  ];
}

function rulesV4(router: RouterState): string {
  const { gateway } = router;
  const out = gateway === null ? undefined : gatewayLinkName(gateway.port_id);
  const shared = gateway?.addresses.map(parseInterfaceAddress).find((entry) => entry.family === 4)?.address;
  const closed = gateway?.enable_snat === true && out !== undefined;
  return [
    '*mangle',
    ':PREROUTING ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ...(out === undefined ? [] : [`-A PREROUTING -i ${out} -j MARK --set-mark 1`]),
    CLAMP,
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...(out === undefined ? [] : natRules(router, out, shared)),
    'COMMIT',
    '*filter',
    ':FORWARD ACCEPT [0:0]',
    // Behind SNAT nobody outside may route straight to an inner address.
    ...(closed
      ? [
          `-A FORWARD -i ${out} ${ANSWERS}`,
          `-A FORWARD -i ${out} -m conntrack --ctstate DNAT -j ACCEPT`,
          `-A FORWARD -i ${out} -j DROP`,
        ]
      : []),
    'COMMIT\n',
  ].join('\n');
}

/** The whole state of a router's namespace. @throws CumuletError bad_address, bad_id */
export function routerPlan(router: RouterState, networks: ReadonlyMap<string, NetworkState>): RouterPlan {
  const extra = router.routes.map((route) => ({ destination: route.destination, nexthop: canonical(route.nexthop) }));
  return {
    state: { links: links(router, networks), routes: [...gatewayRoutes(router), ...extra] },
    rules4: rulesV4(router),
    rules6: ['*mangle', ':FORWARD ACCEPT [0:0]', CLAMP, 'COMMIT\n'].join('\n'),
  };
}

/** An IPv4 address on one of a router's links. */
export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}

/** Addresses that neighbours should learn anew, as seen between two states. */
export function newAddresses(before: RouterState | undefined, after: RouterState): LinkAddress[] {
  const all = (router: RouterState | undefined): LinkAddress[] =>
    router === undefined
      ? []
      : links(router, new Map()).flatMap(({ name, addresses }) =>
          addresses.map((text) => ({ link: name, address: parseInterfaceAddress(text).address })),
        );
  const keyOf = ({ link, address }: LinkAddress): string => `${link} ${address}`;
  const known = new Set(all(before).map(keyOf));
  return all(after).filter((entry) => familyOf(entry.address) === 4 && !known.has(keyOf(entry)));
}

/** Filters for `conntrack -D` in the namespace: flows of floating addresses that are gone or lead elsewhere now. */
export function staleTranslations(before: RouterState | undefined, after: RouterState): string[] {
  const now = new Map(after.floating_ips.map((entry) => [entry.floating_address, entry.fixed_address]));
  return (before?.floating_ips ?? [])
    .filter((entry) => now.get(entry.floating_address) !== entry.fixed_address)
    .flatMap((entry) => {
      const address = canonical(entry.floating_address);
      return [`-D -d ${address}`, `-D -q ${address}`];
    });
}
