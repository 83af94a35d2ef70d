// What is on the host now: interfaces, our namespaces and what is inside them.
import { readdir } from 'node:fs/promises';
import { CumuletError, messageOf, type Exec } from '@cumulet/common';
import { METADATA_ADDRESS6 } from './dhcp';
import { ownerOfLink, type ObservedLink, type ObservedLinks } from './linkPlan';
import { parseNamespace } from './names';
import { emptyNamespace, type ObservedNamespace, type Route } from './namespacePlan';
import type { ForwardingEntry } from './tunnels';

/** Where `ip netns` keeps its names. */
export const NETNS_DIR = '/run/netns';

/** Runs commands inside a namespace; cheaper than `ip netns exec`, and the host's files stay visible. */
export const execIn =
  (exec: Exec, namespace: string): Exec =>
  (argv, options) =>
    exec(['nsenter', `--net=${NETNS_DIR}/${namespace}`, ...argv], options);

export interface JsonLink {
  readonly ifname?: string;
  readonly ifalias?: string;
  readonly flags?: readonly string[];
  readonly mtu?: number;
  readonly master?: string;
  readonly address?: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly id?: number;
      readonly local?: string;
      readonly port?: number;
      readonly learning?: boolean;
      readonly nf_call_iptables?: number;
      readonly nf_call_ip6tables?: number;
    };
  };
  readonly addr_info?: readonly {
    readonly family?: string;
    readonly local?: string;
    readonly prefixlen?: number;
    readonly dynamic?: boolean;
  }[];
}

export function parseJson<T>(text: string, command: string): readonly T[] {
  if (text.trim() === '') return [];
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as T[]) : [];
  } catch (error) {
    throw new CumuletError('bad_output', `${command} printed no JSON: ${messageOf(error)}`);
  }
}

function tunnelOf({ linkinfo }: JsonLink): Pick<ObservedLink, 'tunnel'> {
  if (linkinfo?.info_kind !== 'vxlan') return {};
  const { id = 0, local = '', port = 0, learning = true } = linkinfo.info_data ?? {};
  return { tunnel: { vni: id, local, port, learning } };
}

function filteringOf({ linkinfo }: JsonLink): Pick<ObservedLink, 'filtered'> {
  if (linkinfo?.info_kind !== 'bridge') return {};
  const { nf_call_iptables, nf_call_ip6tables } = linkinfo.info_data ?? {};
  return { filtered: nf_call_iptables === 1 && nf_call_ip6tables === 1 };
}

/** Reads the output of `ip -json -details link show`. @throws CumuletError bad_output */
export function parseLinks(text: string): Map<string, ObservedLink> {
  const links = parseJson<JsonLink>(text, 'ip link').map((link) => ({
    name: link.ifname ?? '',
    alias: link.ifalias ?? '',
    kind: link.linkinfo?.info_kind ?? '',
    master: link.master,
    mtu: link.mtu ?? 0,
    up: link.flags?.includes('UP') ?? false,
    carrier: link.flags?.includes('LOWER_UP') ?? false,
    ...tunnelOf(link),
    ...filteringOf(link),
  }));
  return new Map(links.map((link) => [link.name, link]));
}

interface JsonForwarding {
  readonly mac?: string;
  readonly ifname?: string;
  readonly dst?: string;
}

/** Reads `bridge -json fdb show`: the entries that lead to other hosts, by link. @throws CumuletError bad_output */
export function parseForwarding(text: string): Map<string, ForwardingEntry[]> {
  const found = new Map<string, ForwardingEntry[]>();
  for (const { mac, ifname, dst } of parseJson<JsonForwarding>(text, 'bridge fdb')) {
    if (mac === undefined || ifname === undefined || dst === undefined) continue;
    found.set(ifname, [...(found.get(ifname) ?? []), { mac, peer: dst }]);
  }
  return found;
}

/** Names of our namespaces. Those of the whole machine are in one folder, whatever namespace a command runs in. */
async function listNamespaces(prefix: string): Promise<Set<string>> {
  const names = await readdir(NETNS_DIR).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return new Set(names.filter((name) => parseNamespace(prefix, name) !== undefined));
}

export async function observeLinks(exec: Exec, prefix: string): Promise<ObservedLinks> {
  const [links, namespaces] = await Promise.all([
    exec(['ip', '-json', '-details', 'link', 'show']),
    listNamespaces(prefix),
  ]);
  const parsed = parseLinks(links.stdout);
  const tunnels = [...parsed.values()].some((link) => ownerOfLink(link)?.kind === 'vxlan');
  const table = tunnels ? (await exec(['bridge', '-json', 'fdb', 'show'])).stdout : '';
  return { links: parsed, namespaces, forwarding: parseForwarding(table) };
}

/** Addresses, and routes of both families. Each answer is a line of its own. */
const LOOK_INSIDE = 'address show\nroute show table all proto static\n';

/** Reads what `ip -json` answers to that. @throws CumuletError bad_output */
export function parseNamespaceState(answers: string): ObservedNamespace {
  const [addresses = '', routesLine = ''] = answers.split('\n');
  const links = parseJson<JsonLink>(addresses, 'ip address')
    .filter((link) => link.ifname !== 'lo')
    .map((link) => {
      // The kernel makes link-local and announced addresses by itself; of the former only the metadata address is ours.
      const own = (link.addr_info ?? []).filter(
        ({ local = '', dynamic }) => dynamic !== true && (!local.startsWith('fe80:') || local === METADATA_ADDRESS6),
      );
      return [
        link.ifname ?? '',
        {
          mac: link.address ?? '',
          mtu: link.mtu ?? 0,
          up: link.flags?.includes('UP') ?? false,
          addresses: own.map((entry) => `${entry.local ?? ''}/${entry.prefixlen ?? 0}`),
        },
      ] as const;
    });
  const routes = parseJson<JsonRoute>(routesLine, 'ip route')
    .filter((route) => route.gateway !== undefined)
    .map((route): Route => ({ destination: route.dst ?? 'default', nexthop: route.gateway ?? '' }));
  return { links: new Map(links), routes };
}

interface JsonRoute {
  readonly dst?: string;
  readonly gateway?: string;
}

/** What is inside a namespace. */
export async function observeNamespace(exec: Exec, namespace: string): Promise<ObservedNamespace> {
  // One process instead of three: every namespace is looked at in each comparison.
  const { stdout } = await execIn(exec, namespace)(['ip', '-json', '-batch', '-'], { input: LOOK_INSIDE });
  const state = parseNamespaceState(stdout);
  return state.links.size === 0 ? emptyNamespace : state;
}
