// Waiting for a server that boots: until it runs, until its ssh answers, until it takes the key.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Row } from './command';
import { CliError } from './errors';
import { NO_ANSWER, type Attempt } from './sshProbe';
import { waitWhile } from './wait';

/** How long after its start a server may still not know its key, unless a longer wait is asked for. */
const YOUNG_SECONDS = 180;
const PAUSE_MS = 1000;
/** sshd keeps out for a while who is refused more often than once in five seconds (PerSourcePenalties). */
const DENIED_PAUSE_MS = 5000;
/** An attempt that had less time than this and got no answer shows nothing. */
const ENOUGH_MS = 5000;
/** What makes a guest boot. */
const STARTS: ReadonlySet<unknown> = new Set([
  ...['create', 'start', 'reboot', 'rebuild', 'evacuate', 'unshelve', 'resize', 'migrate', 'revertResize'],
]);
/** On the way to a server that runs: statuses, and tasks of those that do not yet show it there. */
const COMING: ReadonlySet<unknown> = new Set([
  ...['BUILD', 'REBUILD', 'REBOOT', 'HARD_REBOOT', 'RESIZE', 'REVERT_RESIZE'],
  ...['powering-on', 'unpausing', 'resuming', 'unshelving', 'spawning'],
]);

/** Whether a server runs soon without more being asked for. */
export const isComing = (row: Row): boolean =>
  row['status'] !== 'ERROR' && (COMING.has(row['status']) || COMING.has(row['OS-EXT-STS:task_state']));

/** Times of the compute API have no zone and mean UTC. */
const time = (value: unknown): number =>
  typeof value === 'string' ? Date.parse(value.replace(/(Z|[+-]\d\d:\d\d)?$/, 'Z')) : 0;

/** Whether a server was started only shortly ago.
 * @param actions - its os-instance-actions
 * @param now - by the clock of the cloud, in milliseconds
 * @param seconds - the longest wait for its login */
export function isYoung(row: Row, actions: readonly Row[], now: number, seconds: number): boolean {
  const starts = actions.filter(({ action }) => STARTS.has(action)).map((action) => time(action['start_time']));
  return now - Math.max(time(row['OS-SRV-USG:launched_at']), ...starts) < Math.max(YOUNG_SECONDS, seconds) * 1000;
}

/** Waits until a server that is on its way has arrived.
 * @param end - when it is given up, in milliseconds of performance.now()
 * @throws CliError when it is still on its way then */
export async function untilThere(context: Context, id: string, end: number): Promise<Row> {
  const row = await waitWhile(context, id, isComing, end);
  if (!isComing(row)) return row;
  const [name, status] = [String(row['name']), String(row['status'])];
  throw new CliError(
    `server ${name} is still ${status}: "cumulet server why ${name}" tells more, and --wait lets it take longer`,
  );
}

/** What is waited for, in words and in deed. */
export interface Login {
  readonly name: string;
  readonly address: string;
  readonly user: string;
  /** The longest wait. */
  readonly seconds: number;
  /** When it is over, in milliseconds of performance.now(). */
  readonly end: number;
  /** Whether the server may still have to learn its key. */
  readonly young: () => boolean;
  readonly attempt: (milliseconds: number) => Promise<Attempt>;
  readonly progress: (text: string) => void;
}

/** Waits until there is nothing more to wait for: ssh gets in, or says best itself why not.
 * @throws CliError when nobody answers in time */
export async function untilLogin(login: Login): Promise<void> {
  const { name, address, user, seconds, end } = login;
  const left = (): number => end - performance.now();
  let seen: Exclude<Attempt, { kind: 'decided' }> | undefined;
  try {
    for (;;) {
      const given = left();
      const latest = await login.attempt(given);
      if (latest.kind === 'decided') return;
      // The one before it says more than one that the end of the wait has cut short.
      if (!seen || given >= ENOUGH_MS || latest.reason !== NO_ANSWER) seen = latest;
      const denied = seen.kind === 'denied';
      if (denied && !login.young()) return;
      const goal = denied ? `it lets ${user} in` : `ssh answers at ${address}`;
      login.progress(`${name}: waiting until ${goal} (${seen.reason})`);
      await sleep(Math.max(0, Math.min(denied ? DENIED_PAUSE_MS : PAUSE_MS, left())));
      if (left() > 0) continue;
      if (denied) return;
      throw new CliError(
        `server ${name} did not answer ssh at ${address} within ${seconds} s (${seen.reason}): "cumulet console log show ${name}" shows how far it has booted, and a security group must let TCP port 22 in`,
      );
    }
  } finally {
    login.progress('');
  }
}
