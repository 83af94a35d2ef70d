// Which host has a router: chosen when the router gets its first interface or gateway, and again when that host fails.
import { AGENT_TIMEOUT_MS } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, IsNull, MoreThanOrEqual, type ReadSession, type WriteSession } from '../../db';
import { agentSettings, networks, routerInterfaces, routers, type Router } from '../../db/entities/network';
import { agents, hosts, type Agent } from '../../db/entities/tasks';
import { changedNetwork, changedRouter, recordChanges } from './changes';

/** A host that can have routers now. */
interface Candidate {
  readonly host: string;
  /** A host that is disabled gets a router only when there is no other, and gives its routers away. */
  readonly enabled: boolean;
  /** Physical networks that it maps to a bridge; undefined when its agent did not say. */
  readonly physical: ReadonlySet<string> | undefined;
}

function physicalOf({ inventory }: Pick<Agent, 'inventory'>): ReadonlySet<string> | undefined {
  const names = inventory['physical_networks'];
  return Array.isArray(names) ? new Set(names.map(String)) : undefined;
}

/** Network agents that were heard lately. */
const heardLately = (cloud: Cloud) => ({
  role: 'network',
  heard_at: MoreThanOrEqual(cloud.clock.now() - AGENT_TIMEOUT_MS),
});

/** Hosts whose network agent is alive and not set down. */
async function candidates(session: ReadSession, cloud: Cloud): Promise<Candidate[]> {
  const alive = await session.pick(agents, ['id', 'host', 'inventory'], { where: heardLately(cloud) });
  const down = await session.find(agentSettings, { where: { admin_state_up: false } });
  const disabled = await session.pick(hosts, ['name'], { where: { enabled: false } });
  const [downIds, disabledNames] = [new Set(down.map((one) => one.agent_id)), new Set(disabled.map((one) => one.name))];
  return alive
    .filter(({ id }) => !downIds.has(id))
    .map((agent) => ({ host: agent.host, enabled: !disabledNames.has(agent.host), physical: physicalOf(agent) }));
}

/** The networks that each router is on. */
async function networksOfRouters(session: ReadSession, rows: readonly Router[]): Promise<Map<string, string[]>> {
  const joined = await session.find(routerInterfaces, { where: { router_id: In(rows.map((router) => router.id)) } });
  return new Map(
    rows.map((router) => [
      router.id,
      [
        ...joined.filter((one) => one.router_id === router.id).map((one) => one.network_id),
        ...(router.gateway_network_id === null ? [] : [router.gateway_network_id]),
      ],
    ]),
  );
}

async function physicalNames(session: ReadSession, networkIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await session.find(networks, { where: { id: In([...new Set(networkIds)]) } });
  return new Map(
    rows.flatMap(({ id, physical_network: name }) => (name === null ? [] : ([[id, name]] as [string, string][]))),
  );
}

const reaches = ({ physical }: Candidate, names: readonly string[]): boolean =>
  physical === undefined || names.every((name) => physical.has(name));

/** The best of the hosts: enabled before disabled, then the one with the fewest routers. */
function best(choice: readonly Candidate[], loads: ReadonlyMap<string, number>): string | undefined {
  const load = (host: string): number => loads.get(host) ?? 0;
  const sorted = [...choice].sort(
    (a, b) => Number(b.enabled) - Number(a.enabled) || load(a.host) - load(b.host) || (a.host < b.host ? -1 : 1),
  );
  return sorted[0]?.host;
}

/** How many routers each host has. */
async function readLoads(session: ReadSession): Promise<Map<string, number>> {
  const loads = new Map<string, number>();
  for (const { host } of await session.pick(routers, ['host']))
    if (host !== null) loads.set(host, (loads.get(host) ?? 0) + 1);
  return loads;
}

/** Gives a router a host if it has none. */
export async function placeRouter(session: WriteSession, cloud: Cloud, router: Router): Promise<Router> {
  if (router.host !== null) return router;
  const own = (await networksOfRouters(session, [router])).get(router.id) ?? [];
  const names = [...(await physicalNames(session, own)).values()];
  const choice = (await candidates(session, cloud)).filter((one) => reaches(one, names));
  const host = best(choice, await readLoads(session));
  if (host === undefined) return router;
  const set = { host, generation: router.generation + 1 };
  const placed = await session.update(routers, { id: router.id, host: IsNull() as never }, set);
  return placed === 1 ? { ...router, ...set } : router;
}

/** Takes the host from a router that has neither an interface nor a gateway left. */
export async function unplaceRouter(session: WriteSession, router: Router): Promise<void> {
  if (router.host === null || router.gateway_port_id !== null) return;
  if ((await session.count(routerInterfaces, { router_id: router.id })) > 0) return;
  await session.update(routers, { id: router.id }, { host: null, generation: router.generation + 1 });
}

interface Move {
  readonly router: Router;
  readonly host: string;
  readonly networkIds: readonly string[];
}

/**
 * Which of these routers should be elsewhere, and where: those without a host, and those whose host is down, disabled or lacks a
 * physical network of theirs, as far as another host can take them. A router that nobody can take stays: it may still work.
 */
async function plannedMoves(
  session: ReadSession,
  rows: readonly Router[],
  choice: readonly Candidate[],
): Promise<Move[]> {
  if (choice.length === 0 || rows.length === 0) return [];
  const own = await networksOfRouters(session, rows);
  const physical = await physicalNames(session, [...own.values()].flat());
  const loads = await readLoads(session);
  return rows.flatMap((router): Move[] => {
    const networkIds = own.get(router.id) ?? [];
    if (networkIds.length === 0) return [];
    const names = networkIds.flatMap((id) => physical.get(id) ?? []);
    const good = choice.filter((one) => reaches(one, names) && (one.enabled || router.host === null));
    const host = good.some((one) => one.host === router.host) ? undefined : best(good, loads);
    if (host === undefined) return [];
    loads.set(host, (loads.get(host) ?? 0) + 1);
    return [{ router, host, networkIds }];
  });
}

/** Of these hosts' routers those that another host would get if theirs were down, by host. */
export async function movableRouters(
  session: ReadSession,
  cloud: Cloud,
  hostNames: readonly string[],
): Promise<Map<string, string[]>> {
  const movable = new Map<string, string[]>();
  const rows = await session.find(routers, { where: { host: In([...hostNames]) }, order: { id: 'ASC' } });
  if (rows.length === 0) return movable;
  const choice = (await candidates(session, cloud)).filter(({ enabled }) => enabled);
  const own = await networksOfRouters(session, rows);
  const physical = await physicalNames(session, [...own.values()].flat());
  for (const { id, host } of rows) {
    const names = (own.get(id) ?? []).flatMap((network) => physical.get(network) ?? []);
    if (host === null || !choice.some((one) => one.host !== host && reaches(one, names))) continue;
    movable.set(host, [...(movable.get(host) ?? []), id]);
  }
  return movable;
}

/** Moves what must be moved; of several controllers that see the same, one does it. @returns whether any host is alive */
async function place(cloud: Cloud, onlyWaiting: boolean): Promise<boolean> {
  const where = onlyWaiting ? { host: IsNull() as never } : {};
  const plan = async (session: ReadSession): Promise<{ moves: Move[]; alive: boolean }> => {
    const rows = await session.find(routers, { where, order: { id: 'ASC' } });
    // Looked at every second: without routers it is enough to know whether anybody lives.
    if (rows.length === 0)
      return {
        moves: [],
        alive: (await session.pick(agents, ['id'], { where: heardLately(cloud), limit: 1 })).length > 0,
      };
    const choice = await candidates(session, cloud);
    return { moves: await plannedMoves(session, rows, choice), alive: choice.length > 0 };
  };
  const seen = await cloud.db.read(plan);
  if (seen.moves.length === 0) return seen.alive;
  await cloud.db.write(async (session) => {
    for (const { router, host, networkIds } of (await plan(session)).moves) {
      const asPlanned = { id: router.id, generation: router.generation };
      const moved = await session.update(routers, asPlanned, { host, generation: router.generation + 1 });
      if (moved !== 1) continue;
      // Hosts that have the networks send to the new place from now on.
      await recordChanges(session, cloud, [changedRouter(router.id), ...networkIds.map(changedNetwork)]);
      cloud.log.info({ router: router.id, from: router.host, to: host }, 'router placed on another host');
    }
  });
  return seen.alive;
}

/** Places the routers that found no living host. Reads only, when there are none. */
export const placeWaitingRouters = (cloud: Cloud): Promise<boolean> => place(cloud, true);

/** The same, and moves routers away from hosts that are down or disabled. @returns whether any host is alive */
export const moveRouters = (cloud: Cloud): Promise<boolean> => place(cloud, false);
