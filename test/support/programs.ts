// Programs that a test runs: any one in a directory of its own, and the cloud's processes from what was built.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './checkout';
import { childCoverage } from './childCoverage';

export interface Run {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Program {
  readonly ended: Promise<Run>;
  signal(signal: NodeJS.Signals): void;
}

function startProgram(file: string, args: readonly string[], cwd: string | undefined, env: NodeJS.ProcessEnv): Program {
  const child = spawn(file, args, { cwd, env: { ...childCoverage(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
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

/** Runs a program in a directory, which is its home as well, until it ends. */
export const runProgram = (
  file: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
): Promise<Run> => startProgram(file, args, cwd, { PATH: process.env['PATH'], HOME: cwd, ...env }).ended;

export type ProcessName = 'controller' | 'compute-agent' | 'network-agent' | 'storage-agent' | 'standalone';

/** Starts one of the cloud's processes. */
export const startProcess = (name: ProcessName, ...args: readonly string[]): Program =>
  startProgram(process.execPath, [join(root, name, 'dist/main.js'), ...args], undefined, process.env);

/** Runs one of the cloud's processes until it ends. */
export const runProcess = (name: ProcessName, ...args: readonly string[]): Promise<Run> =>
  startProcess(name, ...args).ended;
