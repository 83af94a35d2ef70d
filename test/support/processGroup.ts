// Processes of the cloud that a test starts from what was built: each with a configuration file, a log and a health listener.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from './checkout';
import { childCoverage } from './childCoverage';
import { freePort } from './freePort';
import type { OwnMachine, Program } from './ownMachine';
import type { ProcessName } from './programs';

export interface Member {
  /** Whose program it runs. */
  readonly program: ProcessName;
  readonly config: object;
  /** TCP port of its health listener, as in its configuration. */
  readonly health: number;
  /** Options of Node.js itself. */
  readonly node?: readonly string[];
  /** Where it runs, and listens for questions about its health; unless given here, on loopback. */
  readonly machine?: Pick<OwnMachine, 'address' | 'start'>;
}

export interface ProcessGroup<Name extends string> {
  pid(name: Name): number;
  configFile(name: Name): string;
  /** The exit code of a process that ended; undefined while it runs, and before. */
  exitCode(name: Name): number | undefined;
  /** Whether it was started and has not ended. */
  runs(name: Name): boolean;
  start(name: Name): void;
  /** Ends a process and resolves with its exit code when it is gone. */
  end(name: Name, signal?: NodeJS.Signals): Promise<number | undefined>;
  /** Resolves when the process says that it is ready. */
  ready(name: Name): Promise<void>;
  /** The health listener's answer. */
  health(name: Name, path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Ends all that were started, the last one first. */
  endAll(): Promise<void>;
}

/** The end of a log, for who can't read it any more when the test is over. */
const endOf = (log: string): string => readFileSync(log, 'utf8').trimEnd().slice(-600);

/** As many ports as names. */
export async function portsFor(names: readonly string[]): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const name of names) ports[name] = await freePort();
  return ports;
}

/** Starts a program beside us, which ends when we do, however that happens. */
export function startHere(argv: readonly string[], log: string): Program {
  const output = openSync(log, 'a');
  const env = { ...process.env, ...childCoverage() };
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], { stdio: ['ignore', output, output], env });
  closeSync(output);
  const exited = once(child, 'exit');
  const exitCode = (): number | undefined => child.exitCode ?? (child.signalCode === null ? undefined : 128);
  return {
    pid: () => (exitCode() === undefined ? child.pid : undefined),
    exitCode,
    async end(signal) {
      child.kill(signal);
      if (exitCode() === undefined) await exited;
    },
  };
}

/** Writes the configuration files into `directory`, where the logs will be too. Starts nothing. */
export function createProcessGroup<Name extends string>(
  directory: string,
  members: Readonly<Record<Name, Member>>,
): ProcessGroup<Name> {
  const configFile = (name: Name): string => join(directory, `${name}.yaml`);
  for (const name of Object.keys(members) as Name[])
    writeFileSync(configFile(name), JSON.stringify(members[name].config));
  const children = new Map<Name, Program>();
  const childOf = (name: Name): Program => {
    const child = children.get(name);
    if (!child) throw new Error(`${name} was never started`);
    return child;
  };

  const group: ProcessGroup<Name> = {
    configFile,
    pid: (name) => childOf(name).pid() ?? 0,
    exitCode: (name) => children.get(name)?.exitCode(),
    runs: (name) => children.get(name)?.pid() !== undefined,
    start(name) {
      const { program, node = [], machine } = members[name];
      const main = join(root, program, 'dist/main.js');
      const argv = [process.execPath, ...node, main, '--config', configFile(name)];
      const log = join(directory, `${name}.log`);
      children.set(name, machine ? machine.start(argv, log) : startHere(argv, log));
    },
    async end(name, signal = 'SIGTERM') {
      const child = childOf(name);
      if (child.exitCode() === undefined) await child.end(signal);
      return child.exitCode();
    },
    async health(name, path) {
      const { health, machine } = members[name];
      const answer = await fetch(`http://${machine?.address ?? '127.0.0.1'}:${health}${path}`);
      return { status: answer.status, text: await answer.text() };
    },
    async ready(name) {
      let last = '';
      for (const until = Date.now() + 60_000; Date.now() < until; await pause(100)) {
        const code = childOf(name).exitCode();
        if (code !== undefined) throw new Error(`${name} ended with ${code}: ${endOf(join(directory, `${name}.log`))}`);
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
