// What agents ask of the controller. Standalone calls it directly; the mTLS listener will route to the same functions.
import {
  CumuletError,
  messageOf,
  newId,
  type AgentApi,
  type DiskBytes,
  type Registered,
  type Registration,
} from '@cumulet/common';
import type { Cloud } from '../cloud';
import { In, IsNull, Not, type ReadSession, type WriteSession } from '../db';
import { servers, type Server, type ServerMigration } from '../db/entities/compute';
import { agents, hosts, residues, type Host, type InventorySettings } from '../db/entities/tasks';
import { NotFoundError } from '../errors';
import { answerMetadata } from '../services/compute/metadata';
import { migrationsOfHost, openMigration } from '../services/compute/migrations';
import { sharingHosts } from '../services/compute/sharedDisks';
import { openImageBytes, type ImageBytes } from '../services/image/store';
import { recordChanges } from '../services/network/changes';
import { changesOfHosts, type FeedQuestion } from '../services/network/networkChanges';
import { capacityOf, totalsOf } from '../services/placement/inventory';
import { placeWaitingRouters } from '../services/network/routerHosts';
import { reportPorts } from '../services/network/portReports';
import { changedNetworksOfHost, underlayOf } from '../services/network/tunnels';
import { createRounds } from '../rounds';
import { rouseTasks } from '../services/tasks';
import { createHeartbeats } from './heartbeats';
import { startAgain, wasRestarted } from './hostRestart';
import { reportServers } from './serverReports';
import { storeSnapshot } from './snapshots';

/** What the host can give out of what its agents found. Each role knows its own part. */
function capacity(cloud: Cloud, { role, inventory }: Registration, settings: InventorySettings): Partial<Host> {
  const { ratios } = cloud.config;
  const totals = totalsOf(inventory, inventory);
  if (role === 'storage') return { cap_disk_gib: capacityOf(totals.DISK_GB, settings.DISK_GB, ratios.disk) };
  if (role === 'network') return {};
  return {
    cap_vcpus: capacityOf(totals.VCPU, settings.VCPU, ratios.vcpus),
    cap_memory_mib: capacityOf(totals.MEMORY_MB, settings.MEMORY_MB, ratios.memory),
    inventory: { ...inventory },
  };
}

async function upsertHost(session: WriteSession, cloud: Cloud, registration: Registration): Promise<void> {
  const now = cloud.clock.now();
  const { host } = registration;
  // Held: its settings must not change before its capacity is written.
  const known = await session.findOne(hosts, { name: host }, 'exclusive');
  const facts = capacity(cloud, registration, known?.inventory_settings ?? {});
  if (known) {
    const isNews = (key: keyof Host): boolean => JSON.stringify(facts[key]) !== JSON.stringify(known[key]);
    // Who decided by what the host was before must look again.
    const generation = known.generation + ((Object.keys(facts) as (keyof Host)[]).some(isNews) ? 1 : 0);
    await session.update(hosts, { name: host }, { ...facts, generation, updated_at: now });
    return;
  }
  const empty: Pick<Host, 'cap_vcpus' | 'cap_memory_mib' | 'cap_disk_gib' | 'inventory'> = {
    cap_vcpus: 0,
    cap_memory_mib: 0,
    cap_disk_gib: 0,
    inventory: {},
  };
  const unused = { used_vcpus: 0, used_memory_mib: 0, used_disk_gib: 0, generation: 0, failed_builds: 0 };
  const settings = {
    enabled: true,
    disabled_reason: null,
    availability_zone: 'nova',
    traits: [],
    inventory_settings: {},
  };
  await session.insert(hosts, {
    id: newId(),
    name: host,
    ...settings,
    ...unused,
    ...empty,
    ...facts,
    created_at: now,
    updated_at: now,
  });
}

/** Registers an agent: a new session, and everything of its role that should be on its host. */
async function register(cloud: Cloud, registration: Registration): Promise<Registered> {
  const { host, role, inventory, listener } = registration;
  const now = cloud.clock.now();
  // Without the broker the agent has nothing to read anyway, and the first command declares what is missing.
  await cloud.bus.declareHost(host).catch((error: unknown) => {
    cloud.log.warn({ host, role, error: messageOf(error) }, 'the queues of a host that registers were not declared');
  });
  return cloud.db.write(async (session) => {
    await upsertHost(session, cloud, registration);
    const agent = await session.findOne(agents, { host, role }, 'exclusive');
    const number = (agent?.session ?? 0) + 1;
    const seen = { session: number, started_at: now, heard_at: now, inventory, listener: listener ?? null };
    if (agent) await session.update(agents, { host, role }, seen);
    else await session.insert(agents, { id: newId(), host, role, ...seen });
    if (role === 'network' && underlayOf(agent) !== underlayOf({ inventory }))
      await recordChanges(session, cloud, await changedNetworksOfHost(session, host));
    if (role === 'compute' && agent && wasRestarted(agent.inventory, inventory)) await startAgain(session, cloud, host);
    const here = await session.find(servers, { where: { host, deleted_at: IsNull() } });
    // What the agent's earlier session was asked is lost with it: steps that wait for an answer ask this one.
    const ids = here.map(({ id }) => id);
    await rouseTasks(session, cloud, 'server', ids);
    // What is not expected any more is removed by the agent before it takes commands: its residue is settled with that.
    await session.delete(residues, { host, resource_type: role });
    const expected = role === 'network' ? [] : here;
    // The disks of both sides of a resize stay; a domain has only the one that the server's row names.
    if (role === 'storage')
      expected.push(...(await resizedThere(session, host)), ...(await sharedThere(session, host)));
    // One that comes while it runs may be there already, whatever its row says.
    if (role === 'compute') expected.push(...(await resizedThere(session, host, 'live-migration')));
    return { session: number, expected: expected.map(({ id, generation }) => ({ id, generation })) };
  });
}

/** Servers of other hosts that come from here, or shall come here. */
async function resizedThere(session: ReadSession, host: string, type?: ServerMigration['type']): Promise<Server[]> {
  const moves = (await migrationsOfHost(session, host)).filter((one) => type === undefined || one.type === type);
  const ids = moves.map(({ server_id }) => server_id);
  if (ids.length === 0) return [];
  const moving = await session.find(servers, { where: { id: In(ids), deleted_at: IsNull() } });
  return moving.filter((server) => server.host !== host);
}

/** Servers whose disks an agent sees because its host shares a directory with theirs, or with that of a host that may get them. */
async function sharedThere(session: ReadSession, host: string): Promise<Server[]> {
  const others = await sharingHosts(session, host);
  if (others.length === 0) return [];
  const moving = await Promise.all(others.map((other) => resizedThere(session, other)));
  const placed = { host: In(others), deleted_at: IsNull() };
  return [
    ...(await session.find(servers, {
      where: [placed, { host: IsNull(), task_state: Not(IsNull()), deleted_at: IsNull() }],
    })),
    ...moving.flat(),
  ];
}

/** An image that was deleted is still on the host that a server leaves, under the server's disk. */
async function openImageOfHost(
  cloud: Cloud,
  host: string,
  digest: string,
  start: number,
): Promise<Pick<ImageBytes, 'size' | 'stream'> | undefined> {
  const sources = await cloud.db.read(async (session) => {
    const coming = (await migrationsOfHost(session, host)).filter(({ source_host }) => source_host !== host);
    const ids = coming.map(({ server_id }) => server_id);
    const rows = ids.length === 0 ? [] : await session.find(servers, { where: { id: In(ids), deleted_at: IsNull() } });
    const standing = new Set(rows.filter(({ image }) => image?.digest === digest).map(({ id }) => id));
    return coming.filter(({ server_id }) => standing.has(server_id)).map(({ source_host }) => source_host);
  });
  return sources[0] === undefined ? undefined : cloud.host(sources[0])?.openImage(digest, start);
}

/** The bytes of an image from a byte on. A host gets those that its servers stand on, and can't try others. */
async function openImage(
  cloud: Cloud,
  host: string,
  digest: string,
  start: number,
): Promise<Pick<ImageBytes, 'size' | 'stream'>> {
  const here = await cloud.db.read(async (session) => [
    ...(await session.find(servers, { where: { host, deleted_at: IsNull() } })),
    ...(await resizedThere(session, host)),
  ]);
  const none = new CumuletError('image_not_found', `no server of ${host} needs an image with this content`, { digest });
  if (!here.some(({ image }) => image?.digest === digest)) throw none;
  try {
    return await openImageBytes(cloud, digest, start);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    const bytes = await openImageOfHost(cloud, host, digest, start);
    if (bytes) return bytes;
    throw none;
  }
}

/** The disk of a server that is on its way to the host, from the host that it leaves. */
async function openDisk(cloud: Cloud, host: string, serverId: string): Promise<DiskBytes> {
  const migration = await cloud.db.read((session) => openMigration(session, serverId));
  if (migration?.dest_host !== host || migration.source_host === host)
    throw new CumuletError('disk_not_found', `no such server is on its way to ${host}`, { server: serverId });
  const source = cloud.host(migration.source_host);
  if (!source) throw new CumuletError('unreachable', 'the host that the server leaves can not be reached');
  return source.openDisk(serverId, migration.old_revision);
}

export function createAgentApi(cloud: Cloud): AgentApi {
  const answerHosts = createRounds((questions: readonly FeedQuestion[]) => changesOfHosts(cloud, questions));
  return {
    register: (registration) => register(cloud, registration),
    heartbeat: createHeartbeats(cloud),
    async networkChanges(host, since) {
      // A full compare is also when routers that found no living host are looked at again.
      if (since <= 0) await placeWaitingRouters(cloud);
      return answerHosts({ host, since });
    },
    reportPorts: (host, ports) => reportPorts(cloud, host, ports),
    reportServers: (host, observed) => reportServers(cloud, host, observed),
    openImage: (host, digest, start = 0) => openImage(cloud, host, digest, start),
    openDisk: (host, serverId) => openDisk(cloud, host, serverId),
    storeImage: (host, imageId, bytes) => storeSnapshot(cloud, host, imageId, bytes),
    metadata: (request) => answerMetadata(cloud, request),
  };
}
