// Heartbeats, gathered: a thousand hosts send 1,500 a second, and each by itself would be a transaction.
import { CumuletError, type AgentApi } from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, LessThan } from '../db';
import { agents, residues } from '../db/entities/tasks';
import { movableRouters } from '../services/network/routerHosts';
import { markHeard, type Heartbeat } from '../db/repositories/liveness';

/** How long a heartbeat waits for others. Agents are silent only after a hundred times this. */
const GATHER_MS = 100;
/** How long a host may keep what it could not remove before it is told to register, and so to clean up, again. */
const RESIDUE_PATIENCE_MS = 30_000;

const keyOf = ({ host, role, session }: Heartbeat): string => JSON.stringify([host, role, session]);

interface Gathered {
  /** Why agents must register again, by heartbeat; most need not. */
  readonly refused: ReadonlyMap<string, string>;
  /** Routers that other hosts would get, by host. */
  readonly movable: ReadonlyMap<string, readonly string[]>;
}

async function take(cloud: Cloud, beats: readonly Heartbeat[]): Promise<Gathered> {
  const now = cloud.clock.now();
  const heard = await cloud.db.write((session) => markHeard(session, beats, now));
  return cloud.db.read(async (session) => {
    const refused = new Map<string, string>();
    const host = In([...new Set(beats.map((beat) => beat.host))]);
    // An agent that lives but could not remove something (its hypervisor was down) tries anew as it registers.
    const old = await session.find(residues, { where: { host, created_at: LessThan(now - RESIDUE_PATIENCE_MS) } });
    const left = new Set(old.map((residue) => JSON.stringify([residue.host, residue.resource_type])));
    for (const beat of beats)
      if (left.has(JSON.stringify([beat.host, beat.role])))
        refused.set(keyOf(beat), 'something that was deleted is still on its host');
    const networking = beats.filter(({ role }) => role === 'network').map((beat) => beat.host);
    const movable = await movableRouters(session, cloud, networking);
    if (heard === beats.length) return { refused, movable };
    const current = new Set((await session.find(agents, { where: { host } })).map(keyOf));
    for (const beat of beats)
      if (!current.has(keyOf(beat))) refused.set(keyOf(beat), `session ${beat.session} is over`);
    return { refused, movable };
  });
}

/** Resolves when the heartbeat is written down. Rejects with stale_session when the agent must register again. */
export function createHeartbeats(cloud: Cloud): AgentApi['heartbeat'] {
  let waiting: Heartbeat[] = [];
  let gathering: Promise<Gathered> | undefined;

  const gather = async (): Promise<Gathered> => {
    await cloud.clock.sleep(GATHER_MS);
    const beats = waiting;
    waiting = [];
    gathering = undefined;
    return take(cloud, beats);
  };

  return async (host, role, session) => {
    const beat = { host, role, session };
    waiting.push(beat);
    const { refused, movable } = await (gathering ??= gather());
    const why = refused.get(keyOf(beat));
    if (why !== undefined)
      throw new CumuletError('stale_session', `the ${role} agent of ${host} must register again: ${why}`);
    return role === 'network' ? { movable_routers: movable.get(host) ?? [] } : undefined;
  };
}
