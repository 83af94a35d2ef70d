// The end of a server: what its owner no longer has to pay for.
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import {
  consoleTickets,
  PowerState,
  servers,
  serverTags,
  shelvedServers,
  type Server,
} from '../../db/entities/compute';
import { closeMigration, heldQuota, openMigration } from './migrations';
import { giveBackQuota } from './quotas';

/** Ends a server in the caller's transaction: its row stays for administrators' lists, its quota is free. Twice is once. */
export async function forgetServer(session: WriteSession, cloud: Cloud, server: Server): Promise<void> {
  const now = cloud.clock.now();
  const end = {
    vm_state: 'deleted' as const,
    task_state: null,
    power_state: PowerState.nostate,
    host: null,
    user_data: null,
    terminated_at: now,
    deleted_at: now,
    updated_at: now,
  };
  const ended = await session.update(servers, { id: server.id, deleted_at: IsNull() }, end);
  if (ended === 0) return;
  await session.delete(serverTags, { server_id: server.id });
  await session.delete(shelvedServers, { server_id: server.id });
  await session.delete(consoleTickets, { server_id: server.id });
  const migration = await openMigration(session, server.id);
  await giveBackQuota(session, server.project_id, heldQuota(server, migration));
  // Deleting a resized server says yes to its resize; one that was under way never came to its end.
  if (migration) await closeMigration(session, cloud, migration, server.vm_state === 'resized' ? 'confirmed' : 'error');
}
