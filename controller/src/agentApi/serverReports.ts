// Servers as their hosts see them: a guest that powered itself off, one that crashed, one that an administrator stopped by hand.
import type { ObservedServer } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, IsNull } from '../db';
import { PowerState, servers, type Server, type VmState } from '../db/entities/compute';
import { tasks } from '../db/entities/tasks';

/** What a report makes of a server that no operation is working on; undefined when nothing changed. */
function afterReport(
  server: Pick<Server, 'vm_state' | 'power_state'>,
  power: ObservedServer['power'],
): { vm_state: VmState; power_state: number } | undefined {
  const observed = PowerState[power];
  // Only a server that had a guest can be found ended; other differences are for the audit, not for a report.
  const hadGuest = server.vm_state === 'active' || server.vm_state === 'paused';
  const ended = power === 'shutdown' || power === 'crashed';
  const vm_state = hadGuest && ended ? 'stopped' : server.vm_state;
  return vm_state === server.vm_state && observed === server.power_state
    ? undefined
    : { vm_state, power_state: observed };
}

/** Follows what a host reports, except for servers that a task is changing. */
export async function reportServers(cloud: Cloud, host: string, observed: readonly ObservedServer[]): Promise<void> {
  const ids = In(observed.map(({ id }) => id));
  const known = await cloud.db.read((session) =>
    session.find(servers, { where: { id: ids, host, deleted_at: IsNull() } }),
  );
  const byId = new Map(known.map((server) => [server.id, server]));
  const changed = observed.flatMap(({ id, power }) => {
    const server = byId.get(id);
    const set = server && afterReport(server, power);
    return set ? [{ server, set }] : [];
  });
  if (changed.length === 0) return;
  await cloud.db.write(async (session) => {
    const busy = new Set(
      (
        await session.find(tasks, {
          where: { resource_type: 'server', active: 1, resource_id: In(changed.map(({ server }) => server.id)) },
        })
      ).map((task) => task.resource_id),
    );
    for (const { server, set } of changed) {
      if (!busy.has(server.id))
        await session.update(
          servers,
          { id: server.id, generation: server.generation, task_state: IsNull() },
          { ...set, updated_at: cloud.clock.now() },
        );
    }
  });
}
