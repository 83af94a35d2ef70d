// Waiting for servers, with a line of progress on a terminal.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Row } from './command';
import { CliError, HttpError } from './errors';
import { server } from './nouns/resources';
import { get } from './resource';

const POLL_MS = 250;

const now = ({ api }: Context, id: string): Promise<Row> => get(api, server, id);

function show(context: Context, row: Row): void {
  const task = row['OS-EXT-STS:task_state'];
  context.progress(`${String(row['name'])}: ${String(row['status'])}${typeof task === 'string' ? ` (${task})` : ''}`);
}

/** The fault of a server in ERROR, in words. */
export function failureOf(row: Row): CliError {
  const fault = (row['fault'] as Row | undefined)?.['message'];
  const name = String(row['name']);
  return new CliError(
    `server "${name}" went into ERROR: ${typeof fault === 'string' ? fault : 'no cause is known'} (see: cumulet server why ${name})`,
  );
}

/** Waits as long as something holds of the server, or until a time in milliseconds of performance.now(). @returns the server then */
export async function waitWhile(context: Context, id: string, holds: (row: Row) => boolean, end: number): Promise<Row> {
  try {
    for (;;) {
      const row = await now(context, id);
      if (!holds(row) || performance.now() >= end) return row;
      show(context, row);
      await sleep(POLL_MS);
    }
  } finally {
    context.progress('');
  }
}

/** Waits until the server has settled in one of the states.
 * @returns the server @throws CliError with the fault when it ends in ERROR */
export async function waitForServer(context: Context, id: string, ...states: string[]): Promise<Row> {
  try {
    for (;;) {
      const row = await now(context, id);
      show(context, row);
      const settled = row['OS-EXT-STS:task_state'] === null;
      if (settled && states.includes(String(row['status']))) return row;
      if (row['status'] === 'ERROR') throw failureOf(row);
      await sleep(POLL_MS);
    }
  } finally {
    context.progress('');
  }
}

/** Waits until the server is gone. @throws CliError when it went into ERROR instead */
export async function waitUntilGone(context: Context, id: string, name: string): Promise<void> {
  try {
    for (;;) {
      const row = await now(context, id);
      show(context, row);
      if (row['status'] === 'ERROR' && row['OS-EXT-STS:task_state'] === null)
        throw new CliError(`server "${name}" could not be deleted (see: cumulet server why ${name})`);
      await sleep(POLL_MS);
    }
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 404) throw error;
  } finally {
    context.progress('');
  }
}

/** Waits until the image has its data. @throws CliError when it is gone: an image that can't be made is removed */
export async function waitForImage({ api, progress }: Context, id: string): Promise<Row> {
  try {
    for (;;) {
      const row = await api.json('image', 'GET', `/images/${id}`);
      progress(`${String(row['name'])}: ${String(row['status'])}`);
      if (row['status'] === 'active') return row;
      await sleep(POLL_MS);
    }
  } catch (error) {
    if (error instanceof HttpError && error.status === 404)
      throw new CliError(`image ${id} could not be made: it is gone`);
    throw error;
  } finally {
    progress('');
  }
}
