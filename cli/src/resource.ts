// Kinds of things the APIs keep: where they are, how one is found by name or id, and their list, show and delete commands.
import type { Api, Service } from './api';
import { column, type Column, type Command, type Context, type Options, type Row } from './command';
import { CliError, HttpError } from './errors';
import { didYouMean } from './suggest';

export interface Resource {
  /** As in commands and messages: "security group". */
  readonly noun: string;
  readonly service: Service;
  readonly path: string;
  /** Around one thing in a body; undefined: the body is the thing. */
  readonly key?: string;
  readonly keys: string;
  /** The query that narrows a list to a name; the default is `name`. */
  readonly byName?: (name: string) => Record<string, string>;
  /** What people call it by where that is not its name. */
  readonly nameField?: string;
  /** What must be in the query of every list. */
  readonly query?: Readonly<Record<string, string>>;
}

/** The thing in an answer. */
const inside = (resource: Resource, body: Row): Row =>
  resource.key === undefined ? body : ((body[resource.key] ?? {}) as Row);

const nameOf = (resource: Resource, row: Row): string => {
  const name = row[resource.nameField ?? 'name'];
  return typeof name === 'string' ? name : '';
};

const idOf = (row: Row): string => (typeof row['id'] === 'string' ? row['id'] : '');

async function byId(api: Api, resource: Resource, id: string): Promise<Row | undefined> {
  try {
    return inside(resource, await api.json(resource.service, 'GET', `${resource.path}/${encodeURIComponent(id)}`));
  } catch (error) {
    if (error instanceof HttpError && (error.status === 404 || error.status === 400)) return undefined;
    throw error;
  }
}

/** The thing of a name or id, with all its fields.
 * @throws CliError when there is none (with the names that are close) or several (with their ids) */
export async function find(api: Api, resource: Resource, wanted: string): Promise<Row> {
  const { service, path, keys, noun } = resource;
  const direct = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/.test(wanted);
  const found = direct ? await byId(api, resource, wanted) : undefined;
  if (found) return found;
  const byName = resource.byName ?? ((name) => ({ [resource.nameField ?? 'name']: name }));
  const listed = await api.list(service, path, keys, { ...resource.query, ...byName(wanted) });
  const same = listed.filter((row) => nameOf(resource, row) === wanted);
  const [first] = same;
  if (same.length > 1)
    throw new CliError(
      `${same.length} of kind ${noun} are called "${wanted}"; give an id: ${same.map(idOf).join(', ')}`,
    );
  if (first) return first;
  const other = direct ? undefined : await byId(api, resource, wanted);
  if (other) return other;
  const all = await api.list(service, path, keys, resource.query ?? {});
  throw new CliError(
    `no ${noun} is called "${wanted}"${didYouMean(
      wanted,
      all.map((row) => nameOf(resource, row)),
    )}`,
  );
}

/** The id of a name or id. @throws CliError as find */
export async function idFor(api: Api, resource: Resource, wanted: string): Promise<string> {
  return idOf(await find(api, resource, wanted));
}

interface ListOptions {
  readonly options?: Options;
  readonly query?: (
    context: Context,
  ) => Promise<Record<string, string | undefined>> | Record<string, string | undefined>;
  readonly path?: string;
}

/** `NOUN list`. */
export function listCommand(
  resource: Resource,
  columns: readonly (Column | [string, string])[],
  more: ListOptions = {},
): Command {
  const shown = columns.map((each) => (Array.isArray(each) ? column(each[0], each[1]) : each));
  return {
    name: `${resource.noun} list`,
    summary: `List every ${resource.noun} you may see`,
    example: `cumulet ${resource.noun} list -f json`,
    ...(more.options ? { options: more.options } : {}),
    async run(context) {
      const query = { ...resource.query, ...(await more.query?.(context)) };
      const rows = await context.api.list(resource.service, more.path ?? resource.path, resource.keys, query);
      return { list: { columns: shown, rows } };
    },
  };
}

/** `NOUN show NAME`. */
export function showCommand(resource: Resource, example = 'NAME'): Command {
  return {
    name: `${resource.noun} show`,
    summary: `Show one ${resource.noun} with all its fields`,
    example: `cumulet ${resource.noun} show ${example}`,
    args: [resource.noun.replace(' ', '-')],
    async run({ api, input }) {
      const found = await find(api, resource, input.arg(0));
      const { links: _, ...one } = (await byId(api, resource, idOf(found))) ?? found;
      return { one };
    },
  };
}

/** Does something for each argument; those after a failure are tried as well. @throws CliError with every failure */
export async function each(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
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
}

/** `NOUN delete NAME...`. */
export function deleteCommand(resource: Resource, example = 'NAME'): Command {
  return {
    name: `${resource.noun} delete`,
    summary: `Delete one ${resource.noun} or several`,
    example: `cumulet ${resource.noun} delete ${example}`,
    args: [`${resource.noun.replace(' ', '-')}...`],
    async run({ api, input }) {
      await each(input.args, async (name) => {
        const id = await idFor(api, resource, name);
        await api.send(resource.service, 'DELETE', `${resource.path}/${encodeURIComponent(id)}`);
      });
      return undefined;
    },
  };
}

/** Asks for a new thing and gives it as shown. */
export async function create(api: Api, resource: Resource, fields: Row): Promise<{ one: Row }> {
  const body = resource.key === undefined ? fields : { [resource.key]: fields };
  const made = inside(resource, await api.json(resource.service, 'POST', resource.path, body));
  const { links: _, ...one } = made;
  return { one };
}

/** The object without the fields that are undefined. */
export const given = (fields: Row): Row =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
