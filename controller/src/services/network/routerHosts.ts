// Which host has a router: chosen when the router gets its first interface or gateway, among the hosts whose network agent is alive.
import type { Cloud } from '../../cloud';
import { In, IsNull, type ReadSession, type WriteSession } from '../../db';
import { agentSettings, routerInterfaces, routers, type Router } from '../../db/entities/network';
import { agents } from '../../db/entities/tasks';
import { AGENT_TIMEOUT_MS } from '../hosts';
import { changedRouter, recordChanges } from './changes';

/** The living network host with the fewest routers; null when there is none. */
async function chooseHost(session: WriteSession, cloud: Cloud): Promise<string | null> {
  const rows = await session.find(agents, { where: { role: 'network' } });
  const down = await session.find(agentSettings, { where: { admin_state_up: false } });
  const alive = rows.filter(
    (row) =>
      row.heard_at >= cloud.clock.now() - AGENT_TIMEOUT_MS && !down.some((setting) => setting.agent_id === row.id),
  );
  const loads = await Promise.all(
    alive.map(async ({ host }) => ({ host, count: await session.count(routers, { host }) })),
  );
  loads.sort((a, b) => a.count - b.count || (a.host < b.host ? -1 : 1));
  return loads[0]?.host ?? null;
}

/** Gives a router a host if it has none. */
export async function placeRouter(session: WriteSession, cloud: Cloud, router: Router): Promise<Router> {
  if (router.host !== null) return router;
  const host = await chooseHost(session, cloud);
  if (host === null) return router;
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

/** Routers that have something to do and no host for it. */
async function waitingRouters(session: ReadSession): Promise<Router[]> {
  const rows = await session.find(routers, { where: { host: IsNull() as never } });
  const joined = await session.find(routerInterfaces, { where: { router_id: In(rows.map((router) => router.id)) } });
  const busy = new Set(joined.map((one) => one.router_id));
  return rows.filter((router) => router.gateway_port_id !== null || busy.has(router.id));
}

/** Places the routers that waited for a network host. Reads only, when none did. */
export async function placeWaitingRouters(cloud: Cloud): Promise<void> {
  if ((await cloud.db.read(waitingRouters)).length === 0) return;
  await cloud.db.write(async (session) => {
    for (const router of await waitingRouters(session)) {
      await placeRouter(session, cloud, router);
      await recordChanges(session, cloud, [changedRouter(router.id)]);
    }
  });
}
