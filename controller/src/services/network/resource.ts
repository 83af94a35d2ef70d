// How resources of the network service are found: what a caller sees of a table, by id and in lists.
import type { Cloud } from '../../cloud';
import { list, type Condition, type ListOptions, type Lock, type ReadSession, type Row, type Table } from '../../db';
import type { Caller } from '../caller';
import { touched, type NetworkContext } from './context';
import { notFound, type NetworkNoun } from './errors';
import { openToProject, type RbacAction } from './visibility';

export type Conditions<T extends Table> = NonNullable<ListOptions<T>['conditions']>[number];

/** A kind of resource: its table and what, besides ownership, makes a row visible. */
export interface Resource<T extends Table = Table> {
  readonly noun: NetworkNoun;
  /** "networks": part of the policy rules' names. */
  readonly collection: string;
  readonly table: T;
  /** What narrows a list for a caller who does not see everything; nothing means the owner's project alone. */
  readonly alsoVisible?: (session: ReadSession, projectId: string) => Promise<readonly Condition<T>[]>;
}

/** Whether a caller sees every project's resources of a kind. */
export const seesAll = (cloud: Cloud, caller: Caller, resource: Pick<Resource, 'collection'>): boolean =>
  cloud.policy.allows(caller, `network:${resource.collection}:all_projects`);

/** Conditions that hold for every row a caller may see. */
export async function visibleTo<T extends Table>(
  session: ReadSession,
  cloud: Cloud,
  caller: Caller,
  resource: Resource<T>,
): Promise<Conditions<T>[]> {
  if (seesAll(cloud, caller, resource)) return [];
  const projectId = caller.projectId ?? '';
  const own = { column: 'project_id', op: '=', value: projectId } as Condition<T>;
  const more = projectId === '' ? [] : ((await resource.alsoVisible?.(session, projectId)) ?? []);
  const mine = projectId === '' ? [] : [own];
  return [[...mine, ...more]];
}

/**
 * The row with an id, if the caller may see it. A transaction holds it, because what refers to it must find it there.
 * @throws NotFoundError of the noun
 */
export async function findVisible<T extends Table>(
  session: ReadSession,
  cloud: Cloud,
  caller: Caller,
  resource: Resource<T>,
  id: string,
  lock: Lock | null = 'shared',
): Promise<Row<T>> {
  const byId = { column: 'id', op: '=', value: id } as Condition<T>;
  const conditions = [byId, ...(await visibleTo(session, cloud, caller, resource))];
  const [row] = await list(session, resource.table, { conditions, limit: 1, ...(lock ? { lock } : {}) });
  if (!row) throw notFound(resource.noun, id);
  return row;
}

/** Makes rows visible that were shared with the project by RBAC policies. */
export const sharedBy =
  (objectType: string, column: string, actions: readonly RbacAction[]) =>
  async <T extends Table>(session: ReadSession, projectId: string): Promise<readonly Condition<T>[]> => [
    { column, op: 'in', value: await openToProject(session, objectType, projectId, actions) },
  ];

/** Counts a change of a resource of any kind. */
export async function touchResource<T extends Table>(
  context: NetworkContext,
  resource: Resource<T>,
  row: Row<T>,
): Promise<void> {
  const { id, revision } = row as unknown as { id: string; revision: number };
  const set = touched(context, { revision }) as unknown as Partial<Row<T>>;
  await context.session.update(resource.table, { id } as never, set);
}
