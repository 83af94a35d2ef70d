// Projects: their tree, what may be changed, and what goes with them when they are deleted.
import { In, type ReadSession, type WriteSession } from '../../db';
import { assignments, projects, projectTags, users, type Project } from '../../db/entities/identity';
import { ForbiddenError, InvalidError, NotFoundError } from '../../errors';
import type { Cloud } from '../../cloud';
import { orElseDone, unique } from './conflicts';
import { ancestorsOf } from './resolution';

/** Levels of projects below a domain. */
const MAX_DEPTH = 5;

export interface ProjectWithTags extends Project {
  readonly tags: readonly string[];
}

async function tagsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, string[]>> {
  const rows = await session.find(projectTags, { where: { project_id: In([...ids]) }, order: { name: 'ASC' } });
  const tags = new Map<string, string[]>();
  for (const row of rows) tags.set(row.project_id, [...(tags.get(row.project_id) ?? []), row.name]);
  return tags;
}

export async function withTags(session: ReadSession, rows: readonly Project[]): Promise<ProjectWithTags[]> {
  const tags = await tagsOf(
    session,
    rows.map((row) => row.id),
  );
  return rows.map((row) => ({ ...row, tags: tags.get(row.id) ?? [] }));
}

/** A project or domain by id. */
export function findProject(cloud: Cloud, id: string): Promise<ProjectWithTags | undefined> {
  return cloud.db.read(async (session) => {
    const row = await session.findOne(projects, { id });
    return row && (await withTags(session, [row]))[0];
  });
}

/** All projects below one, level by level. */
export async function subtreeOf(session: ReadSession, id: string): Promise<Project[]> {
  const found: Project[] = [];
  let level = [id];
  while (level.length > 0) {
    const children = await session.find(projects, { where: { parent_id: In(level) }, order: { id: 'ASC' } });
    found.push(...children);
    level = children.map((row) => row.id);
  }
  return found;
}

/** Where a new project is to stand. @throws InvalidError for a parent or domain that does not fit */
async function placeOf(
  session: ReadSession,
  wanted: { domain_id: string; parent_id: string | null },
): Promise<Pick<Project, 'domain_id' | 'parent_id'>> {
  const parent = await session.findOne(projects, { id: wanted.parent_id ?? wanted.domain_id }, 'shared');
  if (!parent)
    throw new InvalidError(
      `Could not find the parent project or domain ${wanted.parent_id ?? wanted.domain_id}.`,
      'ValidationError',
    );
  const domainId = parent.is_domain ? parent.id : parent.domain_id;
  if (domainId !== wanted.domain_id)
    throw new InvalidError('The parent project is in another domain than the one given.', 'ValidationError');
  const above = [parent, ...(await ancestorsOf(session, parent))];
  if (above.some((row) => !row.enabled)) throw new ForbiddenError('A project cannot be made below a disabled one.');
  if (above.length > MAX_DEPTH) throw new ForbiddenError(`Projects may be nested at most ${MAX_DEPTH} deep.`);
  return { domain_id: domainId, parent_id: parent.id };
}

async function putTags(session: WriteSession, project_id: string, tags: readonly string[]): Promise<void> {
  await session.delete(projectTags, { project_id });
  if (tags.length > 0)
    await session.insert(
      projectTags,
      [...new Set(tags)].map((name) => ({ project_id, name })),
    );
}

/** The domain that a project is in or would be in; undefined when its parent does not exist. */
export async function domainOfParent(cloud: Cloud, parentId: string): Promise<string | undefined> {
  const parent = await cloud.db.read((session) => session.findOne(projects, { id: parentId }));
  return parent && (parent.is_domain ? parent.id : parent.domain_id);
}

/** @throws InvalidError, ForbiddenError for its place; ConflictError for its name */
export async function createProject(cloud: Cloud, project: ProjectWithTags): Promise<ProjectWithTags> {
  const { tags, ...row } = project;
  const where = row.is_domain ? 'as a domain' : `in domain ${row.domain_id}`;
  return unique(`A project named ${row.name} exists already ${where}.`, () =>
    cloud.db.write(async (session) => {
      const place = row.is_domain ? { domain_id: '', parent_id: null } : await placeOf(session, row);
      await session.insert(projects, { ...row, ...place });
      await putTags(session, row.id, tags);
      return { ...row, ...place, tags };
    }),
  );
}

/** What an immutable thing allows: only to become mutable. @throws ForbiddenError */
export function requireMutable(
  what: string,
  before: { options: Record<string, unknown> },
  after?: { options?: Record<string, unknown> },
): void {
  if (before.options['immutable'] !== true) return;
  if (after?.options !== undefined && after.options['immutable'] !== true) return;
  throw new ForbiddenError(
    `${what} is immutable: take the option back before changing or deleting it.`,
    'ResourceImmutable',
  );
}

async function requireEnabledTree(session: ReadSession, row: Project, enabled: boolean): Promise<void> {
  if (row.is_domain) return;
  if (enabled) {
    if ((await ancestorsOf(session, row)).some((above) => !above.enabled))
      throw new ForbiddenError(`Project ${row.id} cannot be enabled: a project above it is disabled.`);
  } else if ((await subtreeOf(session, row.id)).some((below) => below.enabled)) {
    throw new ForbiddenError(`Project ${row.id} cannot be disabled: projects below it are enabled.`);
  }
}

export type ProjectChange = Partial<Pick<Project, 'name' | 'description' | 'enabled' | 'options' | 'extra'>> & {
  readonly tags?: readonly string[];
};

/** Changes a project or domain. Disabling ends its tokens; those of a domain's users and projects too. */
export async function updateProject(
  cloud: Cloud,
  before: ProjectWithTags,
  change: ProjectChange,
): Promise<ProjectWithTags> {
  const { tags, ...columns } = change;
  requireMutable(`${before.is_domain ? 'Domain' : 'Project'} ${before.id}`, before, change);
  return unique(`The name ${change.name ?? ''} is taken already.`, () =>
    cloud.db.write(async (session) => {
      const turned = change.enabled !== undefined && change.enabled !== before.enabled;
      await session.findOne(projects, { id: before.id }, 'exclusive');
      if (turned) await requireEnabledTree(session, before, change.enabled === true);
      if (Object.keys(columns).length > 0) await session.update(projects, { id: before.id }, columns);
      if (tags) await putTags(session, before.id, tags);
      const revoke = turned && change.enabled === false ? { issued_before: cloud.clock.now() } : {};
      await cloud.identity.feed.record(session, {
        [before.is_domain ? 'domain_id' : 'project_id']: before.id,
        ...revoke,
      });
      return { ...before, ...columns, tags: tags ?? before.tags };
    }),
  );
}

/** Removes the rows of projects within a transaction: tags, assignments, and that they were somebody's default. */
export async function removeProjects(session: WriteSession, ids: readonly string[]): Promise<void> {
  const these = In([...ids]);
  await session.delete(projectTags, { project_id: these });
  await session.delete(assignments, { target_type: In(['project', 'domain']), target_id: these });
  await session.update(users, { default_project_id: these }, { default_project_id: null });
  await session.delete(projects, { id: these });
}

/** @throws ForbiddenError when it has projects below it or is immutable */
export async function deleteProject(cloud: Cloud, row: Project): Promise<void> {
  requireMutable(`Project ${row.id}`, row);
  await cloud.db.write(async (session) => {
    // Whoever makes a project below it, or gives a role on it, holds it.
    await session.findOne(projects, { id: row.id }, 'exclusive');
    if ((await session.count(projects, { parent_id: row.id })) > 0)
      throw new ForbiddenError(`Project ${row.id} cannot be deleted: there are projects below it.`);
    await removeProjects(session, [row.id]);
    await cloud.identity.feed.record(session, { project_id: row.id, issued_before: cloud.clock.now() });
  });
}

/** Tags a project may have. */
export const MAX_TAGS = 80;

/** Adding a tag twice is the same as once. @throws ForbiddenError when it is immutable, InvalidError when it has too many */
export async function addTag(cloud: Cloud, row: Project, name: string): Promise<void> {
  requireMutable(`Project ${row.id}`, row);
  await orElseDone(() =>
    cloud.db.write(async (session) => {
      await session.findOne(projects, { id: row.id }, 'exclusive');
      await session.insert(projectTags, { project_id: row.id, name });
      if ((await session.count(projectTags, { project_id: row.id })) > MAX_TAGS)
        throw new InvalidError(`A project may have at most ${MAX_TAGS} tags.`, 'ValidationError');
    }),
  );
}

/** @throws ForbiddenError when it is immutable, NotFoundError when it has no such tag */
export async function removeTag(cloud: Cloud, row: Project, name: string): Promise<void> {
  requireMutable(`Project ${row.id}`, row);
  const removed = await cloud.db.write((session) => session.delete(projectTags, { project_id: row.id, name }));
  if (removed === 0) throw new NotFoundError(`Could not find project tag: ${name}.`);
}

/** Sets all tags of a project. @throws ForbiddenError when it is immutable */
export async function setTags(cloud: Cloud, row: Project, tags: readonly string[]): Promise<void> {
  requireMutable(`Project ${row.id}`, row);
  await cloud.db.write(async (session) => {
    await session.findOne(projects, { id: row.id }, 'exclusive');
    await putTags(session, row.id, tags);
  });
}
