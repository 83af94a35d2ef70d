// Which networks and groups a project sees besides its own: what was shared with it or with everybody.
import { In, type ReadSession } from '../../db';
import { networks, rbacPolicies, type Network } from '../../db/entities/network';

export type RbacAction = 'access_as_shared' | 'access_as_external';

/** Ids of objects of a type that are open to a project by one of these actions. */
export async function openToProject(
  session: ReadSession,
  objectType: string,
  projectId: string,
  actions: readonly RbacAction[],
): Promise<string[]> {
  const rows = await session.find(rbacPolicies, {
    where: { object_type: objectType, action: In([...actions]), target_tenant: In(['*', projectId]) },
  });
  return [...new Set(rows.map((row) => row.object_id))];
}

/** Of these objects, those that are shared with a project. One query. */
export async function sharedAmong(
  session: ReadSession,
  objectType: string,
  objectIds: readonly string[],
  projectId: string,
): Promise<Set<string>> {
  if (objectIds.length === 0) return new Set();
  const rows = await session.find(rbacPolicies, {
    where: {
      object_type: objectType,
      object_id: In([...objectIds]),
      action: 'access_as_shared',
      target_tenant: In(['*', projectId]),
    },
  });
  return new Set(rows.map((row) => row.object_id));
}

/** Networks on which a project may have ports: its own and those shared with it, without external ones that aren't shared. */
export async function networksOfProject(session: ReadSession, projectId: string): Promise<Network[]> {
  const shared = await openToProject(session, 'network', projectId, ['access_as_shared']);
  return session.find(networks, {
    where: [{ project_id: projectId }, { id: In(shared) }],
    order: { created_at: 'ASC', id: 'ASC' },
  });
}
