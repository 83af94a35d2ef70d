// Processes of the cloud that a test starts from what was built: each with a configuration file, a log and a health listener.
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from './checkout';
import { childCoverage } from './childCoverage';
import { freePort } from './freePort';
import type { ProcessName } from './programs';

export interface Member {
  /** Whose program it runs. */
  readonly program: ProcessName;
  readonly config: object;
  /** TCP port of its health listener, as in its configuration. */
  readonly health: number;
  /** Options of Node.js itself. */
  readonly node?: readonly string[];
}

export interface ProcessGroup<Name extends string> {
  pid(name: Name): number;
  configFile(name: Name): string;
  /** The exit code of a process that ended; null while it runs. */
  exitCode(name: Name): number | null;
  start(name: Name): void;
  /** Ends a process and resolves with its exit code when it is gone. */
  end(name: Name, signal?: NodeJS.Signals): Promise<number | null>;
  /** Resolves when the process says that it is ready. */
  ready(name: Name): Promise<void>;
  /** The health listener's answer. */
  health(name: Name, path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Ends all that were started, the last one first. */
  endAll(): Promise<void>;
}

/** As many ports as names. */
export async function portsFor(names: readonly string[]): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const name of names) ports[name] = await freePort();
  return ports;
}

/** Writes the configuration files into `directory`, where the logs will be too. Starts nothing. */
export function createProcessGroup<Name extends string>(
  directory: string,
  members: Readonly<Record<Name, Member>>,
): ProcessGroup<Name> {
  const configFile = (name: Name): string => join(directory, `${name}.yaml`);
  for (const name of Object.keys(members) as Name[])
    writeFileSync(configFile(name), JSON.stringify(members[name].config));
  const env = { ...process.env, ...childCoverage() };
  const children = new Map<Name, ChildProcess>();
  const childOf = (name: Name): ChildProcess => {
    const child = children.get(name);
    if (!child) throw new Error(`${name} was never started`);
    return child;
  };

  const group: ProcessGroup<Name> = {
    configFile,
    pid: (name) => childOf(name).pid ?? 0,
    exitCode: (name) => childOf(name).exitCode,
    start(name) {
      const { program, node = [] } = members[name];
      const log = openSync(join(directory, `${name}.log`), 'a');
      const main = join(root, program, 'dist/main.js');
      const args = [...node, main, '--config', configFile(name)];
      children.set(name, spawn(process.execPath, args, { stdio: ['ignore', log, log], env }));
    },
    async end(name, signal = 'SIGTERM') {
      const child = childOf(name);
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const ended = new Promise<number | null>((done) => child.once('exit', done));
      child.kill(signal);
      return ended;
    },
    async health(name, path) {
      const answer = await fetch(`http://127.0.0.1:${members[name].health}${path}`);
      return { status: answer.status, text: await answer.text() };
    },
    async ready(name) {
      let last = '';
      for (const until = Date.now() + 60_000; Date.now() < until; await pause(100)) {
        const child = childOf(name);
        if (child.exitCode !== null)
          throw new Error(`${name} ended with ${child.exitCode}: see its log in ${directory}`);
        const answer = await group.health(name, '/readyz').catch(() => undefined);
        if (answer?.status === 200) return;
        last = answer?.text ?? 'no answer';
      }
      throw new Error(`${name} is not ready: ${last}`);
    },
    async endAll() {
      for (const name of [...children.keys()].reverse()) await group.end(name);
    },
  };
  return group;
}
