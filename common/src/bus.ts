// The message bus: commands to agents, replies to controllers. Hints, never truth: any message may be lost, doubled or late.
import type { AgentRole, Command, Reply } from './messages/commands';

export interface Subscription {
  close(): Promise<void>;
}

export interface Bus {
  /** Makes a host's queues, so that its agents find them. Controllers only: agents declare nothing. */
  declareHost(host: string): Promise<void>;
  /** Puts a command in the queue of its host's agent. Resolves when it was handed over, which proves nothing about its fate. Controllers only. */
  sendCommand(command: Command): Promise<void>;
  /** Takes one agent's commands. A message counts as taken when the handler is called. */
  onCommand(host: string, role: AgentRole, handler: (command: Command) => void): Promise<Subscription>;
  /** Agents only: a reply counts when the host that sent it is the one that it names. */
  sendReply(reply: Reply): Promise<void>;
  /** Takes replies; one that the handler rejects is delivered again. */
  onReply(handler: (reply: Reply) => Promise<void>): Promise<Subscription>;
  /** Tells the network agents of these hosts, or of all, that the change feed has news. Controllers only. */
  hintChanges(sequence: number, hosts?: readonly string[]): Promise<void>;
  onChanges(host: string, handler: (sequence: number) => void): Promise<Subscription>;
}
