// A user's wish to have a server gone; its teardown is a task.
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import type { Caller } from '../caller';
import { requestDelete } from '../tasks';
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
  await requestDelete(session, cloud, {
    kind: 'server.delete',
    resourceType: 'server',
    resourceId: server.id,
    requestId,
    projectId: server.project_id,
    userId: caller.userId,
  });
}
