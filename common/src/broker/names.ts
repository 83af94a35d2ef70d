// Names at the message broker: two exchanges, the queues of a host, and the user that a host's agents log in as.
import { commandRole, type AgentRole } from '../messages/commands';

/** Only controllers write here. */
export const COMMANDS_EXCHANGE = 'cumulet.commands';
/** Agents write here; only controllers read the queue of the same name. */
export const REPLIES_EXCHANGE = 'cumulet.replies';
export const REPLIES_QUEUE = 'cumulet.replies';
/** Routing key that reaches every host's queue of change hints. */
export const CHANGES_KEY = 'changes';

export const agentRoles: readonly AgentRole[] = [...new Set(Object.values(commandRole))];

/** The queue of one agent's commands; also their routing key. */
export const commandQueueName = (host: string, role: AgentRole): string => `agent.${host}.${role}`;
/** The queue that tells a host's network agent that the change feed has news. */
export const changesQueueName = (host: string): string => `agent.${host}.changes`;

/** The broker's user for all agents of a host. The broker stamps it on their replies, so a reply names its sender truly. */
export const hostUserName = (host: string): string => `host.${host}`;

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/;

/** Whether a name can be a host's: letters, digits, dots and dashes, at most 63. It becomes part of queue names and certificates. */
export const isHostName = (text: string): boolean => HOST_NAME.test(text);
