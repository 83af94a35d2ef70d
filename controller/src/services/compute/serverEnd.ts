// The end of a server: what its owner no longer has to pay for.
import type { Cloud } from '../../cloud';
import { IsNull, type WriteSession } from '../../db';
import { PowerState, servers, serverTags, type Server } from '../../db/entities/compute';
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
  await giveBackQuota(session, server.project_id, { instances: 1, cores: server.flavor.vcpus, ram: server.flavor.ram });
}
