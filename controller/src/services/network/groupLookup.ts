// Finds security groups by id or name, as servers name them.
import { ConflictError } from '../../errors';
import { In, type WriteSession } from '../../db';
import type { Cloud } from '../../cloud';
import { securityGroups } from '../../db/entities/network';
import { ensureDefaultGroup } from './defaultGroup';
import type { Asking } from './context';
import { notFound } from './errors';
import { findVisible } from './resource';
import { securityGroupResource } from './resources';
import { openToProject } from './visibility';

/**
 * Ids of a project's groups (or ones shared with it). `default` is made when it does not exist.
 * @throws ApiError SecurityGroupNotFound (404), NoUniqueMatch (409) when a name fits several groups
 */
export async function resolveGroups(
  session: WriteSession,
  cloud: Cloud,
  projectId: string,
  references: readonly string[],
): Promise<string[]> {
  if (references.includes('default')) await ensureDefaultGroup(session, cloud, projectId);
  const wanted = [...new Set(references)];
  const shared = await openToProject(session, 'security_group', projectId, ['access_as_shared']);
  const rows = await session.find(securityGroups, {
    where: [
      { project_id: projectId, id: In(wanted) },
      { project_id: projectId, name: In(wanted) },
      { id: In(shared.filter((id) => wanted.includes(id))) },
    ],
    lock: 'shared',
  });
  const ids = wanted.map((reference) => {
    if (rows.some((row) => row.id === reference)) return reference;
    const named = rows.filter((row) => row.name === reference && row.project_id === projectId);
    if (named.length > 1)
      throw new ConflictError(
        `Multiple security groups found matching '${reference}'. Use an ID to be more specific.`,
        'NoUniqueMatch',
      );
    const [only] = named;
    if (!only) throw notFound('security_group', reference);
    return only.id;
  });
  return [...new Set(ids)];
}

/** The project that owns a visible group, which rules name as security_group:project_id. @throws NotFoundError */
export async function groupOwner(asking: Asking, groupId: unknown): Promise<string | undefined> {
  if (typeof groupId !== 'string') return undefined;
  return (await findVisible(asking.session, asking.cloud, asking.caller, securityGroupResource, groupId, null))
    .project_id;
}
