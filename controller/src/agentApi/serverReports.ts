// Servers as their hosts see them: a guest that powered itself off, one that crashed, one that an administrator stopped by hand.
import { newId, type ObservedServer } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, IsNull } from '../db';
import { PowerState, servers, type Server, type VmState } from '../db/entities/compute';
import { tasks } from '../db/entities/tasks';
import { recordDone, type TaskRequest } from '../services/tasks';

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

const stopOf = ({ id, project_id }: Server): TaskRequest => ({
  kind: 'server.stop',
  resourceType: 'server',
  resourceId: id,
  params: { action: 'stop' },
  requestId: `req-${newId()}`,
  projectId: project_id,
  userId: null,
});

/** Follows what a host reports, except for servers that a task is changing. */
export async function reportServers(cloud: Cloud, host: string, observed: readonly ObservedServer[]): Promise<void> {
  const ids = In(observed.map(({ id }) => id));
  const known = await cloud.db.read((session) =>
    session.find(servers, { where: { id: ids, host, deleted_at: IsNull() } }),
  );
  const byId = new Map(known.map((server) => [server.id, server]));
  const changed = observed.flatMap(({ id, power, why = 'it is off, and its host does not know why' }) => {
    const server = byId.get(id);
    const set = server && afterReport(server, power);
    return set ? [{ server, set, why }] : [];
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
    for (const { server, set, why } of changed) {
      if (busy.has(server.id)) continue;
      // An operation may have ended since the server was looked at: what it has made of the server stays.
      const { generation, vm_state } = server;
      const unchanged = { id: server.id, generation, vm_state, task_state: IsNull() };
      const updated = await session.update(servers, unchanged, { ...set, updated_at: cloud.clock.now() });
      // The stop of one that nobody stopped stands in its timeline like any other.
      const ended = set.vm_state === 'stopped' && server.vm_state !== 'stopped';
      if (updated === 1 && ended) await recordDone(session, cloud, stopOf(server), why);
    }
  });
}
