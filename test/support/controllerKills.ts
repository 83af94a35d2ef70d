// Load on several controllers while one after the other is killed, or stopped: what clients, tasks and hosts noticed of it.
import { setTimeout as pause } from 'node:timers/promises';
import { LessThanOrEqual, type Database } from '@cumulet/controller';
import { tasks } from '../../controller/src/db/entities/tasks';
import { controllerNames, type ControllerFleet } from './controllerFleet';
import type { Content } from './realCloud';
import type { RetryingClient } from './retryingClient';
import { emptyLoad, makeServers } from './serverLoad';

export interface KillOptions {
  readonly seconds: number;
  /** Seconds from one kill to the next. */
  readonly every: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
  /** Kills that are made however long they take; default 1. */
  readonly atLeast?: number;
  /** Servers that are made and deleted side by side. */
  readonly workers: number;
}

export interface KillReport {
  readonly kills: number;
  /** How the controllers ended: null for kill -9. */
  readonly exits: readonly (number | undefined)[];
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
  { seconds, every, signal, workers, atLeast = 1 }: KillOptions,
): Promise<KillReport> {
  const load = emptyLoad();
  const end = Date.now() + seconds * 1000;
  const exits: (number | undefined)[] = [];
  let [kills, orphans, slowestHandover] = [0, 0, 0];
  const isOver = (): boolean => Date.now() > end && kills >= atLeast;
  const working = Array.from({ length: workers }, (_, at) =>
    makeServers(client, content, `worker-${at}`, isOver, load),
  );
  await pause(3_000);
  for (; !isOver(); kills++) {
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
  const { made, deleted, stuck } = load;
  return { kills, exits, active: made.length, deleted, stuck, orphans, slowestHandover, left };
}
