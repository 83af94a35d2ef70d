// Capacity of hosts: claimed and given back by single conditional statements, together with the allocation row.
import { allocations, hosts, type Resources } from '../entities/tasks';
import { managerOf, type WriteSession } from '../session';

/** Claims room on a host for a server. False when the room is gone by now; the caller's transaction must then change nothing else. */
export async function claimHost(
  session: WriteSession,
  host: string,
  serverId: string,
  need: Resources,
  now: number,
): Promise<boolean> {
  const result = await managerOf(session)
    .createQueryBuilder()
    .update(hosts.name)
    .set({
      used_vcpus: () => 'used_vcpus + :vcpus',
      used_memory_mib: () => 'used_memory_mib + :memory',
      used_disk_gib: () => 'used_disk_gib + :disk',
      generation: () => 'generation + 1',
    })
    .where('name = :host AND enabled = :enabled', { host, enabled: true })
    .andWhere(
      'used_vcpus + :vcpus <= cap_vcpus AND used_memory_mib + :memory <= cap_memory_mib AND used_disk_gib + :disk <= cap_disk_gib',
    )
    .setParameters({ vcpus: need.vcpus, memory: need.memoryMib, disk: need.diskGib })
    .execute();
  if (result.affected !== 1) return false;
  await session.insert(allocations, {
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
    await managerOf(session)
      .createQueryBuilder()
      .update(hosts.name)
      .set({
        used_vcpus: () => 'used_vcpus - :vcpus',
        used_memory_mib: () => 'used_memory_mib - :memory',
        used_disk_gib: () => 'used_disk_gib - :disk',
        generation: () => 'generation + 1',
      })
      .where('name = :host', { host: claim.host })
      .setParameters({ vcpus: claim.vcpus, memory: claim.memory_mib, disk: claim.disk_gib })
      .execute();
  }
}
