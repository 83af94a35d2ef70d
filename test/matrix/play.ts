// One case of the crash matrix: a server is brought to a step, a fault strikes there, and what became of it is judged.
import { setTimeout as pause } from 'node:timers/promises';
import type { Fault } from './faults';
import { remove, type Story } from './stories';
import type { MatrixWorld } from './world';

/** Everything must have come to an end this long after a fault. */
const DEADLINE_MS = 180_000;
const CLEAN_MS = 30_000;

export interface Outcome {
  /** Whether the fault struck while the task was at the step. */
  readonly struck: boolean;
  /** From the fault to the end of all tasks. */
  readonly seconds: number;
  /** The server's status at the end; undefined when it is gone. */
  readonly end: string | undefined;
  /** What must not be, in words: something stuck, an orphan, a server without a reason. */
  readonly problems: readonly string[];
}

async function settled(world: MatrixWorld): Promise<string[]> {
  let left: string[] = [];
  for (const end = Date.now() + DEADLINE_MS; Date.now() < end; await pause(50)) {
    left = await world.tasks();
    if (left.length === 0) return [];
  }
  return left.map((task) => `stuck: ${task}`);
}

/** Asks until nothing is found, because agents follow the database after a moment. */
async function untilClean(look: () => Promise<string[]>): Promise<string[]> {
  for (const end = Date.now() + CLEAN_MS; ; await pause(500)) {
    const found = await look();
    if (found.length === 0 || Date.now() > end) return found;
  }
}

async function audit({ client }: MatrixWorld): Promise<string[]> {
  const { body } = await client.must('GET', '/cumulet/v1/audit');
  return (body.findings as { message: string }[]).map(({ message }) => message);
}

/** Follows the act until its task is at the step, and lets the fault strike there; returns when it did, if it could. */
async function strikeAt(
  world: MatrixWorld,
  [kind, step]: readonly [string, string],
  fault: Fault,
  over: () => boolean,
): Promise<number | undefined> {
  while (!(await world.isAt(kind, step))) if (over() && (await world.tasks()).length === 0) return undefined;
  const struck = Date.now();
  await fault(world);
  return struck;
}

export async function play(
  world: MatrixWorld,
  where: readonly [kind: string, step: string],
  story: Story,
  fault: Fault,
): Promise<Outcome> {
  let id = '';
  for (const act of story.before) {
    id = await act(world, id);
    const left = await settled(world);
    if (left.length > 0) throw new Error(`${where.join('.')}: ${left.join()} before the fault`);
  }
  await world.hold(...where);
  let isOver = false;
  const acted = story.act(world, id).finally(() => (isOver = true));
  acted.catch(() => undefined);
  const struck = await strikeAt(world, where, fault, () => isOver);
  const problems: string[] = [];
  try {
    id = await acted;
  } catch (error) {
    problems.push(String(error));
  }
  problems.push(...(await settled(world)));
  const seconds = (Date.now() - (struck ?? Date.now())) / 1000;
  const { status, body } = await world.client.call('GET', `/compute/v2.1/servers/${id}`);
  const end = status === 404 ? undefined : (body.server.status as string);
  if (end === 'ERROR' && !body.server.fault?.message) problems.push('in ERROR without a reason');
  if (end === undefined && story.end !== undefined) problems.push('gone');
  if (end !== undefined) {
    problems.push(...(await untilClean(() => audit(world))));
    await remove(world, id);
    problems.push(...(await settled(world)));
  }
  const { body: listed } = await world.client.must('GET', '/image/v2/images?name=copy');
  for (const image of listed.images as { id: string }[])
    await world.client.call('DELETE', `/image/v2/images/${image.id}`);
  problems.push(...(await untilClean(async () => [...(await audit(world)), ...world.orphans()])));
  return { struck: struck !== undefined, seconds, end, problems: [...new Set(problems)] };
}
