// A host that was restarted: the servers that ran on it when it went down are started again.
import { newId } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, IsNull, type WriteSession } from '../db';
import { PowerState, servers } from '../db/entities/compute';
import { createTask } from '../services/tasks';

/** Seconds after which a server that could not be started again is left off, with the reason in its timeline. */
const DEADLINE_SECONDS = 600;

/** Whether the host was restarted between two registrations: its kernel gives every boot another id. */
export function wasRestarted(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): boolean {
  const [old, current] = [before['boot_id'], now['boot_id']];
  return typeof old === 'string' && typeof current === 'string' && old !== current;
}

/** Starts what ran on the host; what its owner had stopped stays off, and what a task holds is that task's work. */
export async function startAgain(session: WriteSession, cloud: Cloud, host: string): Promise<void> {
  const here = await session.find(servers, {
    where: { host, vm_state: In(['active', 'resized']), task_state: IsNull(), deleted_at: IsNull() },
    lock: 'exclusive',
  });
  // A resized server that had been off before is off.
  const ran = here.filter((server) => server.vm_state === 'active' || server.power_state === PowerState.running);
  for (const server of ran) {
    await session.update(
      servers,
      { id: server.id },
      { task_state: 'powering-on', generation: server.generation + 1, updated_at: cloud.clock.now() },
    );
    await createTask(session, cloud, {
      kind: 'server.start',
      resourceType: 'server',
      resourceId: server.id,
      params: { action: 'start', was: server.vm_state },
      requestId: `req-${newId()}`,
      projectId: server.project_id,
      userId: null,
      deadlineSeconds: DEADLINE_SECONDS,
    });
  }
}
