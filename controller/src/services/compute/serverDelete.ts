// A user's wish to have a server gone; its teardown is a task.
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { tasks } from '../../db/entities/tasks';
import type { Caller } from '../caller';
import { recordDone, requestDelete } from '../tasks';
import { requireUnlocked } from './serverStates';

/** Asks for the teardown; asking again changes nothing. @throws ConflictError when the server is locked */
export async function deleteServer(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  requestId: string,
  server: Server,
): Promise<void> {
  requireUnlocked(server, caller);
  await session.update(
    servers,
    { id: server.id, deleted_at: IsNull() },
    { task_state: 'deleting', generation: server.generation + 1, updated_at: cloud.clock.now() },
  );
  const wish = {
    kind: 'server.delete',
    resourceType: 'server',
    resourceId: server.id,
    params: { action: 'delete' },
    requestId,
    projectId: server.project_id,
    userId: caller.userId,
  };
  const running = await session.findOne(tasks, { resource_type: 'server', resource_id: server.id, active: 1 });
  await requestDelete(session, cloud, wish);
  // A running task goes on as the teardown under the request that began it; this request has its own record.
  if (running && running.delete_requested_at === null && running.kind !== wish.kind)
    await recordDone(session, cloud, wish, 'the running operation was told to remove the server');
}
