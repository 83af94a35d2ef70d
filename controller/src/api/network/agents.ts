// Agents in the API: who sees none gets an empty list and 404, as for any resource of others.
import {
  deleteAgent,
  networkAgent,
  networkAgents,
  updateAgent,
  type NetworkAgent,
} from '../../services/network/agents';
import { notFound } from '../../services/network/errors';
import type { Cloud } from '../../cloud';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { bodyItems, readUpdate, writable } from './attribute';
import { flag, orNull, text } from './checks';
import { filterBodies } from './derivedList';

const AGENT_TYPE = 'Cumulet network agent';

/** "2026-01-01 00:00:00", as this resource alone writes times. */
const plainTime = (milliseconds: number): string => new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');

function view(one: NetworkAgent): Record<string, unknown> {
  const { agent } = one;
  return {
    id: agent.id,
    agent_type: AGENT_TYPE,
    binary: 'cumulet-network-agent',
    topic: 'N/A',
    host: agent.host,
    admin_state_up: one.adminStateUp,
    alive: one.alive,
    availability_zone: one.availabilityZone,
    configurations: agent.inventory,
    description: one.description === '' ? null : one.description,
    created_at: plainTime(agent.started_at),
    started_at: plainTime(agent.started_at),
    heartbeat_timestamp: plainTime(agent.heard_at),
  };
}

const FILTERS = [
  'id',
  'agent_type',
  'binary',
  'topic',
  'host',
  'admin_state_up',
  'alive',
  'availability_zone',
  'description',
];
const attributes = { admin_state_up: writable(flag), description: writable(orNull(text())) };
const idOf = (request: ApiRequest): string => param(request, 'id');

/** @throws NotFoundError AgentNotFound to whoever may not know of agents */
function requireSight(request: ApiRequest, cloud: Cloud): void {
  if (!cloud.policy.allows(request.caller, 'network:agents:list')) throw notFound('agent', idOf(request));
}

const listAgents: Handler = async (request, cloud) => {
  const all = cloud.policy.allows(request.caller, 'network:agents:list')
    ? await cloud.db.read((session) => networkAgents(session, cloud))
    : [];
  return { status: 200, body: { agents: filterBodies(request.query, all.map(view), FILTERS) } };
};

const showAgent: Handler = async (request, cloud) => {
  requireSight(request, cloud);
  const found = await cloud.db.read((session) => networkAgent(session, cloud, idOf(request)));
  return { status: 200, body: { agent: view(found) } };
};

const changeAgent: Handler = async (request, cloud) => {
  requireSight(request, cloud);
  cloud.policy.require(request.caller, 'network:agents:update');
  const [given = {}] = bodyItems(request.body, 'agent', 'agents').items;
  const values = readUpdate(attributes, given);
  const changed = await cloud.db.write((session) =>
    updateAgent({ session, cloud, caller: request.caller }, idOf(request), values),
  );
  return { status: 200, body: { agent: view(changed) } };
};

const removeAgent: Handler = async (request, cloud) => {
  requireSight(request, cloud);
  cloud.policy.require(request.caller, 'network:agents:delete');
  await cloud.db.write((session) => deleteAgent({ session, cloud, caller: request.caller }, idOf(request)));
  return { status: 204 };
};

export const agentRoutes: readonly Route[] = [
  { method: 'GET', path: '/agents', handler: listAgents },
  { method: 'GET', path: '/agents/:id', handler: showAgent },
  { method: 'PUT', path: '/agents/:id', handler: changeAgent },
  { method: 'DELETE', path: '/agents/:id', handler: removeAgent },
];
