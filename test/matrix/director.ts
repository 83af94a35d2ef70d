// Who holds tasks at the places where a fault is to strike: every process of the cloud asks here before it goes on (hooks.ts).
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { commandRole, type CommandKind } from '@cumulet/common';
import type { Role } from './cloud';
import type { Sight, Verdict } from './hooks';

/** When in a step. */
export type Moment =
  /** Before it has done anything. */
  | 'begin'
  /** When its questions are out. */
  | 'asked'
  /** When its result is not yet written. */
  | 'commit'
  /** When a host has a command, and while that is carried out. */
  | 'work'
  /** When that is done and not yet answered. */
  | 'reply'
  /** When a command is sent. */
  | 'send'
  /** When a reply has arrived. */
  | 'hear';

/** A command that a host refuses, or does and then says that it failed. */
export interface Refusal {
  /** Kind and step of the task. */
  readonly at: string;
  readonly command: string;
  readonly times: number;
  readonly code: string;
  readonly point: 'command' | 'carried';
}

export interface Wanted {
  readonly kind: string;
  readonly step: string;
  readonly moment: Moment;
  /** Whose command, where the moment is one of an agent. */
  readonly role?: Role;
  readonly refusals: readonly Refusal[];
}

export interface Held extends Wanted {
  /** The server whose task is held; undefined until it is known. */
  server: string | undefined;
  readonly isHeld: boolean;
  /** The host whose agent is held. */
  readonly host: string | undefined;
  /** Lets it go on; at 'work' only until the command is carried out. */
  release(verdict?: Verdict): void;
  /** Lets all of it go on. What is refused stays refused. */
  free(): void;
}

export interface Director {
  /** Holds the task of a server that is yet to be told. */
  hold(wanted: Wanted): Held;
  /** Ends everything that is held or refused. */
  clear(): void;
  /** Which agents were asked: kind, step and role of each. */
  readonly asked: ReadonlySet<string>;
  close(): void;
}

const POINTS: Readonly<Record<Moment, Sight['point']>> = {
  begin: 'step',
  asked: 'result',
  commit: 'result',
  work: 'command',
  reply: 'carried',
  send: 'send',
  hear: 'hear',
};

const roleOf = (command: string): Role => commandRole[command as CommandKind];

interface Place {
  readonly kind: string;
  readonly server: string;
}

/** A held task as the director knows it. */
class Watch implements Held {
  readonly kind: string;
  readonly step: string;
  readonly moment: Moment;
  readonly role?: Role;
  readonly refusals: { -readonly [K in keyof Refusal]: Refusal[K] }[];
  server: string | undefined;
  host: string | undefined;
  isHeld = false;
  isFree = false;
  release: (verdict?: Verdict) => void = () => undefined;
  private readonly freed: Promise<void>;
  private open: () => void = () => undefined;

  constructor(wanted: Wanted) {
    ({ kind: this.kind, step: this.step, moment: this.moment } = wanted);
    if (wanted.role) this.role = wanted.role;
    this.refusals = wanted.refusals.map((refusal) => ({ ...refusal }));
    this.freed = new Promise((resolve) => (this.open = resolve));
  }

  free(): void {
    this.isFree = true;
    this.release();
    this.open();
  }

  private isHere({ kind }: Place, { step, point, waits, command }: Sight, wanted: Sight['point']): boolean {
    if (kind !== this.kind || step !== this.step || point !== wanted) return false;
    if (point === 'result' && waits !== (this.moment === 'asked')) return false;
    return this.role === undefined || command === undefined || roleOf(command) === this.role;
  }

  async meet(place: Place, sight: Sight): Promise<Verdict> {
    let verdict: Verdict = {};
    if (!this.isFree && !this.isHeld && this.isHere(place, sight, POINTS[this.moment])) {
      this.isHeld = true;
      this.host = sight.host;
      verdict = await new Promise<Verdict>((resolve) => (this.release = (given = {}) => resolve(given)));
    } else if (this.isHeld && this.moment === 'work' && this.isHere(place, sight, 'carried')) await this.freed;
    const refusal = this.refusals.find(
      ({ at, command, point, times }) =>
        at === `${place.kind}.${sight.step}` && command === sight.command && point === sight.point && times > 0,
    );
    if (!refusal) return verdict;
    refusal.times -= 1;
    return { ...verdict, refuse: { code: refusal.code } };
  }
}

/** Listens on a socket, whose path is CUMULET_MATRIX_SOCKET of all processes that are started. */
export async function startDirector(socketPath: string): Promise<Director> {
  const watches: Watch[] = [];
  const places = new Map<string, Place>();
  const asked = new Set<string>();

  /** A task whose server nobody knows may be one whose request has not been answered yet. */
  async function watchOf(server: string): Promise<Watch | undefined> {
    for (const end = Date.now() + 30_000; Date.now() < end; await pause(20)) {
      const found = watches.find((watch) => watch.server === server);
      if (found || watches.every((watch) => watch.server !== undefined)) return found;
    }
    return undefined;
  }

  async function decide(sight: Sight): Promise<Verdict> {
    const { task, kind, server, command, point } = sight;
    if (kind !== undefined && server !== undefined) places.set(task, { kind, server });
    const place = places.get(task);
    if (!place) return {};
    if (command && point === 'command') asked.add(`${place.kind}.${sight.step} ${roleOf(command)}`);
    return (await watchOf(place.server))?.meet(place, sight) ?? {};
  }

  const listener = createServer((question, answer) => {
    let text = '';
    question.on('data', (chunk: Buffer) => (text += chunk.toString()));
    question.on('end', () => {
      decide(JSON.parse(text) as Sight).then(
        (verdict) => answer.end(JSON.stringify(verdict)),
        () => answer.destroy(),
      );
    });
  });
  await new Promise<void>((done) => void listener.listen(socketPath, done));
  return {
    asked,
    hold(wanted) {
      const watch = new Watch(wanted);
      watches.push(watch);
      return watch;
    },
    clear() {
      for (const watch of watches.splice(0)) watch.free();
    },
    close() {
      listener.close();
      listener.closeAllConnections();
    },
  };
}
