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
  const power = new Map(observed.map((one) => [one.id, one.power]));
  if (power.size === 0) return;
  const ids = In([...power.keys()]);
  const known = await cloud.db.read((session) =>
    session.find(servers, { where: { id: ids, host, deleted_at: IsNull() } }),
  );
  const changed = known.filter((server) => afterReport(server, power.get(server.id) ?? 'shutdown') !== undefined);
  if (changed.length === 0) return;
  await cloud.db.write(async (session) => {
    const busy = new Set(
      (
        await session.find(tasks, {
          where: { resource_type: 'server', active: 1, resource_id: In(changed.map(({ id }) => id)) },
        })
      ).map((task) => task.resource_id),
    );
    for (const server of changed) {
      const set = afterReport(server, power.get(server.id) ?? 'shutdown');
      if (set && !busy.has(server.id))
        await session.update(
          servers,
          { id: server.id, generation: server.generation, task_state: IsNull() },
          { ...set, updated_at: cloud.clock.now() },
        );
    }
  });
}
