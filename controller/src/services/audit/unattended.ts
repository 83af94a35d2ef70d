// Servers that are said to be busy while no task works on them: nothing would ever end that.
import type { Cloud } from '../../cloud';
import { In, IsNull, Not, type ReadSession, type WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { tasks } from '../../db/entities/tasks';
import type { Finding } from './compare';

const BUSY = [
  { vm_state: 'building' as const, deleted_at: IsNull() },
  { task_state: Not(IsNull()), deleted_at: IsNull() },
];

/** Those of `busy` that no task works on. */
async function withoutTask(session: ReadSession, busy: readonly Server[]): Promise<Server[]> {
  const where = { resource_type: 'server', resource_id: In(busy.map(({ id }) => id)), active: 1 };
  const attended = new Set((await session.find(tasks, { where })).map((task) => task.resource_id));
  return busy.filter(({ id }) => !attended.has(id));
}

export async function unattendedFindings(session: ReadSession): Promise<Finding[]> {
  const suspects = await withoutTask(session, await session.find(servers, { where: BUSY }));
  // A task that ended between the two reads has changed its server.
  const seen = new Map(suspects.map(({ id, updated_at }) => [id, updated_at]));
  const now = await session.find(servers, { where: { id: In([...seen.keys()]) } });
  return now
    .filter(({ id, updated_at }) => seen.get(id) === updated_at)
    .map(({ id, name, vm_state, task_state }) => ({
      type: 'wrong',
      host: null,
      kind: 'server',
      id,
      name,
      message: `server ${id} is ${task_state ?? vm_state}, but no task works on it`,
    }));
}

/** Lets their owners go on: from ERROR a server can be rebooted, rebuilt or deleted. */
export async function endUnattended(session: WriteSession, cloud: Cloud): Promise<void> {
  const busy = await session.find(servers, { where: BUSY, lock: 'exclusive' });
  const lost = await withoutTask(session, busy);
  const now = cloud.clock.now();
  const message = 'The operation on this server ended without saying how; an administrator ended it by an audit.';
  const fault = { code: 500, message, details: '', created: now };
  const set = { vm_state: 'error' as const, task_state: null, fault, updated_at: now };
  await session.update(servers, { id: In(lost.map(({ id }) => id)) }, set);
}
