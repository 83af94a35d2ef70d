// Everything on the host that says it is ours, for the audit: found by name and mark alone, without what the agent remembers.
import { readdir } from 'node:fs/promises';
import type { Exec, HostResource } from '@cumulet/common';
import type { DhcpServers } from './dnsmasq';
import { parseSave, type SavedRules } from './firewall/iptables';
import { parseSets } from './firewall/ipset';
import { ownerOfLink } from './linkPlan';
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
  const found = text.matchAll(/chain ((?:in|out)-tap\S+) \{\s*comment "([^"]+)"/g);
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

/** Each server's files are in a folder named after what it serves. */
async function directoriesOf(stateDir: string): Promise<string[]> {
  const entries = await readdir(stateDir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** The host's list. Kinds: bridge, tap, veth, external-bridge, namespace, dnsmasq, dhcp-files and the rules' kinds. */
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
  const running = await Promise.all(
    directories.map(async (id): Promise<HostResource[]> => {
      const pid = await dhcp.pid(id);
      const files = { kind: 'dhcp-files', id, name: dhcp.directory(id) };
      return pid === undefined ? [files] : [files, { kind: 'dnsmasq', id, name: `dnsmasq ${pid}` }];
    }),
  );
  return [
    ...interfaces,
    ...[...namespaces].map((name) => ({ kind: 'namespace', id: parseNamespace(prefix, name)?.id ?? name, name })),
    ...running.flat(),
    ...found,
  ];
}
