// What of the cloud is on this machine, in words: what a purge would remove. The host is asked, not the database.
import type { HostResource } from '@cumulet/common';
import { databaseOptions, inspectDatabase, servers } from '@cumulet/controller';
import type { Parts } from './config';
import { idleAgents } from './standalone';

/** More names than these are not read by anybody. */
const NAMES = 10;

/** Kinds of things that are counted together: what they are called, and whether their names say something to people. */
const GROUPS: readonly { readonly title: string; readonly kinds: RegExp; readonly named?: boolean }[] = [
  { title: 'disks', kinds: /^disk$/ },
  { title: 'other files of servers', kinds: /^server_file$/ },
  { title: 'network namespaces', kinds: /^namespace$/, named: true },
  { title: 'network links', kinds: /^(?:bridge|vxlan|tap|veth|external-bridge)$/ },
  { title: 'DHCP servers', kinds: /^dnsmasq$/ },
  { title: 'packet filter chains and sets', kinds: /^(?:iptables-chain|nft-chain|ipset)$/ },
];

const shortened = (names: readonly string[]): string =>
  names.length <= NAMES ? names.join(', ') : `${names.slice(0, NAMES).join(', ')} and ${names.length - NAMES} more`;

/** The lines for what was found; kinds of which there is nothing have none. */
export function describe(
  found: readonly HostResource[],
  names: ReadonlyMap<string, string>,
  settings: Readonly<Record<string, string>>,
): string[] {
  const domains = found.filter(({ kind }) => kind === 'domain');
  const guests = domains.map(({ id, name }) => names.get(id) ?? name);
  const before = Object.entries(settings).map(([key, value]) => `${key} back to ${value}`);
  return [
    ...(guests.length > 0 ? [`servers (${guests.length}): ${shortened(guests)}`] : []),
    ...GROUPS.flatMap(({ title, kinds, named }) => {
      const those = found.filter(({ kind }) => kinds.test(kind)).map(({ name }) => name);
      if (those.length === 0) return [];
      return [named ? `${title} (${those.length}): ${shortened(those)}` : `${title}: ${those.length}`];
    }),
    ...(before.length > 0 ? [`kernel settings: ${before.join(', ')}`] : []),
  ];
}

/** What people call the servers. A database that can't be read, as one that is half gone, must not keep a purge from going on. */
export async function serverNames({ controller }: Parts): Promise<ReadonlyMap<string, string>> {
  const rows = await inspectDatabase(databaseOptions(controller), [servers], (session) => session.find(servers)).catch(
    () => undefined,
  );
  return new Map((rows ?? []).map(({ id, name }) => [id, name]));
}

/** A line for each kind of thing that is there. Changes nothing; the cloud may run. @throws Error when libvirt is not reached */
export async function belongings(parts: Parts): Promise<readonly string[]> {
  const { compute, storage, network } = idleAgents(parts);
  const found = await Promise.all([
    compute.inventoryOfResources(),
    storage.inventoryOfResources(),
    network.inventory(),
  ]);
  await compute.stop();
  return describe(found.flat(), await serverNames(parts), await network.changedSettings());
}
