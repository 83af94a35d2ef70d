// Kinds of things the APIs keep: where they are, and how one is found by name or id.
import type { Api, Service } from './api';
import type { Row } from './command';
import { CliError, HttpError } from './errors';
import { didYouMean } from './suggest';

/** Sends what a key of a body has routes of its own for: entries to add, and names of those to remove. */
export type Part = (
  api: Api,
  path: string,
  added: readonly (readonly [string, unknown])[],
  removed: readonly string[],
) => Promise<void>;

export interface Resource {
  /** As in commands and messages: "security group". */
  readonly noun: string;
  readonly service: Service;
  readonly path: string;
  /** Around one thing in a body; undefined: the body is the thing. */
  readonly key?: string;
  readonly keys: string;
  /** Where the list with all fields is; undefined: every list has them. */
  readonly detail?: string;
  /** The query that narrows a list to a name; the default is `name`. */
  readonly byName?: (name: string) => Record<string, string>;
  /** What people call it by where that is not its name only. */
  readonly names?: readonly string[];
  /** What it is called by in paths; `id` unless said. */
  readonly id?: string;
  /** What must be in the query of every list. */
  readonly query?: Row;
  /** The things of a list where each is wrapped once more. */
  readonly wrapped?: string;
  /** How it is changed; the default is PUT of `key`. */
  readonly method?: 'PATCH';
  /** How fields are changed where that is otherwise. */
  readonly change?: (api: Api, now: Row, fields: Row) => Promise<void>;
  readonly parts?: Readonly<Record<string, Part>>;
}

/** The thing in an answer, without its links. */
export function inside(resource: Resource, body: Row): Row {
  const { links: _, ...one } = resource.key === undefined ? body : ((body[resource.key] ?? {}) as Row);
  return one;
}

const namesOf = (resource: Resource, row: Row): string[] =>
  (resource.names ?? ['name']).map((field) => row[field]).filter((name) => typeof name === 'string');

export const idOf = (resource: Resource, row: Row): string => {
  const id = row[resource.id ?? 'id'];
  return typeof id === 'string' ? id : typeof id === 'number' ? String(id) : '';
};

/** Where one thing is. */
export const pathOf = (resource: Resource, id: string): string => `${resource.path}/${encodeURIComponent(id)}`;

/** The thing of an id with all its fields. */
export const get = async (api: Api, resource: Resource, id: string): Promise<Row> =>
  inside(resource, await api.json(resource.service, 'GET', pathOf(resource, id)));

async function byId(api: Api, resource: Resource, id: string): Promise<Row | undefined> {
  try {
    return await get(api, resource, id);
  } catch (error) {
    // Identity answers 403 for what does not exist, and for what is not one's own.
    if (error instanceof HttpError && [400, 403, 404].includes(error.status)) return undefined;
    throw error;
  }
}

/** Rows of a list. */
export async function rowsOf(api: Api, resource: Resource, query: Row = {}, path = resource.path): Promise<Row[]> {
  const rows = await api.list(resource.service, path, resource.keys, { ...resource.query, ...query });
  const { wrapped } = resource;
  return wrapped === undefined ? rows : rows.map((row) => row[wrapped] as Row);
}

/** The id of the project signed in to, when it is meant: members may not list projects, but they know their own. */
async function ownProject(api: Api, resource: Resource, wanted: string, query: Row): Promise<string | undefined> {
  if (resource.keys !== 'projects') return undefined;
  const own = (await api.token()).project;
  const named = own && (wanted === own.id || (wanted === own.name && query['domain_id'] === undefined));
  return named ? own.id : undefined;
}

/** The thing of a name or id; its fields may be those of a list.
 * @throws CliError when there is none (with the names that are close) or several (with their ids) */
export async function find(api: Api, resource: Resource, wanted: string, query: Row = {}): Promise<Row> {
  const { noun } = resource;
  const own = await ownProject(api, resource, wanted, query);
  if (own !== undefined) return get(api, resource, own);
  const direct = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/.test(wanted);
  const found = direct ? await byId(api, resource, wanted) : undefined;
  if (found) return found;
  const byName = resource.byName ?? ((name) => ({ [(resource.names ?? ['name'])[0] ?? 'name']: name }));
  const listed = await rowsOf(api, resource, { ...byName(wanted), ...query });
  const same = listed.filter((row) => namesOf(resource, row).includes(wanted) || idOf(resource, row) === wanted);
  const [first, second] = same;
  if (first && !second) return first;
  if (first) {
    // An administrator sees everybody's things, but means those of the own project.
    const project = (await api.token()).project?.id;
    const mine = same.filter((row) => row['project_id'] !== undefined && row['project_id'] === project);
    if (mine[0] && mine.length === 1) return mine[0];
    const ids = same.map((row) => idOf(resource, row)).join(', ');
    throw new CliError(`${same.length} of kind ${noun} are called "${wanted}"; give an id: ${ids}`);
  }
  const other = direct ? undefined : await byId(api, resource, wanted);
  if (other && Object.keys(other).length > 0) return other;
  const all = await rowsOf(api, resource, query);
  throw new CliError(
    `no ${noun} is called "${wanted}"${didYouMean(
      wanted,
      all.flatMap((row) => namesOf(resource, row)),
    )}`,
  );
}

/** The id of a name or id. @throws CliError as find */
export async function idFor(api: Api, resource: Resource, wanted: string, query: Row = {}): Promise<string> {
  const own = await ownProject(api, resource, wanted, query);
  if (own !== undefined) return own;
  return idOf(resource, await find(api, resource, wanted, query));
}

/** Does something for each argument; those after a failure are tried as well. @throws CliError with every failure */
export async function each(names: readonly string[], act: (name: string) => Promise<unknown>): Promise<undefined> {
  const failures: string[] = [];
  for (const name of names) {
    try {
      await act(name);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      failures.push(error.message);
    }
  }
  if (failures.length > 0) throw new CliError(failures.join('\n'));
  return undefined;
}
