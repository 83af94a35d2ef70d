// What a task kind is: named steps that each may run twice, and what happens when it fails or its resource is deleted.
import type { CommandBody, CommandKind } from '@cumulet/common';
import type { Cloud } from '../cloud';
import type { WriteSession } from '../db';
import type { Task } from '../db/entities/tasks';

/** Why a task failed, in words that the owner of the resource may read. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  /** More for administrators. */
  readonly details?: string;
}

/** Facts that later steps need. They are merged into the task's state. */
export type Facts = Readonly<Record<string, unknown>>;
/** Changes that belong to a step's result and are committed with it; they may add facts that only the transaction knows. */
export type StepWrite = (session: WriteSession) => Promise<Facts | void>;

export type StepResult =
  | {
      readonly type: 'next';
      readonly step: string;
      readonly facts?: Facts;
      readonly write?: StepWrite;
      readonly message?: string;
      readonly urgent?: boolean;
    }
  | { readonly type: 'wait'; readonly seconds: number }
  | { readonly type: 'done'; readonly write?: StepWrite; readonly message?: string }
  | { readonly type: 'fail'; readonly fault: Fault };

interface Effects {
  readonly facts?: Facts;
  readonly write?: StepWrite;
  readonly message?: string;
}

/** Goes on with another step; facts and writes are committed with the move, `urgent` ones before what others write. */
export const next = (step: string, effects: Effects & { readonly urgent?: boolean } = {}): StepResult => ({
  type: 'next',
  step,
  ...effects,
});
/** Runs the same step again when a reply came, or after so many seconds. */
export const wait = (seconds: number): StepResult => ({ type: 'wait', seconds });
/** Ends the task well. */
export const done = (effects: Omit<Effects, 'facts'> = {}): StepResult => ({ type: 'done', ...effects });
/** Ends the task badly, at once. A thrown error is tried again instead. */
export const fail = (fault: Fault): StepResult => ({ type: 'fail', fault });

export interface StepContext {
  readonly cloud: Cloud;
  readonly task: Task;
  /** Aborted when the resource's deletion was asked for, or the step ran for too long. */
  readonly signal: AbortSignal;
  /**
   * The resources of the tasks that begin together, this one among them: the same list for each, so that they may share what they
   * read. In later runs it is a list of this task's resource alone.
   */
  readonly together: readonly string[];
  /**
   * Asks a host's agent and returns what it observed, or undefined while there is no answer: then the step returns `wait`.
   * Several questions of one step go out together. A body that must be read for is only made while there is no answer; undefined:
   * there is nothing to ask any more.
   * @throws HostFault when the agent says that it failed
   */
  readonly ask: <K extends CommandKind>(
    kind: K,
    target: AskTarget,
    body: CommandBody<K> | (() => Promise<CommandBody<K> | undefined>),
  ) => Promise<Facts | undefined>;
}

export interface AskTarget {
  readonly host: string;
  /** The resource whose generation the command carries. */
  readonly resource: string;
  readonly generation: number;
}

export type Step = (context: StepContext) => Promise<StepResult>;

export interface TaskKind {
  readonly kind: string;
  /** Name of the first step. */
  readonly first: string;
  readonly steps: Readonly<Record<string, Step>>;
  /**
   * What a failure does: the teardown of another kind takes over (with the fault in `state.fault`), or changes are written as the
   * task ends. A teardown has neither: it never fails, its errors are tried again.
   */
  readonly onFail:
    | { readonly teardown: string }
    | { readonly write: (session: WriteSession, task: Task, fault: Fault, cloud: Cloud) => Promise<void> }
    | 'never';
  /** The kind that takes over when the resource's deletion is asked for. Absent: this already is the teardown. */
  readonly onDelete?: string;
}

/** A host's agent could not do what it was asked. `retryable`: another try may help. */
export class HostFault extends Error {
  readonly fault: Fault;
  readonly retryable: boolean;

  constructor(fault: Fault, retryable: boolean) {
    super(fault.message);
    this.name = 'HostFault';
    this.fault = fault;
    this.retryable = retryable;
  }
}
