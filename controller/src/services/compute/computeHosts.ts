// Hosts as administrators of the compute service see them: the service that runs there and the hypervisor it drives.
import { AGENT_TIMEOUT_MS } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { groupBy, In, IsNull, type ReadSession, type WriteSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { agents, allocations, hosts, residues, type Agent, type Host } from '../../db/entities/tasks';
import { ConflictError, NotFoundError } from '../../errors';
import { totalsOf } from '../placement/inventory';
import { leaveAggregates } from './aggregates';

export interface ComputeHost {
  readonly host: Host;
  /** The compute agent; undefined on a host that has none yet. */
  readonly agent: Agent | undefined;
  readonly alive: boolean;
  /** What its storage agent found, GiB. */
  readonly diskGib: number;
}

/** All hosts by name, in two queries. */
export async function computeHosts(session: ReadSession, cloud: Cloud): Promise<ComputeHost[]> {
  const known = await session.find(agents, { where: { role: In(['compute', 'storage']) } });
  const byHost = new Map(known.map((agent) => [`${agent.role} ${agent.host}`, agent]));
  const now = cloud.clock.now();
  return (await session.find(hosts, { order: { name: 'ASC' } })).map((host) => {
    const agent = byHost.get(`compute ${host.name}`);
    const alive = agent !== undefined && now - agent.heard_at <= AGENT_TIMEOUT_MS;
    const storage = byHost.get(`storage ${host.name}`)?.inventory ?? {};
    return { host, agent, alive, diskGib: totalsOf(host.inventory, storage).DISK_GB };
  });
}

/** Existing servers by host, in one query. */
export async function serversByHost(
  session: ReadSession,
  names: readonly string[],
): Promise<Map<string | null, Server[]>> {
  const rows = await session.find(servers, {
    where: { host: In([...names]), deleted_at: IsNull() },
    order: { created_at: 'ASC' },
  });
  return groupBy(rows, (row) => row.host);
}

/** A number for ids before 2.53, when services and hypervisors were numbered: made of the real id, so it stays. */
export const numericId = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 7), 16);

/** Whether new servers may be placed there, and the reason where not. @throws NotFoundError */
export async function setHostEnabled(
  session: WriteSession,
  cloud: Cloud,
  name: string,
  enabled: boolean,
  reason: string | null,
): Promise<void> {
  const set = { enabled, disabled_reason: enabled ? null : reason, updated_at: cloud.clock.now() };
  if ((await session.update(hosts, { name }, set)) === 0)
    throw new NotFoundError(`Could not find binary nova-compute on host ${name}.`, 'HostBinaryNotFound');
}

/** Forgets a host that has nothing left. @throws ConflictError while something is there */
export async function forgetHost(session: WriteSession, name: string): Promise<void> {
  // Claims change the host's row: none can come after this.
  await session.findOne(hosts, { name }, 'exclusive');
  const used =
    (await session.count(servers, { host: name, deleted_at: IsNull() })) +
    (await session.count(allocations, { host: name })) +
    (await session.count(residues, { host: name }));
  if (used > 0)
    throw new ConflictError(
      'Unable to delete compute service that is hosting instances. Migrate or delete the instances first.',
    );
  await leaveAggregates(session, name);
  await session.delete(agents, { host: name });
  await session.delete(hosts, { name });
}
