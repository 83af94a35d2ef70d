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
interface Watch extends Held {
  meet(place: Place, sight: Sight): Promise<Verdict>;
}

function createWatch(wanted: Wanted): Watch {
  const { kind, step, moment, role } = wanted;
  const left = wanted.refusals.map((refusal) => ({ refusal, times: refusal.times }));
  let host: string | undefined;
  let isHeld = false;
  let isFree = false;
  let release: Held['release'] = () => undefined;
  let open: () => void = () => undefined;
  const freed = new Promise<void>((resolve) => (open = resolve));

  const isHere = (place: Place, sight: Sight, point: Sight['point']): boolean => {
    if (place.kind !== kind || sight.step !== step || sight.point !== point) return false;
    if (point === 'result' && sight.waits !== (moment === 'asked')) return false;
    return role === undefined || sight.command === undefined || roleOf(sight.command) === role;
  };
  /** What the story wants to be refused here. */
  const refused = (place: Place, sight: Sight): Verdict => {
    const found = left.find(
      ({ refusal: { at, command, point }, times }) =>
        at === `${place.kind}.${sight.step}` && command === sight.command && point === sight.point && times > 0,
    );
    if (!found) return {};
    found.times -= 1;
    return { refuse: { code: found.refusal.code } };
  };

  return {
    ...wanted,
    server: undefined,
    get isHeld() {
      return isHeld;
    },
    get host() {
      return host;
    },
    release: (verdict) => release(verdict),
    free() {
      isFree = true;
      release();
      open();
    },
    async meet(place, sight) {
      let verdict: Verdict = {};
      if (!isFree && !isHeld && isHere(place, sight, POINTS[moment])) {
        isHeld = true;
        ({ host } = sight);
        verdict = await new Promise<Verdict>((resolve) => (release = (given = {}) => resolve(given)));
      } else if (isHeld && moment === 'work' && isHere(place, sight, 'carried')) await freed;
      return { ...verdict, ...refused(place, sight) };
    },
  };
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
      const watch = createWatch(wanted);
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
