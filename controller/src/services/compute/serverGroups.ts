// Server groups: servers that shall run together or apart.
import { isUuid, newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { addToCounter, In, IsNull, list, type ReadSession, type WriteSession } from '../../db';
import { servers } from '../../db/entities/compute';
import { serverGroups, type GroupPolicy, type ServerGroup } from '../../db/entities/placement';
import { ForbiddenError, InvalidError, NotFoundError, OverQuotaError } from '../../errors';
import type { Caller } from '../caller';
import { projectQuota } from './quotas';

const noGroup = (id: string): NotFoundError =>
  new NotFoundError(`Instance group ${id} could not be found.`, 'InstanceGroupNotFound');

/** A group that the caller may see: one of the own project, or any for administrators. @throws NotFoundError */
export async function findServerGroup(session: ReadSession, caller: Caller, id: string): Promise<ServerGroup> {
  const group = isUuid(id) ? await session.findOne(serverGroups, { id }) : undefined;
  if (!group || (group.project_id !== caller.projectId && !caller.isAdmin)) throw noGroup(id);
  return group;
}

/** Groups of a project, or of all when `projectId` is null, oldest first. */
export async function listServerGroups(
  session: ReadSession,
  projectId: string | null,
  page: { readonly limit: number; readonly offset: number },
): Promise<ServerGroup[]> {
  const rows = await list(session, serverGroups, {
    conditions: projectId === null ? [] : [{ column: 'project_id', op: '=', value: projectId }],
    sort: [{ column: 'created_at', direction: 'asc' }],
    limit: page.limit + page.offset,
  });
  return rows.slice(page.offset);
}

/** Ids of existing members by group, in one query. */
export async function membersOf(session: ReadSession, groupIds: readonly string[]): Promise<Map<string, string[]>> {
  const members = new Map<string, string[]>(groupIds.map((id) => [id, []]));
  if (groupIds.length === 0) return members;
  const rows = await session.find(servers, {
    where: { server_group_id: In([...groupIds]), deleted_at: IsNull() },
    order: { created_at: 'ASC' },
  });
  for (const row of rows) members.get(row.server_group_id ?? '')?.push(row.id);
  return members;
}

export interface GroupRequest {
  readonly name: string;
  readonly policy: GroupPolicy;
  readonly maxServerPerHost: number | null;
}

/** @throws ForbiddenError without a project; OverQuotaError */
export async function createServerGroup(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  request: GroupRequest,
): Promise<ServerGroup> {
  const { projectId } = caller;
  if (projectId === null)
    throw new ForbiddenError('A server group needs a project: use a token that is scoped to one.');
  const { server_groups: limit } = await projectQuota(session, projectId);
  if (limit >= 0 && (await session.count(serverGroups, { project_id: projectId })) >= limit)
    throw new OverQuotaError('Quota exceeded, too many server groups.');
  const row: ServerGroup = {
    id: newId(),
    project_id: projectId,
    user_id: caller.userId,
    name: request.name,
    policy: request.policy,
    max_server_per_host: request.maxServerPerHost,
    generation: 0,
    created_at: cloud.clock.now(),
  };
  await session.insert(serverGroups, row);
  return row;
}

/** Removes a group; its servers stay, without it. @throws NotFoundError */
export async function deleteServerGroup(session: WriteSession, caller: Caller, id: string): Promise<void> {
  await findServerGroup(session, caller, id);
  await session.update(servers, { server_group_id: id }, { server_group_id: null });
  await session.delete(serverGroups, { id });
}

/** The group that a hint names, with room for so many more servers. @throws InvalidError, OverQuotaError */
export async function groupForServers(
  session: WriteSession,
  caller: Caller,
  id: string,
  count: number,
): Promise<ServerGroup> {
  const group = await findServerGroup(session, caller, id).catch((error: unknown) => {
    if (error instanceof NotFoundError) throw new InvalidError(error.message, 'InstanceGroupNotFound');
    throw error;
  });
  const { server_group_members: limit } = await projectQuota(session, group.project_id);
  const members = await session.count(servers, {
    server_group_id: id,
    user_id: caller.userId,
    deleted_at: IsNull(),
  });
  if (limit >= 0 && members + count > limit) throw new OverQuotaError('Quota exceeded, too many servers in group');
  return group;
}

/** How many members of a group each host has, the server in question not counted. */
export async function groupSpread(session: ReadSession, groupId: string, except: string): Promise<Map<string, number>> {
  const spread = new Map<string, number>();
  const rows = await session.find(servers, { where: { server_group_id: groupId, deleted_at: IsNull() } });
  for (const { id, host } of rows) {
    if (host !== null && id !== except) spread.set(host, (spread.get(host) ?? 0) + 1);
  }
  return spread;
}

/** Makes placements of one group come one after the other: holds its row until the transaction ends. */
export async function holdGroup(session: WriteSession, groupId: string): Promise<void> {
  await addToCounter(session, serverGroups, { id: groupId }, 'generation', 1);
}
