// Finds a server that the caller may know of: a foreign one is as absent as one that never was.
import { IsNull, type ReadSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { NotFoundError } from '../../errors';
import type { Caller } from '../caller';

export const serverNotFound = (id: string): NotFoundError =>
  new NotFoundError(`Instance ${id} could not be found.`, 'InstanceNotFound');

/** Whether the caller may know of a server. */
export const isVisible = (caller: Caller, server: Server): boolean =>
  caller.isAdmin || (caller.projectId !== null && server.project_id === caller.projectId);

/** A server that exists; a transaction holds it, because it decides by what the server is. @throws NotFoundError */
export async function findServer(session: ReadSession, caller: Caller, id: string): Promise<Server> {
  const server = await session.findOne(servers, { id, deleted_at: IsNull() }, 'exclusive');
  if (!server || !isVisible(caller, server)) throw serverNotFound(id);
  return server;
}

/** The same, also when it has been deleted. @throws NotFoundError */
export async function findServerEver(session: ReadSession, caller: Caller, id: string): Promise<Server> {
  const server = await session.findOne(servers, { id });
  if (!server || !isVisible(caller, server)) throw serverNotFound(id);
  return server;
}
