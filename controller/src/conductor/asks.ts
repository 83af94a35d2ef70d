// Questions to agents: a command goes out once per round, its answer is a row that the step finds when it runs again.
import type { CommandKind } from '@cumulet/common';
import { commandRole, messageOf, type Command, type Reply } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { agents, taskEvents, taskReplies, tasks, type Task, type TaskReply } from '../db/entities/tasks';
import { makeDue } from '../db/repositories/dueTasks';
import { recordProgress } from '../services/compute/migrations';
import { createRowRounds } from '../services/rowRounds';
import { HostFault, type AskTarget, type StepContext } from './task';

/** What a process that holds a task knows of its questions; all of it may be lost, and then they are asked again. */
export interface Questions {
  /** Which commands have been sent by this process, by step, round and session. */
  readonly sent: Set<string>;
  /** The answers to the current step that this process got itself or has read. */
  answers: Answer[];
  /** What the step's last run waits for, by kind and host. */
  readonly open: Set<string>;
}

/** What counts of a reply. */
export type Answer = Pick<TaskReply, 'step' | 'send' | 'host' | 'kind' | 'outcome' | 'observed' | 'fault'>;
const openKey = ({ kind, host }: Pick<Answer, 'kind' | 'host'>): string => `${kind}/${host}`;

/**
 * Whether an answer counts: what a host said it has done in this step, in whatever round (the desired state is the same), and what
 * failed in the current round. Were earlier successes ignored, a host slower than the time between rounds would never be heard.
 */
export const counts = ({ step, send }: Pick<Task, 'step' | 'send'>, answer: Answer): boolean =>
  answer.step === step && (answer.outcome === 'done' || answer.send === send);

/** Takes an answer that this process got itself. @returns whether the step has what it waits for, or what ends its wait */
export function takeAnswer({ answers, open }: Questions, answer: Answer): boolean {
  answers.push(answer);
  open.delete(openKey(answer));
  return open.size === 0 || answer.outcome !== 'done';
}

/** The answers that other processes have recorded. */
export async function repliesOf(cloud: Cloud, task: Task): Promise<TaskReply[]> {
  const { id: task_id, step, send } = task;
  return cloud.db.read((session) =>
    session.find(taskReplies, {
      where: [
        { task_id, step, outcome: 'done' },
        { task_id, step, send },
      ],
      order: { sequence: 'ASC' },
    }),
  );
}

const agentsOfHost = createRowRounds(agents, 'host', { only: ['role', 'session'] });

/** The sessions of a host's agents by role. */
async function readSessions(cloud: Cloud, host: string): Promise<Map<string, number>> {
  const rows = await agentsOfHost(cloud, host);
  return new Map(rows.map((agent) => [agent.role, agent.session]));
}

/** @throws HostFault what the host said */
function failWith(reply: Answer): never {
  const fault = reply.fault ?? { code: 'host_failed', message: 'The host failed without saying why.', retryable: true };
  throw new HostFault({ code: fault.code, message: fault.message }, fault.retryable);
}

/** The `ask` of a step's context. @param signal aborted when the run is over, whatever of it still goes on: it asks nobody any more */
export function createAsk(
  cloud: Cloud,
  task: Task,
  { sent, answers, open }: Questions,
  signal: AbortSignal,
): StepContext['ask'] {
  const replies = answers.filter((answer) => counts(task, answer));
  open.clear();
  const sessions = new Map<string, Promise<Map<string, number>>>();
  const sessionOf = async (host: string, kind: CommandKind): Promise<number | undefined> => {
    const known = sessions.get(host) ?? readSessions(cloud, host);
    sessions.set(host, known);
    return (await known).get(commandRole[kind]);
  };
  return async (kind, target: AskTarget, wanted) => {
    const own = replies.filter((one) => one.kind === kind && one.host === target.host);
    const good = own.find((one) => one.outcome === 'done');
    if (good) return good.observed;
    const body = typeof wanted === 'function' ? await wanted() : wanted;
    if (body === undefined) return {};
    if (own[0]) return failWith(own[0]);
    const session = await sessionOf(target.host, kind);
    // An agent that never registered can't be asked; the step waits and asks again, until its deadline.
    if (session === undefined) return undefined;
    // What an earlier session of the agent was asked is lost with it.
    const key = `${task.step}/${task.send}/${kind}/${target.host}/${session}`;
    // What it has read may be newer than what ended it, as the generation that removes the server: it would have it made again.
    signal.throwIfAborted();
    const waiting = openKey({ kind, host: target.host });
    open.add(waiting);
    if (sent.has(key)) return undefined;
    sent.add(key);
    const { id, step, send, request_id } = task;
    const command: Command = { task: id, step, send, session, kind, body, request_id, ...target };
    try {
      await cloud.bus.sendCommand(command);
    } catch (error) {
      sent.delete(key);
      open.delete(waiting);
      cloud.log.warn(
        { task: task.id, kind, host: target.host, error: messageOf(error) },
        'command not sent; it will be sent again',
      );
    }
    return undefined;
  };
}

/** Records a reply in the transaction that makes its task due. One that no longer counts only goes to the timeline. */
export async function recordReply(cloud: Cloud, reply: Reply): Promise<void> {
  const now = cloud.clock.now();
  await cloud.db.write(async (session) => {
    const round = reply.outcome === 'done' ? {} : { send: reply.send };
    const due = { id: reply.task, step: reply.step, active: 1, ...round };
    const counted = (await makeDue(session, due, now)) === 1;
    if (counted) {
      const { task, step, send, host, kind, outcome, observed, fault } = reply;
      await session.insert(taskReplies, {
        task_id: task,
        step,
        send,
        host,
        kind,
        outcome,
        observed,
        fault,
        created_at: now,
      });
      return;
    }
    const task = await session.findOne(tasks, { id: reply.task });
    if (!task) return;
    await session.insert(taskEvents, {
      task_id: task.id,
      resource_id: task.resource_id,
      step: reply.step,
      started_at: now,
      ended_at: now,
      outcome: 'late',
      message: `${reply.host} answered ${reply.kind} (${reply.outcome}) to round ${reply.send} of step ${reply.step} after the task had gone on`,
    });
  });
}

/** Keeps what somebody may ask for of long work: how far a live migration has come. */
export async function noteProgress(cloud: Cloud, { kind, task: id, host, observed }: Reply): Promise<void> {
  if (kind !== 'migration.send') return;
  await cloud.db.write(async (session) => {
    const task = await session.findOne(tasks, { id, active: 1 });
    if (task) await recordProgress(session, task.resource_id, host, observed);
  });
}

/** Tells the dispatcher that holds the task, which is another one, that the host still works: its wait begins anew. */
export async function passOnProgress(cloud: Cloud, reply: Reply): Promise<void> {
  await noteProgress(cloud, reply);
  const { task: id, step, send } = reply;
  await cloud.db.write((session) => makeDue(session, { id, step, send, active: 1 }, cloud.clock.now()));
}
