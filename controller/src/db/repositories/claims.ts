// Capacity of hosts: claimed and given back by single conditional statements, together with the allocation row.
import { allocations, hosts, type Host, type Resources } from '../entities/tasks';
import { updateWhere, type WriteSession } from '../session';
import { Expression } from '../sql';

/** What is used of a host after so much was added, or taken away. */
function used({ vcpus, memoryMib, diskGib }: Resources, sign: '+' | '-'): Partial<Record<keyof Host, Expression>> {
  return {
    used_vcpus: new Expression(`used_vcpus ${sign} ?`, [vcpus]),
    used_memory_mib: new Expression(`used_memory_mib ${sign} ?`, [memoryMib]),
    used_disk_gib: new Expression(`used_disk_gib ${sign} ?`, [diskGib]),
    generation: new Expression('generation + 1'),
  };
}

/** Claims room on a host for a server. False when the room is gone by now; the caller's transaction must then change nothing else. */
export async function claimHost(
  session: WriteSession,
  host: string,
  serverId: string,
  need: Resources,
  now: number,
): Promise<boolean> {
  const room = new Expression(
    'used_vcpus + ? <= cap_vcpus AND used_memory_mib + ? <= cap_memory_mib AND used_disk_gib + ? <= cap_disk_gib',
    [need.vcpus, need.memoryMib, need.diskGib],
  );
  if ((await updateWhere(session, hosts, { name: host, enabled: true }, used(need, '+'), room)) !== 1) return false;
  await session.append(allocations, {
    server_id: serverId,
    host,
    vcpus: need.vcpus,
    memory_mib: need.memoryMib,
    disk_gib: need.diskGib,
    created_at: now,
  });
  return true;
}

/** What one consumer has claimed is another's from now on; the capacity of hosts does not change. */
export async function renameClaims(session: WriteSession, from: string, to: string): Promise<void> {
  await session.update(allocations, { server_id: from }, { server_id: to });
}

/** Gives back what a server, or a migration, has claimed on all hosts. Doing it twice gives back once. */
export async function releaseClaims(session: WriteSession, serverId: string): Promise<void> {
  for (const claim of await session.find(allocations, { where: { server_id: serverId } })) {
    const gone = await session.delete(allocations, { server_id: serverId, host: claim.host });
    if (gone !== 1) continue;
    const freed = { vcpus: claim.vcpus, memoryMib: claim.memory_mib, diskGib: claim.disk_gib };
    await updateWhere(session, hosts, { name: claim.host }, used(freed, '-'));
  }
}
