// One strike of the crash matrix: servers are brought to steps and held there, a fault strikes all, and what became of them is judged.
import { setTimeout as pause } from 'node:timers/promises';
import { hostNames } from './cloud';
import type { Held } from './director';
import type { Cell, Strike } from './plan';
import { remove } from './stories';
import type { MatrixWorld } from './world';

/** A step that has not been reached after this time will not be. */
const REACH_MS = 60_000;
/** Everything must have come to an end this long after a fault. */
const DEADLINE_MS = 180_000;
/** Heartbeats that are missed until a host counts as lost. */
const LOST_MS = 12_000;

export interface Outcome {
  readonly cell: Cell;
  /** Whether the fault struck while the task was held at the step. */
  readonly struck: boolean;
  /** From the fault to the end of the server's tasks. */
  readonly seconds: number;
  /** The server's status at the end; undefined when it is gone. */
  readonly end: string | undefined;
  /** What must not be, in words: something stuck, an orphan, a server without a reason. */
  readonly problems: readonly string[];
}

/** A cell while it is played. */
interface Play {
  readonly cell: Cell;
  readonly held: Held;
  /** Resolves when the request that began the task is answered. */
  readonly acted: Promise<void>;
  isAnswered: boolean;
  server: string;
  names: readonly string[];
  seconds: number;
  end: string | undefined;
  readonly problems: string[];
}

async function settled({ tasks }: MatrixWorld, server?: string): Promise<string[]> {
  let left: string[] = [];
  for (const end = Date.now() + DEADLINE_MS; Date.now() < end; await pause(200)) {
    left = await tasks(server);
    if (left.length === 0) return [];
  }
  return left.map((task) => `stuck: ${task}`);
}

/** Whether a server is said to be busy while no task works on it, in words. */
async function unattended({ client, tasks }: MatrixWorld, server: string): Promise<string[]> {
  const { status, body } = await client.call('GET', `/compute/v2.1/servers/${server}`);
  if (status === 404) return [];
  const { 'OS-EXT-STS:vm_state': state, 'OS-EXT-STS:task_state': busy } = body.server as Record<string, string | null>;
  if ((state !== 'building' && busy === null) || (await tasks(server)).length > 0) return [];
  const again = await client.call('GET', `/compute/v2.1/servers/${server}`);
  return again.body.server?.updated === body.server.updated ? [`${state} and ${busy} without a task`] : [];
}

/** Asks until nothing is found, because agents follow the database after a moment. */
async function untilClean({ patienceMs }: MatrixWorld, look: () => Promise<string[]>): Promise<string[]> {
  for (const end = Date.now() + patienceMs; ; await pause(500)) {
    const found = await look();
    if (found.length === 0 || Date.now() > end) return found;
  }
}

/** What comes before: returns the server, if there is one by then. */
async function prepare(world: MatrixWorld, { kind, step, story }: Cell): Promise<string> {
  let server = '';
  for (const act of story.before) {
    server = await act(world, server);
    const left = await settled(world, server);
    left.push(...(await unattended(world, server)));
    if (left.length > 0) throw new Error(`${kind}.${step}: ${left.join()} before the fault`);
  }
  return server;
}

/** Begins the task, which will be held. */
async function begin(world: MatrixWorld, cell: Cell, server: string): Promise<Play> {
  const { kind, step, moment, fault, story } = cell;
  const names = server === '' ? [] : await world.namesOf(server);
  const role = fault.role ? { role: fault.role } : {};
  const held = world.director.hold({ kind, step, moment, ...role, refusals: story.refusals });
  if (server !== '') held.server = server;
  const problems: string[] = [];
  const acted = story.act(world, server).then(
    (id) => void (held.server = play.server = id),
    (error: unknown) => {
      // Nobody has to wait for its name.
      held.server ??= '';
      problems.push(String(error));
    },
  );
  const play: Play = { cell, held, acted, isAnswered: false, server, names, seconds: 0, end: undefined, problems };
  void acted.then(() => (play.isAnswered = true));
  return play;
}

/** Resolves when every task is held that gets there. */
async function allHeld({ tasks }: MatrixWorld, plays: readonly Play[]): Promise<void> {
  const over = new Set<Play>();
  for (const end = Date.now() + REACH_MS; Date.now() < end; await pause(100)) {
    for (const play of plays)
      if (!play.held.isHeld && play.isAnswered && (await tasks(play.server)).length === 0) over.add(play);
    if (plays.every((play) => play.held.isHeld || over.has(play))) return;
  }
}

async function judge(world: MatrixWorld, play: Play, struckAt: number): Promise<void> {
  await play.acted;
  // Its request failed, and that is said.
  if (play.server === '') return;
  play.problems.push(...(await settled(world, play.server)));
  play.seconds = (Date.now() - struckAt) / 1000;
  play.names = [...new Set([...play.names, ...(await world.namesOf(play.server))])];
  const { status, body } = await world.client.call('GET', `/compute/v2.1/servers/${play.server}`);
  play.end = status === 404 ? undefined : (body.server.status as string);
  if (play.end === 'ERROR' && !body.server.fault?.message) play.problems.push('in ERROR without a reason');
  if (play.end === undefined && play.cell.story.end !== undefined) play.problems.push('gone');
  play.problems.push(...(await unattended(world, play.server)));
  const { body: made } = await world.client.must('GET', `/image/v2/images?instance_uuid=${play.server}`);
  for (const { id, status: of } of made.images as { id: string; status: string }[])
    if (of !== 'active') play.problems.push(`image ${id} is ${of}`);
}

async function cleanUp(world: MatrixWorld, plays: readonly Play[]): Promise<string[]> {
  await Promise.all(
    plays.map(async (play) => {
      if (play.end === undefined) return;
      await remove(world, play.server);
      play.problems.push(...(await settled(world, play.server)));
    }),
  );
  const { body } = await world.client.must('GET', '/image/v2/images?name=copy');
  for (const image of body.images as { id: string }[])
    await world.client.call('DELETE', `/image/v2/images/${image.id}`);
  return untilClean(world, async () => [...(await world.audit()), ...world.orphans()]);
}

/** What names a server belongs to its cell; returns what names none. */
function attribute(plays: readonly Play[], problems: readonly string[]): string[] {
  return problems.filter((problem) => {
    const named = plays.filter(({ names }) => names.some((name) => problem.includes(name)));
    for (const { problems: own } of named) own.push(problem);
    return named.length === 0;
  });
}

/** Plays all cells of a strike at once. `common`: what is wrong and names none of their servers. */
export async function play(
  world: MatrixWorld,
  strike: Strike,
  chance: () => number,
): Promise<{ outcomes: Outcome[]; common: string[] }> {
  const [{ fault, story }] = strike;
  const { director, cloud } = world;
  const servers = await Promise.all(strike.map((cell) => prepare(world, cell)));
  if (story.loses) {
    await cloud.hosts['host-1'].powerOff();
    await pause(LOST_MS);
  }
  const plays = await Promise.all(strike.map((cell, at) => begin(world, cell, servers[at] ?? '')));
  await allHeld(world, plays);
  const struck = plays.map(({ held }) => held).filter(({ isHeld }) => isHeld);
  const struckAt = Date.now();
  if (struck.length > 0) await fault.strike(world, struck, chance);
  for (const { held } of plays) held.free();
  await Promise.all(plays.map((one) => judge(world, one, struckAt)));
  director.clear();
  for (const name of hostNames) if (!cloud.hosts[name].isOn) await cloud.hosts[name].powerOn();
  const found = await untilClean(world, () => world.audit());
  const left = await cleanUp(world, plays);
  const common = attribute(plays, [...new Set([...found, ...left])]);
  return {
    outcomes: plays.map(({ cell, held, seconds, end, problems }) => ({
      cell,
      struck: struck.includes(held),
      seconds,
      end,
      problems: [...new Set(problems)],
    })),
    common,
  };
}
