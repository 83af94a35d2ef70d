// What the scheduler is asked for a server: its row, its hints and its group, turned into hosts and limits.
import { In, IsNull, type ReadSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { serverGroups, type ServerGroup } from '../../db/entities/placement';
import type { Resources } from '../../db/entities/tasks';
import type { GroupSpread, PlacementRequest } from '../../scheduler/scheduler';
import { groupSpread } from './serverGroups';

/** A hint that names one server or several. */
const idsOf = (hint: unknown): string[] =>
  (Array.isArray(hint) ? hint : hint === undefined ? [] : [hint]).map((id) => String(id));

async function hostsOf(session: ReadSession, ids: readonly string[], projectId: string): Promise<string[]> {
  if (ids.length === 0) return [];
  const where = { id: In([...ids]), project_id: projectId, deleted_at: IsNull() };
  return (await session.pick(servers, ['host'], { where })).flatMap(({ host }) => host ?? []);
}

/** Where the other members of the server's group are. Null: it is in no group. */
export async function spreadOf(
  session: ReadSession,
  server: Pick<Server, 'id' | 'server_group_id'>,
): Promise<GroupSpread | null> {
  if (server.server_group_id === null) return null;
  const group: ServerGroup | undefined = await session.findOne(serverGroups, { id: server.server_group_id });
  if (!group) return null;
  return {
    policy: group.policy,
    maxPerHost: group.max_server_per_host ?? 1,
    members: await groupSpread(session, group.id, server.id),
  };
}

/** Hosts that have an image, because a server of that image is there. */
export async function readImageHosts(session: ReadSession, imageId: string): Promise<ReadonlySet<string>> {
  const where = { image_id: imageId, deleted_at: IsNull() };
  const rows = await session.pick(servers, ['host'], { where, limit: 200 });
  return new Set(rows.flatMap(({ host }) => host ?? []));
}

const GIB = 1024 ** 3;

/** What the server takes of a host. A flavor without a disk size takes as much as the image needs. */
export function needOf(server: Pick<Server, 'flavor' | 'image'>): Resources {
  const { vcpus, ram, disk } = server.flavor;
  const image = Math.ceil((server.image?.virtual_size ?? 0) / GIB);
  return { vcpus, memoryMib: ram, diskGib: disk === 0 ? image : disk };
}

/** What placement looks at of a server. */
export type Placeable = Pick<
  Server,
  | 'id'
  | 'project_id'
  | 'availability_zone'
  | 'requested_host'
  | 'scheduler_hints'
  | 'server_group_id'
  | 'flavor'
  | 'image'
  | 'image_id'
>;

/** The request for a server, in a fixed number of queries. @param imageHosts how the hosts of an image are found */
export async function placementRequest(
  session: ReadSession,
  server: Placeable,
  excludedHosts: readonly string[],
  leaving: string | null = null,
  imageHosts = (id: string) => readImageHosts(session, id),
): Promise<PlacementRequest> {
  const { scheduler_hints: hints } = server;
  const same = idsOf(hints['same_host']);
  return {
    need: needOf(server),
    zone: server.availability_zone,
    host: server.requested_host,
    excludedHosts,
    leaving,
    sameHosts: same.length === 0 ? null : await hostsOf(session, same, server.project_id),
    differentHosts: await hostsOf(session, idsOf(hints['different_host']), server.project_id),
    group: await spreadOf(session, server),
    extraSpecs: server.flavor.extra_specs,
    imageProperties: server.image?.properties ?? {},
    hostsWithImage: server.image_id === null ? new Set() : await imageHosts(server.image_id),
  };
}
