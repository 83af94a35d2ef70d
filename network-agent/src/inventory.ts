// Everything on the host that says it is ours, for the audit: found by name and mark alone, without what the agent remembers.
import { readdir, readFile } from 'node:fs/promises';
import type { Exec, HostResource } from '@cumulet/common';
import type { DhcpServers } from './dnsmasq';
import { parseSave, type SavedRules } from './firewall/iptables';
import { parseSets } from './firewall/ipset';
import { FIRST_ZONE, parseBridgeAlias } from './firewall/zones';
import { ownerOfLink, type ObservedLink } from './linkPlan';
import { EXTERNAL_ALIAS, groupOfSet, parseNamespace } from './names';
import { observeLinks } from './observe';

/** Chains of ports and security groups: the rule that leads to a chain names in its comment what it belongs to. */
function chainsOf({ ours, chains }: SavedRules): HostResource[] {
  const owners = new Map<string, string>();
  for (const line of ours.split('\n')) {
    const match = /--comment "?([^" ]+)"? -j (cumulet-[pg][io]-\S+)/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) owners.set(match[2], match[1]);
  }
  return [...chains.filter].flatMap((name) => {
    const digits = /^cumulet-[pg][io]-([0-9a-f]{16})$/.exec(name)?.[1];
    // A chain that nothing leads to has only the beginning of an id, which is enough to be found superfluous.
    return digits === undefined ? [] : [{ kind: 'iptables-chain', id: owners.get(name) ?? digits, name }];
  });
}

function portsOfFrames(text: string): HostResource[] {
  const found = text.matchAll(/chain ((?:in|out)-(?:tap|vx)\S+) \{\s*comment "([^"]+)"/g);
  return [...found].map(([, name = '', id = '']) => ({ kind: 'nft-chain', id, name }));
}

async function rules(exec: Exec): Promise<HostResource[]> {
  const [four, six, frames, sets] = await Promise.all([
    exec(['iptables-save']),
    exec(['ip6tables-save']),
    exec(['nft', '-s', 'list', 'table', 'bridge', 'cumulet']).catch(() => ({ stdout: '' })),
    exec(['ipset', 'save']),
  ]);
  const saved = [four, six].map(({ stdout }) => parseSave(stdout));
  return [
    ...saved.flatMap(chainsOf),
    ...portsOfFrames(frames.stdout),
    ...[...parseSets(sets.stdout).keys()].map((name) => ({ kind: 'ipset', id: groupOfSet(name) ?? name, name })),
  ];
}

/** Elements of the inet table that name a bridge which is not there; what is left of a removed network. */
function deadZones(text: string, links: ReadonlyMap<string, ObservedLink>): HostResource[] {
  const bridges = new Set([...text.matchAll(/"(br[0-9a-f]{11})"/g)].map(([, name = '']) => name));
  const dead = [...bridges].filter((name) => !links.has(name));
  return dead.map((name) => ({ kind: 'nft-element', id: name.slice(2), name }));
}

/** Zones of ours that hold flows though no bridge has them. */
export async function deadZonesOfFlows(exec: Exec, links: ReadonlyMap<string, ObservedLink>): Promise<number[]> {
  const flows = await Promise.all(['ipv4', 'ipv6'].map((family) => exec(['conntrack', '-L', '-f', family])));
  const text = flows.map(({ stdout }) => stdout).join('');
  const used = new Set([...links.values()].map(({ alias }) => parseBridgeAlias(alias)?.zone));
  const found = new Set([...text.matchAll(/ zone=(\d+)/g)].map(([, zone]) => Number(zone)));
  return [...found].filter((zone) => zone >= FIRST_ZONE && !used.has(zone));
}

/** What networks leave in the kernel besides links and rules. */
async function kernelState(exec: Exec, links: ReadonlyMap<string, ObservedLink>): Promise<HostResource[]> {
  const [table, zones] = await Promise.all([
    exec(['nft', '-s', 'list', 'table', 'inet', 'cumulet']).catch(() => ({ stdout: '' })),
    deadZonesOfFlows(exec, links),
  ]);
  const flows = zones.map((zone) => ({
    kind: 'conntrack',
    id: `zone ${zone}`,
    name: `conntrack entries in zone ${zone}`,
  }));
  return [...deadZones(table.stdout, links), ...flows];
}

/** Each server's files are in a folder named after what it serves. */
export async function directoriesOf(stateDir: string): Promise<string[]> {
  const entries = await readdir(stateDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** A process of ours and the network or router that it serves. */
export interface ServerProcess {
  readonly id: string;
  readonly pid: number;
}

/** Processes that serve a file below our folder, whether the file is still there or not. */
export async function serverProcesses(stateDir: string): Promise<ServerProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    // One that ended meanwhile is none of ours.
    pids.map(async (pid) => ({ pid, text: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })),
  );
  const start = `--conf-file=${stateDir}/`;
  return commands.flatMap(({ pid, text }) => {
    const argument = text.split('\0').find((word) => word.startsWith(start));
    const id = argument?.slice(start.length).split('/')[0];
    return id === undefined ? [] : [{ id, pid: Number(pid) }];
  });
}

/** The host's list. Kinds: bridge, vxlan, tap, veth, external-bridge, namespace, dnsmasq, dhcp-files, nft-element, conntrack and the rules' kinds. */
export async function inventoryOf(
  exec: Exec,
  prefix: string,
  dhcp: DhcpServers,
  stateDir: string,
): Promise<HostResource[]> {
  const [{ links, namespaces }, directories, found] = await Promise.all([
    observeLinks(exec, prefix),
    directoriesOf(stateDir),
    rules(exec),
  ]);
  const interfaces = [...links.values()].flatMap((link): HostResource[] => {
    const owner = ownerOfLink(link);
    if (owner) return [{ kind: owner.kind, id: owner.id, name: link.name }];
    return link.alias === EXTERNAL_ALIAS ? [{ kind: 'external-bridge', id: 'external', name: link.name }] : [];
  });
  const files = directories.map((id) => ({ kind: 'dhcp-files', id, name: dhcp.directory(id) }));
  return [
    ...interfaces,
    ...[...namespaces].map((name) => ({ kind: 'namespace', id: parseNamespace(prefix, name)?.id ?? name, name })),
    ...files,
    ...(await serverProcesses(stateDir)).map(({ id, pid }) => ({ kind: 'dnsmasq', id, name: `dnsmasq ${pid}` })),
    ...found,
    ...(await kernelState(exec, links)),
  ];
}
