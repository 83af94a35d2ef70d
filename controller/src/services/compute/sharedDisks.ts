// Hosts that have one directory of disks: which they are, by what their storage agents reported.
import type { DiskFind } from '@cumulet/common';
import { In, type ReadSession } from '../../db';
import { agents } from '../../db/entities/tasks';

/** What hosts call their directory of disks, by its mark; a host that has its own says nothing. */
export async function sharedDisks(session: ReadSession, hosts?: readonly string[]): Promise<Map<string, string>> {
  const where = { role: 'storage', ...(hosts ? { host: In([...hosts]) } : {}) };
  const rows = await session.pick(agents, ['host', 'inventory'], { where });
  return new Map(
    rows.flatMap(({ host, inventory }) => {
      const name = inventory['shared_disks'];
      return typeof name === 'string' ? [[host, name] as const] : [];
    }),
  );
}

/** Whether two hosts have the same directory of disks; a host does not share with itself. */
export async function sharesDisks(session: ReadSession, one: string, other: string): Promise<boolean> {
  if (one === other) return false;
  const names = await sharedDisks(session, [one, other]);
  return names.has(one) && names.get(one) === names.get(other);
}

/** The other hosts that have the disks of a host. */
export async function sharingHosts(session: ReadSession, host: string): Promise<string[]> {
  const names = await sharedDisks(session);
  const own = names.get(host);
  return own === undefined ? [] : [...names].filter(([name, id]) => name !== host && id === own).map(([name]) => name);
}

/** What a host left in its directory when it registered last: who sees it has the same one. */
export async function cardOf(session: ReadSession, host: string): Promise<DiskFind['from']> {
  const agent = await session.findOne(agents, { host, role: 'storage' });
  const card = agent?.inventory['shared_disks_card'];
  return { host, card: typeof card === 'string' ? card : '' };
}
