// The controller's side of the bus for tests of agents: sends a command and waits for its answer.
import type { Bus, Command, CommandBody, CommandKind, Reply } from '@cumulet/common';

export interface SendOptions {
  readonly generation?: number;
  readonly session?: number;
  readonly task?: string;
}

export interface AgentDriver {
  /** All answers so far. */
  readonly replies: readonly Reply[];
  /** Sends without waiting. @returns the task's id */
  send<K extends CommandKind>(kind: K, resource: string, body: CommandBody<K>, options?: SendOptions): Promise<string>;
  /** The task's last answer; waits for one that is not progress. */
  answer(task: string, limitMs?: number): Promise<Reply>;
  /** Sends and waits. */
  run<K extends CommandKind>(kind: K, resource: string, body: CommandBody<K>, options?: SendOptions): Promise<Reply>;
}

/** @param beside - one for another host on the same bus, which gets the answers of both: each is given to one of those who listen */
export async function driveAgent(bus: Bus, host: string, beside?: AgentDriver): Promise<AgentDriver> {
  const own: Reply[] = [];
  const replies = beside?.replies ?? own;
  if (!beside) await bus.onReply((reply) => Promise.resolve(void own.push(reply)));
  let count = 0;
  const driver: AgentDriver = {
    replies,
    async send(kind, resource, body, { generation = 1, session = 1, task = `task-${++count}` } = {}) {
      const command: Command = { task, step: 'step', send: ++count, host, session, generation, resource, kind, body };
      await bus.sendCommand(command);
      return task;
    },
    async answer(task, limitMs = 90_000) {
      for (const until = Date.now() + limitMs; Date.now() < until;) {
        const found = replies.find((reply) => reply.task === task && reply.outcome !== 'progress');
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Error(`no answer to ${task} within ${limitMs} ms; answers: ${JSON.stringify(replies.slice(-3))}`);
    },
    run: async (kind, resource, body, options) => driver.answer(await driver.send(kind, resource, body, options)),
  };
  return driver;
}
