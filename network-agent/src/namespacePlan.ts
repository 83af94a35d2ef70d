// What is missing inside one of our network namespaces: addresses, link settings and routes, as lines for `ip -batch`.
import { canonical, parsePrefix, prefixText } from './addresses';

interface NamespaceLink {
  readonly name: string;
  /** The port it belongs to. */
  readonly alias: string;
  readonly mac: string;
  readonly mtu: number;
  /** Addresses with prefix length: "10.0.0.1/24". */
  readonly addresses: readonly string[];
}

export interface Route {
  /** "default" or a prefix. */
  readonly destination: string;
  readonly nexthop: string;
  /** Given for a next hop that may lie outside of the interface's own prefixes. */
  readonly dev?: string;
}

export interface NamespaceState {
  readonly links: readonly NamespaceLink[];
  readonly routes: readonly Route[];
}

export interface ObservedNamespace {
  readonly links: ReadonlyMap<
    string,
    { readonly mac: string; readonly mtu: number; readonly up: boolean; readonly addresses: readonly string[] }
  >;
  /** Routes that an administrator's tool made, that is: ours. */
  readonly routes: readonly Route[];
}

export const emptyNamespace: ObservedNamespace = { links: new Map(), routes: [] };

/** One spelling for comparison: "10.0.0.1/24", host bits kept. */
function addressText(text: string): string {
  return `${canonical(text.replace(/\/.*/, ''))}/${parsePrefix(text).length}`;
}

const routeKey = (route: Route): string =>
  `${route.destination === 'default' ? 'default' : prefixText(parsePrefix(route.destination))} via ${canonical(route.nexthop)}`;

function linkLines(link: NamespaceLink, observed: ObservedNamespace): string[] {
  const there = observed.links.get(link.name);
  const wanted = link.addresses.map(addressText);
  const present = (there?.addresses ?? []).map(addressText);
  const device = `dev ${link.name}`;
  const same = there?.mac === link.mac && there.mtu === link.mtu;
  return [
    ...(same ? [] : [`link set ${device} address ${link.mac} mtu ${link.mtu} alias ${link.alias}`]),
    ...present.filter((address) => !wanted.includes(address)).map((address) => `addr del ${address} ${device}`),
    ...wanted
      .filter((address) => !present.includes(address))
      .map((address) => `addr add ${address} ${device}${address.includes(':') ? ' nodad' : ''}`),
    ...(there?.up ? [] : [`link set ${device} up`]),
  ];
}

/** The lines that bring a namespace to its state; none when it is there. @throws CumuletError bad_address */
export function planNamespace(state: NamespaceState, observed: ObservedNamespace): string[] {
  const wanted = new Set(state.routes.map(routeKey));
  const present = new Set(observed.routes.map(routeKey));
  const lines = state.links.flatMap((link) => linkLines(link, observed));
  return [
    ...(observed.links.size === 0 ? ['link set dev lo up'] : []),
    ...lines,
    ...observed.routes
      .filter((route) => !wanted.has(routeKey(route)))
      .map((route) => `route del ${routeKey(route)} proto static`),
    // A changed address may have taken routes with it, so they are all named again then.
    ...state.routes
      .filter((route) => lines.length > 0 || !present.has(routeKey(route)))
      .map(
        (route) =>
          `route replace ${routeKey(route)}${route.dev === undefined ? '' : ` dev ${route.dev} onlink`} proto static`,
      ),
  ];
}
