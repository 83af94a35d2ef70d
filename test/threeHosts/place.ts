// Where a lab is: a directory, a link into it, and the process that holds it, found by its command. Nothing else of it is outside.
import { spawn, execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { childOf, commandOf, innerIds, processIds } from '../support/processTree';

const KEEPER = join(__dirname, 'keeper.js');
/** Sockets below it have paths of 107 bytes at most, the longest of which is a server's. */
const LONGEST = 21;
/** The first process of the namespaces: it reaps orphans and ends with the keeper, and all the others with it. */
const FIRST = '"$@"; exit';

export interface Place {
  readonly directory: string;
  /** Our end of the link to the lab. */
  readonly link: string;
  /** A path for something about the lab. */
  file(name: string): string;
}

/** @throws Error when the name, or the directory for temporary files, is too long */
export function placeOf(name: string): Place {
  if (!/^[a-z0-9-]{1,8}$/.test(name)) throw new Error(`a lab is named by 8 of a-z, 0-9 and - at most, not "${name}"`);
  const directory = join(tmpdir(), `cml-lab-${name}`);
  if (directory.length > LONGEST) throw new Error(`${directory} is too long a path: set TMPDIR to /tmp`);
  return { directory, link: `lab-${name}`, file: (file) => join(directory, file) };
}

/** The processes that hold the lab, as seen from outside: the one that waits for the namespaces, their first one, the keeper. */
const holders = ({ directory }: Place): number[] =>
  processIds().filter((pid) => {
    const words = commandOf(pid);
    return words.includes(KEEPER) && words.includes(directory);
  });

export const lives = (place: Place): boolean => holders(place).length > 0;

/** The first process in the lab's namespaces. */
function firstOf(place: Place): number | undefined {
  const pids = holders(place);
  return pids.map(childOf).find((pid) => pid !== undefined && pids.includes(pid));
}

/** What the lab's process ids are outside. */
export function outerIds(place: Place): Map<number, number> {
  const first = firstOf(place);
  return first === undefined ? new Map() : innerIds(first);
}

/** Ends everything in the lab and removes what is outside; whatever is gone already does not matter. */
export async function remove(place: Place): Promise<void> {
  for (let pids = holders(place); pids.length > 0; pids = holders(place)) {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It ended with the one before.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await pause(50);
  }
  // The kernel takes the link away some time after the namespace that it leads to; one that leads nowhere yet is still ours.
  for (let tries = 0; existsSync(`/sys/class/net/${place.link}`); tries++) {
    if (tries > 100) execFileSync('ip', ['link', 'del', place.link]);
    await pause(50);
  }
  rmSync(place.directory, { recursive: true, force: true });
}

/** Asks the keeper. @throws Error with its words */
export function ask<T>(place: Place, method: 'GET' | 'POST', path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    // A kept connection is closed by a keeper that was held up for long, just when it is used again.
    const asked = request({ socketPath: place.file('control'), method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        response.statusCode === 200 ? resolve(JSON.parse(text) as T) : reject(new Error(text)),
      );
    });
    asked.once('error', (cause) =>
      reject(new Error(`the lab does not answer (${cause.message}): "npm run lab down" removes it`, { cause })),
    );
    asked.end();
  });
}

/** Starts the keeper, with a link from here; `net` is the first three numbers of all addresses outside, `options` are the keeper's. */
export async function hold(place: Place, net: string, options: readonly string[]): Promise<void> {
  mkdirSync(place.directory, { mode: 0o711 });
  const log = openSync(place.file('log'), 'a');
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const keeper = [process.execPath, KEEPER, place.directory, `${net}.1/25`, ...options];
  const child = spawn('unshare', [...namespaces, 'bash', '-c', FIRST, 'first', ...keeper], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    env: { ...process.env, TMPDIR: place.directory },
  });
  closeSync(log);
  child.unref();
  for (const end = Date.now() + 20_000; !existsSync(place.file('control')); await pause(50)) {
    if (child.exitCode !== null || Date.now() > end)
      throw new Error(`the lab did not start: ${readFileSync(place.file('log'), 'utf8').trim()}`);
  }
  const first = String(firstOf(place));
  const run = (line: string): unknown => execFileSync('ip', line.split(' '));
  run(`link add ${place.link} type veth peer name way netns ${first}`);
  run(`addr add ${net}.253/30 dev ${place.link}`);
  run(`link set ${place.link} up`);
  run(`route add ${net}.0/25 via ${net}.254`);
  const inside = ['--target', first, '--net', 'ip'];
  execFileSync('nsenter', [...inside, 'addr', 'add', `${net}.254/30`, 'dev', 'way']);
  execFileSync('nsenter', [...inside, 'link', 'set', 'way', 'up']);
}
