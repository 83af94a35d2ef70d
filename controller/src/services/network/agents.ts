// Network agents as administrators see them: one per host.
import { AGENT_TIMEOUT_MS } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, type ReadSession } from '../../db';
import { agentSettings } from '../../db/entities/network';
import { agents, hosts, type Agent } from '../../db/entities/tasks';
import type { NetworkContext } from './context';
import { conflict, notFound } from './errors';

export interface NetworkAgent {
  readonly agent: Agent;
  readonly alive: boolean;
  readonly adminStateUp: boolean;
  readonly description: string;
  readonly availabilityZone: string | null;
}

const isAlive = (cloud: Cloud, agent: Agent): boolean => agent.heard_at >= cloud.clock.now() - AGENT_TIMEOUT_MS;

/** All network agents by host name, in a fixed number of queries. */
export async function networkAgents(session: ReadSession, cloud: Cloud): Promise<NetworkAgent[]> {
  const rows = await session.find(agents, { where: { role: 'network' }, order: { host: 'ASC' } });
  const settings = await session.find(agentSettings, { where: { agent_id: In(rows.map((row) => row.id)) } });
  const zones = new Map((await session.find(hosts)).map((host) => [host.name, host.availability_zone]));
  return rows.map((agent) => {
    const set = settings.find((one) => one.agent_id === agent.id);
    return {
      agent,
      alive: isAlive(cloud, agent),
      adminStateUp: set?.admin_state_up ?? true,
      description: set?.description ?? '',
      availabilityZone: zones.get(agent.host) ?? null,
    };
  });
}

/** @throws NotFoundError AgentNotFound */
export async function networkAgent(session: ReadSession, cloud: Cloud, id: string): Promise<NetworkAgent> {
  const found = (await networkAgents(session, cloud)).find((one) => one.agent.id === id);
  if (!found) throw notFound('agent', id);
  return found;
}

/** An agent that is set down gets no more routers, and those it has move to other hosts. */
export async function updateAgent(
  context: NetworkContext,
  id: string,
  values: { readonly admin_state_up?: boolean; readonly description?: string | null },
): Promise<NetworkAgent> {
  const { session, cloud } = context;
  const present = await networkAgent(session, cloud, id);
  await session.delete(agentSettings, { agent_id: id });
  await session.insert(agentSettings, {
    agent_id: id,
    admin_state_up: values.admin_state_up ?? present.adminStateUp,
    description: values.description ?? present.description,
  });
  return networkAgent(session, cloud, id);
}

/** Forgets an agent whose host is gone. @throws ConflictError AgentInUse while it is alive: it would register again */
export async function deleteAgent(context: NetworkContext, id: string): Promise<void> {
  const { session, cloud } = context;
  const found = await networkAgent(session, cloud, id);
  if (found.alive)
    throw conflict('AgentInUse', `Agent ${id} on host ${found.agent.host} is alive. Stop it before it is deleted.`);
  await session.delete(agentSettings, { agent_id: id });
  await session.delete(agents, { id });
}
