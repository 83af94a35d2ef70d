// Shelving: a server's disk is kept as an image, and the server leaves its host until its owner wants it back.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { IsNull, LessThan, type WriteSession } from '../../db';
import { servers, shelvedServers, type Server, type ShelvedServer } from '../../db/entities/compute';
import { hosts, tasks } from '../../db/entities/tasks';
import { ConflictError, InvalidError } from '../../errors';
import { createTask } from '../tasks';
import { requirePlacement } from './placement';
import { startAction, type Actor } from './serverActions';
import { addServerImage } from './serverImages';
import { requireHost, requireState, requireUnlocked } from './serverStates';
import { shelvedDisk } from './shelvedImage';

/**
 * Starts to shelve a server.
 * @throws ConflictError for the state, OverQuotaError when the project may have no further image
 */
export async function shelveServer(session: WriteSession, cloud: Cloud, actor: Actor, server: Server): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'shelve');
  requireHost(server);
  // The image is the server's project's, whoever shelves it.
  const owner = { ...actor, caller: { ...actor.caller, projectId: server.project_id } };
  const request = { name: `${server.name}-shelved`, metadata: {} };
  const image_id = await addServerImage(session, cloud, owner, server, request);
  // One that could not be unshelved may have left its own.
  await session.delete(shelvedServers, { server_id: server.id });
  await session.insert(shelvedServers, { server_id: server.id, image_id, waits_since: null });
  await startAction(session, cloud, actor, server, 'shelve', {}, { image_id });
}

/**
 * Starts to take a shelved server off its host.
 * @throws ConflictError for the state, and when its image is gone: what is on the host is all there is then
 */
export async function offloadServer(session: WriteSession, cloud: Cloud, actor: Actor, server: Server): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'shelveOffload');
  if (!(await shelvedDisk(session, server.id)))
    throw new ConflictError(
      `Cannot 'shelveOffload' instance ${server.id}: its image is not there any more, so its disk stays on its host.`,
      'ImageNotFound',
    );
  await startAction(session, cloud, actor, server, 'shelveOffload');
}

export interface UnshelveRequest {
  /** Null: any zone from now on. Absent: the one that it was made for. */
  readonly zone?: string | null;
  /** Absent: the scheduler chooses. */
  readonly host?: string;
}

/** @throws InvalidError for a zone or host that is not there, ConflictError when they don't belong together */
async function requireTarget(
  session: WriteSession,
  server: Server,
  { zone = server.availability_zone, host }: UnshelveRequest,
): Promise<void> {
  await requirePlacement(session, { zone, host: host ?? null });
  if (host === undefined || zone === null) return;
  const found = await session.findOne(hosts, { name: host });
  if (found?.availability_zone === zone) return;
  throw new ConflictError(`Host "${host}" is not in the availability zone "${zone}".`, 'UnshelveHostNotInAZ');
}

/**
 * Starts to unshelve a server; it runs afterwards, whatever it did before.
 * @throws ConflictError for the state, InvalidError for a zone or host that is not there, and when its image is gone
 */
export async function unshelveServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: UnshelveRequest,
): Promise<void> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'unshelve');
  const { zone, host } = request;
  if (server.vm_state === 'shelved') {
    if (zone !== undefined || host !== undefined)
      throw new ConflictError(
        `Specifying an availability zone or a host when unshelving server ${server.id} with status SHELVED is not ` +
          'supported. The server status must be SHELVED_OFFLOADED.',
        'UnshelveInstanceInvalidState',
      );
    await startAction(session, cloud, actor, server, 'unshelve');
    return;
  }
  await requireTarget(session, server, request);
  if (!(await shelvedDisk(session, server.id)))
    throw new InvalidError(`The image of the shelved server ${server.id} is not there any more.`, 'ImageNotFound');
  await startAction(session, cloud, actor, server, 'unshelve', {
    requested_host: host ?? null,
    ...(zone === undefined ? {} : { availability_zone: zone }),
  });
}

/** Starts the task unless something else is done with the server, or its image is gone. */
async function offloadOne(session: WriteSession, cloud: Cloud, { server_id: id }: ShelvedServer): Promise<void> {
  const idle = { id, vm_state: 'shelved' as const, task_state: IsNull(), deleted_at: IsNull() };
  const server = await session.findOne(servers, idle, 'exclusive');
  if (!server || (await session.findOne(tasks, { resource_type: 'server', resource_id: id, active: 1 }))) return;
  if (!(await shelvedDisk(session, id))) return;
  const change = { task_state: 'shelving_offloading' as const, generation: server.generation + 1 };
  await session.update(servers, { id }, { ...change, updated_at: cloud.clock.now() });
  await createTask(session, cloud, {
    kind: 'server.shelveOffload',
    resourceType: 'server',
    resourceId: id,
    params: { action: 'shelveOffload', was: server.vm_state },
    requestId: `req-${newId()}`,
    projectId: server.project_id,
    userId: null,
  });
}

/** Takes servers off their hosts that have been shelved for as long as the administrator lets them stay. */
export async function offloadWaiting(cloud: Cloud): Promise<void> {
  const { shelved_offload_time: seconds } = cloud.config;
  if (seconds < 0) return;
  const where = { waits_since: LessThan(cloud.clock.now() - seconds * 1000) };
  for (const one of await cloud.db.read((session) => session.find(shelvedServers, { where })))
    await cloud.db.write((session) => offloadOne(session, cloud, one));
}
