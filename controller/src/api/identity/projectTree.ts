// What stands above and below a project, as lists or as ids, when the query asks for it.
import type { Cloud } from '../../cloud';
import type { Project } from '../../db/entities/identity';
import { InvalidError } from '../../errors';
import { accessibleProjects } from '../../services/identity/access';
import { subtreeOf, withTags } from '../../services/identity/projects';
import { ancestorsOf } from '../../services/identity/resolution';
import type { ApiRequest } from '../route';
import { identityFlag } from './listing';
import { projectView } from './projectView';

/** Nested objects keyed by id; null where nothing follows. */
interface IdTree {
  [id: string]: IdTree | null;
}

/** Parents as ids: {parent: {grandparent: null}}. */
function parentsTree(above: readonly Pick<Project, 'id'>[]): IdTree | null {
  return above.reduceRight<IdTree | null>((tree, row) => ({ [row.id]: tree }), null);
}

/** Everything below as ids. */
function subtree(id: string, below: readonly Pick<Project, 'id' | 'parent_id'>[]): IdTree | null {
  const children = below.filter((row) => row.parent_id === id);
  return children.length === 0 ? null : Object.fromEntries(children.map((row) => [row.id, subtree(row.id, below)]));
}

/** Lists show only projects on which the caller has a role; an administrator sees all. */
async function visible(request: ApiRequest, cloud: Cloud, rows: readonly Project[]): Promise<object[]> {
  const { caller } = request;
  const everything = cloud.policy.allows(caller, 'identity:get_project', {});
  const seen = everything ? undefined : new Set((await accessibleProjects(cloud, caller.userId)).map((row) => row.id));
  const shown = rows.filter((row) => !row.is_domain && (seen === undefined || seen.has(row.id)));
  const tagged = await cloud.db.read((session) => withTags(session, shown));
  return tagged.map((row) => ({ project: projectView(request, row) }));
}

/** The parts `parents` and `subtree` as far as they are asked for. @throws InvalidError when both forms are */
export async function expandProject(request: ApiRequest, cloud: Cloud, row: Project): Promise<object> {
  const asked = (key: string): boolean => identityFlag(request.query, key) === true;
  for (const part of ['parents', 'subtree']) {
    if (asked(`${part}_as_list`) && asked(`${part}_as_ids`))
      throw new InvalidError(`${part}_as_list and ${part}_as_ids cannot be asked for together.`, 'ValidationError');
  }
  const parts: Record<string, unknown> = {};
  if (asked('parents_as_list') || asked('parents_as_ids')) {
    const above = await cloud.db.read((session) => ancestorsOf(session, row));
    parts['parents'] = asked('parents_as_ids') ? parentsTree(above) : await visible(request, cloud, above);
  }
  if (asked('subtree_as_list') || asked('subtree_as_ids')) {
    const below = await cloud.db.read((session) => subtreeOf(session, row.id));
    parts['subtree'] = asked('subtree_as_ids') ? subtree(row.id, below) : await visible(request, cloud, below);
  }
  return parts;
}
