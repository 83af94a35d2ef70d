// A process of ours from the built program, as a service manager starts it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './checkout';
import { childCoverage } from './childCoverage';

export type ProgramName = 'controller' | 'compute-agent' | 'network-agent' | 'storage-agent' | 'standalone';

export interface Ended {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

export interface OurProcess {
  readonly ended: Promise<Ended>;
  signal(signal: NodeJS.Signals): void;
}

/** Starts a program with these arguments. */
export function startProgram(name: ProgramName, ...args: readonly string[]): OurProcess {
  const child = spawn(process.execPath, [join(root, name, 'dist/main.js'), ...args], {
    env: { ...process.env, ...childCoverage() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()));
  return {
    ended: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exit) => resolve({ exit, out, err }));
    }),
    signal: (signal) => void child.kill(signal),
  };
}

/** Runs a program to its end. */
export const runProgram = (name: ProgramName, ...args: readonly string[]): Promise<Ended> =>
  startProgram(name, ...args).ended;
