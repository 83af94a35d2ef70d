// Evacuation: a server of a host that is down is built anew on another one. Its task has the host fenced first.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { hosts, type Task } from '../../db/entities/tasks';
import { InvalidError, NotFoundError } from '../../errors';
import { anyAgentAlive } from '../hosts';
import { findServerImage } from './bootImage';
import { insertMigration } from './migrations';
import { sharingHosts } from './sharedDisks';
import { startAction, type Actor } from './serverActions';
import { requireHost, requireState } from './serverStates';

export interface EvacuateRequest {
  /** Null: the scheduler chooses. */
  readonly host: string | null;
  /** Whether a server that ran is left off on its new host. */
  readonly staysOff: boolean;
  /** Who asks counts on the disk being kept. */
  readonly keepsDisk: boolean;
}

async function requireOtherHost(session: WriteSession, host: string, source: string): Promise<void> {
  if (!(await session.findOne(hosts, { name: host })))
    throw new NotFoundError(`Compute host ${host} could not be found.`, 'ComputeHostNotFound');
  if (host === source) throw new InvalidError("The target host can't be the same one.", 'CannotMigrateToSameHost');
}

/**
 * Starts an evacuation.
 * @throws ConflictError for the state, NotFoundError for a host that is not there, InvalidError while the server's host is heard, and
 * when the image is gone that a new disk is made of, or the disk is to be kept and no other host has it
 */
export async function evacuateServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  { host, staysOff, keepsDisk }: EvacuateRequest,
): Promise<void> {
  requireState(server, 'evacuate');
  const source = requireHost(server);
  if (host !== null) await requireOtherHost(session, host, source);
  if (await anyAgentAlive(session, source, cloud.clock.now()))
    throw new InvalidError(`Compute service of ${source} is still in use.`, 'ComputeServiceInUse');
  const sharing = await sharingHosts(session, source);
  const kept = host === null ? sharing.length > 0 : sharing.includes(host);
  if (keepsDisk && !kept)
    throw new InvalidError('The disks of servers are not on shared storage.', 'InvalidSharedStorage');
  // Where the disk is none is made. Elsewhere the disk of one that was shelved stood on an image that is gone: what it was first made of
  // is what its owner chose.
  const image = kept
    ? server.image
    : await findServerImage(session, actor.caller, server.image_id ?? '', 'Cannot find image for evacuation');
  const power = staysOff || server.vm_state === 'stopped' ? 'shutdown' : 'running';
  await startAction(session, cloud, actor, server, 'evacuate', {}, { host, source, power, image });
}

/** Keeps what became of an evacuation in the list of migrations. It holds nothing, so it is never open. */
export async function recordEvacuation(
  session: WriteSession,
  cloud: Cloud,
  task: Task,
  status: 'done' | 'failed',
): Promise<void> {
  const source_host = String(task.params['source']);
  for (const server of await session.find(servers, { where: { id: task.resource_id } }))
    await insertMigration(session, cloud, server, {
      user_id: String(task.user_id),
      type: 'evacuation',
      status,
      open: null,
      source_host,
      dest_host: server.host === source_host ? null : server.host,
      created_at: task.created_at,
    });
}
