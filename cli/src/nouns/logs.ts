// cumulet logs: what the cloud of this machine has logged, in lines for people; by request or server, and as it is written.
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import path from 'node:path';
import type { Api } from '../api';
import type { Settings } from '../cloudsConfig';
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError, HttpError } from '../errors';
import { logLine, mentions } from '../logLine';
import { idFor } from '../resource';
import { server } from './resources';

/** The log in use; older parts of it have .1, .2 and so on behind. */
const FILE = 'cumulet.log';
/** Between looks at a log that is followed, in milliseconds. */
const FOLLOW_MS = 500;
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Reading that fails for a reason that people can do something about, in words. */
function inWords(directory: string, error: unknown): CliError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES')
    return new CliError(`the logs in ${directory} are for administrators of this machine: run it with sudo`);
  if (code === 'ENOENT')
    return new CliError(
      `there is no log in ${directory}: the cloud was not started yet, or it runs on another machine and its logs are there`,
    );
  return new CliError(`the logs in ${directory} could not be read: ${message}`);
}

/** What of a file comes at and after a place, whatever is written meanwhile. */
function readFrom(file: string, start: number): Buffer {
  const open = openSync(file, 'r');
  try {
    const rest = Buffer.alloc(Math.max(0, fstatSync(open).size - start));
    return rest.subarray(0, readSync(open, rest, 0, rest.length, start));
  } finally {
    closeSync(open);
  }
}

const sizeOf = (file: string): number => {
  const open = openSync(file, 'r');
  try {
    return fstatSync(open).size;
  } finally {
    closeSync(open);
  }
};

/** All of it that was kept, oldest first, and how far the log in use was read. @throws CliError in words */
export function readLogs(directory: string): { readonly text: string; readonly end: number } {
  const file = path.join(directory, FILE);
  try {
    const now = readFrom(file, 0);
    const older: string[] = [];
    for (let number = 1; existsSync(`${file}.${number}`); number += 1)
      older.unshift(readFileSync(`${file}.${number}`, 'utf8'));
    // A line that is half written is left for who follows.
    const end = now.lastIndexOf('\n') + 1;
    return { text: older.join('') + now.subarray(0, end).toString(), end };
  } catch (error) {
    throw inWords(directory, error);
  }
}

/** Follows the log from a place on. Each call gives what was written since; when the log has moved on, first the rest of the old one. */
export function follower(directory: string, start: number): () => string {
  const file = path.join(directory, FILE);
  let at = start;
  let half: Buffer = Buffer.alloc(0);
  return () => {
    const parts = [half];
    if (sizeOf(file) < at) {
      if (existsSync(`${file}.1`)) parts.push(readFrom(`${file}.1`, at));
      at = 0;
    }
    const fresh = readFrom(file, at);
    at += fresh.length;
    const all = Buffer.concat([...parts, fresh]);
    // A line that is half written is kept for the next time.
    const end = all.lastIndexOf('\n') + 1;
    half = all.subarray(end);
    return all.subarray(0, end).toString();
  };
}

/** The requests that changed a server, as its timeline says; none when it is gone. */
async function requestsOf(api: Api, id: string): Promise<string[]> {
  try {
    const { tasks } = await api.json('cumulet', 'GET', `/servers/${id}/timeline`);
    return (tasks as readonly Row[]).map((task) => String(task['request_id']));
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) return [];
    throw error;
  }
}

/** Which lines are wanted: a function that is given the lines of one reading, and returns those. */
type Wanted = (lines: readonly string[]) => Promise<readonly string[]>;

/** The id of a server of any project, for administrators; members see their own. */
async function idAnywhere(api: Api, wanted: string): Promise<string> {
  try {
    return await idFor(api, server, wanted, { all_tenants: 1 });
  } catch (error) {
    if (error instanceof HttpError && error.status === 403) return idFor(api, server, wanted);
    throw error;
  }
}

/** A server's lines name it, or a request that was about it, as its timeline or another line tells. */
async function ofServer({ api }: Context, wanted: string): Promise<Wanted> {
  // The logs of a server that was deleted are still there, by its id.
  const id = ID.test(wanted) ? wanted : await idAnywhere(api, wanted);
  const known = new Set([id, ...(await requestsOf(api, id))]);
  return async (lines) => {
    const requests = lines
      .filter((line) => line.includes(id))
      .flatMap((line) => /"request_id":"([^"]+)"/.exec(line)?.[1] ?? []);
    for (const request of requests) known.add(request);
    return Promise.resolve(lines.filter((line) => mentions(line, known)));
  };
}

async function wantedLines(context: Context): Promise<Wanted> {
  const { input } = context;
  const request = input.text('request');
  const named = input.text('server');
  const filters: Wanted[] = [
    ...(request === undefined
      ? []
      : [(lines: readonly string[]) => Promise.resolve(lines.filter((line) => mentions(line, new Set([request]))))]),
    ...(named === undefined ? [] : [await ofServer(context, named)]),
  ];
  return async (lines) => {
    let left = lines;
    for (const filter of filters) left = await filter(left);
    return left;
  };
}

const linesOf = (log: string): string[] => log.split('\n').filter((line) => line !== '');

/** The administrator of this machine's cloud, whose first password is root's to read. */
function administrator(directory: string): Settings {
  const file = path.join(directory, 'bootstrap.json');
  try {
    const { admin_password: password } = JSON.parse(readFileSync(file, 'utf8')) as { admin_password: string };
    const listen = /^listen: *["']?(\S+?)["']?$/m.exec(readFileSync(path.join(directory, 'cumulet.yaml'), 'utf8'))?.[1];
    const auth_url = `http://${listen ?? '127.0.0.1:5000'}/v3`;
    return { auth_url, username: 'admin', password, project_name: 'admin' };
  } catch (error) {
    throw new CliError(
      `servers are found as the administrator of the cloud, but ${file} tells no password (${(error as Error).message}): run it with sudo, or name a cloud with --os-cloud`,
    );
  }
}

const logs: Command = {
  name: 'logs',
  summary: 'Show what the cloud of this machine has logged',
  example: '-f --server hello',
  options: {
    follow: { ...flag('go on with what is written, until Ctrl+C'), short: 'f' },
    request: text('only lines of this request (x-openstack-request-id)', 'ID'),
    server: text(
      'only lines about this server and the requests that changed it; by its id also when it is gone',
      'SERVER',
    ),
    lines: text('only this many lines from the end', 'COUNT'),
    directory: text('where the logs are (/var/log/cumulet)', 'DIRECTORY'),
    config: text("where the cloud's configuration is (/etc/cumulet)", 'DIRECTORY'),
  },
  otherwise: (input) =>
    input.text('server') === undefined ? {} : administrator(input.text('config') ?? '/etc/cumulet'),
  async run(context) {
    const { input } = context;
    const directory = input.text('directory') ?? '/var/log/cumulet';
    const count = input.number('lines');
    const read = readLogs(directory);
    const wanted = await wantedLines(context);
    const found = await wanted(linesOf(read.text));
    const shown = (count === undefined ? found : found.slice(Math.max(0, found.length - count))).map(logLine);
    if (!input.flag('follow')) return { text: shown.join('\n') };
    const print = (lines: readonly string[]): void =>
      void process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    print(shown);
    const next = follower(directory, read.end);
    // Until somebody ends this process.
    for (;;) {
      await new Promise((done) => setTimeout(done, FOLLOW_MS));
      print((await wanted(linesOf(next()))).map(logLine));
    }
  },
};

export const commands: readonly Command[] = [logs];
