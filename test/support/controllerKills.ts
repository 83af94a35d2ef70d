// Load on several controllers while one after the other is killed, or stopped: what clients, tasks and hosts noticed of it.
import { setTimeout as pause } from 'node:timers/promises';
import { LessThanOrEqual, type Database } from '@cumulet/controller';
import { tasks } from '../../controller/src/db/entities/tasks';
import { controllerNames, type ControllerFleet } from './controllerFleet';
import type { Content } from './realCloud';
import type { RetryingClient } from './retryingClient';

export interface KillOptions {
  readonly seconds: number;
  /** Seconds from one kill to the next. */
  readonly every: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
  /** Servers that are made and deleted side by side. */
  readonly workers: number;
}

export interface KillReport {
  readonly kills: number;
  /** How the controllers ended: null for kill -9. */
  readonly exits: readonly (number | null)[];
  /** Servers that became ACTIVE. */
  readonly active: number;
  readonly deleted: number;
  /** Servers that did not become ACTIVE or did not go, in words. */
  readonly stuck: readonly string[];
  /** Tasks that a controller still held when it ended, and the most seconds until another one held each of them. */
  readonly orphans: number;
  readonly slowestHandover: number;
  /** The last server of each worker, which is ACTIVE. */
  readonly left: readonly string[];
}

/** A lease's length, and the time in which a living controller has surely renewed all of its. */
const LEASE_MS = 10_000;
const RENEWED_MS = 4_500;
const PATIENCE_MS = 90_000;

interface Counts {
  active: number;
  deleted: number;
  readonly stuck: string[];
}

/** Looks until the answer is as wanted. @throws Error with the last answer */
async function settle(
  client: RetryingClient,
  id: string,
  what: string,
  isThere: (status: number, server: { status?: string; fault?: unknown }) => boolean,
): Promise<void> {
  let last = '';
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await pause(150)) {
    const { status, body } = await client.call('GET', `/compute/v2.1/servers/${id}`);
    const server = (body.server ?? {}) as { status?: string; fault?: unknown };
    if (isThere(status, server)) return;
    last = `${status} ${server.status ?? ''} ${JSON.stringify(server.fault ?? '')}`;
    if (server.status === 'ERROR') break;
  }
  throw new Error(`server ${id} is not ${what}: ${last}`);
}

/** Deletes a server and waits until it is gone. */
export async function removeServer(client: RetryingClient, id: string): Promise<void> {
  const { status, repeated, body } = await client.call('DELETE', `/compute/v2.1/servers/${id}`);
  // The first try may have been carried out before its connection was lost.
  if (status !== 204 && !(repeated && status === 404))
    throw new Error(`server ${id} can not be deleted: ${status} ${JSON.stringify(body)}`);
  await settle(client, id, 'gone', (found) => found === 404);
}

/** Makes a server and waits until it is ACTIVE; returns its id. */
async function makeServer(client: RetryingClient, content: Content, name: string): Promise<string> {
  const { body } = await client.must('POST', '/compute/v2.1/servers', {
    server: { name, imageRef: content.image, flavorRef: content.flavor, networks: [{ uuid: content.network }] },
  });
  const id = body.server.id as string;
  await settle(client, id, 'ACTIVE', (_status, server) => server.status === 'ACTIVE');
  return id;
}

/** One server after the other until the time is over; returns the last one. */
async function work(
  client: RetryingClient,
  content: Content,
  name: string,
  end: number,
  counts: Counts,
): Promise<string | undefined> {
  for (let round = 0; ; round++) {
    try {
      const id = await makeServer(client, content, `${name}-${round}`);
      counts.active += 1;
      if (Date.now() > end) return id;
      await removeServer(client, id);
      counts.deleted += 1;
    } catch (error) {
      counts.stuck.push(String(error));
      if (Date.now() > end) return undefined;
    }
  }
}

/**
 * Follows the tasks of a controller that has just ended: those whose lease nobody has renewed since.
 * @returns how many they are and how many seconds it took until the last one was held again, or had ended
 */
async function followOrphans(db: Database): Promise<{ count: number; seconds: number }> {
  const killed = await db.time();
  const stale = { active: 1, lease_until: LessThanOrEqual(killed + LEASE_MS) };
  await pause(RENEWED_MS);
  const count = await db.read((session) => session.count(tasks, stale));
  for (let left = count; left > 0; await pause(50)) left = await db.read((session) => session.count(tasks, stale));
  return { count, seconds: count === 0 ? 0 : ((await db.time()) - killed) / 1000 };
}

/** Ends one controller after the other, each time at once started again, under the load of the workers. */
export async function killUnderLoad(
  fleet: ControllerFleet,
  db: Database,
  client: RetryingClient,
  content: Content,
  { seconds, every, signal, workers }: KillOptions,
): Promise<KillReport> {
  const counts: Counts = { active: 0, deleted: 0, stuck: [] };
  const end = Date.now() + seconds * 1000;
  const working = Array.from({ length: workers }, (_, at) => work(client, content, `worker-${at}`, end, counts));
  const exits: (number | null)[] = [];
  let [kills, orphans, slowestHandover] = [0, 0, 0];
  await pause(3_000);
  for (; Date.now() < end; kills++) {
    const next = pause(every * 1000);
    const victim = controllerNames[kills % controllerNames.length] ?? 'controller-1';
    exits.push(await fleet.controllers.end(victim, signal));
    fleet.controllers.start(victim);
    const { count, seconds: took } = await followOrphans(db);
    orphans += count;
    slowestHandover = Math.max(slowestHandover, took);
    await fleet.controllers.ready(victim);
    await next;
  }
  const left = (await Promise.all(working)).filter((id) => id !== undefined);
  return { kills, exits, ...counts, orphans, slowestHandover, left };
}
