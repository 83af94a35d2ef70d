// The commands that nouns share, made from data: list, show, create, set, unset, delete, and add/remove.
import type { Api } from './api';
import { flag, text, type Columns, type Command, type Context, type Options, type Row } from './command';
import { CliError, HttpError } from './errors';
import { domainOption, ref, said, str } from './fields';
import { domain as domains } from './nouns/resources';
import { each, find, get, idFor, idOf, inside, pathOf, rowsOf, type Resource } from './resource';

/** `a port`, `an image`. */
const article = (noun: string): string => `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;

const argument = (resource: Resource): string => resource.noun.replaceAll(' ', '-');

/** Splits a body into what the resource takes itself, and what has routes of its own. */
function split(resource: Resource, body: Row): { own: Row; apart: [string, Row][] } {
  const isPart = ([key]: [string, unknown]): boolean => resource.parts?.[key] !== undefined;
  const entries = Object.entries(body);
  return {
    own: Object.fromEntries(entries.filter((entry) => !isPart(entry))),
    apart: entries.filter(isPart) as [string, Row][],
  };
}

async function sendParts(api: Api, resource: Resource, id: string, apart: readonly [string, Row][]): Promise<void> {
  for (const [key, value] of apart) {
    const entries = Object.entries(value);
    const added = entries.filter(([, one]) => one !== null);
    const removed = entries.filter(([, one]) => one === null).map(([name]) => name);
    await resource.parts?.[key]?.(api, pathOf(resource, id), added, removed);
  }
}

/** Asks for a new thing and gives it as shown. */
export async function create(api: Api, resource: Resource, body: Row): Promise<{ one: Row }> {
  const { own, apart } = split(resource, body);
  const wrapped = resource.key === undefined ? own : { [resource.key]: own };
  const one = inside(resource, await api.json(resource.service, 'POST', resource.path, wrapped));
  if (apart.length === 0) return { one };
  const id = idOf(resource, one);
  await sendParts(api, resource, id, apart);
  return { one: await get(api, resource, id) };
}

/** Changes a thing. */
async function change(api: Api, resource: Resource, now: Row, body: Row): Promise<void> {
  const { own, apart } = split(resource, body);
  const id = idOf(resource, now);
  if (resource.change) await resource.change(api, now, own);
  else if (Object.keys(own).length > 0)
    await api.json(resource.service, resource.method ?? 'PUT', pathOf(resource, id), { [resource.key ?? '']: own });
  await sendParts(api, resource, id, apart);
}

/** Arguments as data: like options, in the order they stand. */
type Arguments = Options;

/** What the arguments say together. */
async function argued(context: Context, args: Arguments): Promise<Row> {
  const fields = Object.entries(args).map(async ([name, { read, put }], at) => {
    const value = context.input.args[at];
    if (value === undefined || !put) return {};
    return put([read ? await read(value, context, name) : value], {});
  });
  return Object.assign({}, ...(await Promise.all(fields))) as Row;
}

interface ListSpec {
  readonly columns: Columns;
  /** More of them with --long. */
  readonly long?: Columns;
  readonly filters?: Options;
  /** Filters that are arguments. */
  readonly args?: Arguments;
  /** Another place of the list, as options say. */
  readonly path?: (context: Context) => Promise<string | undefined>;
  /** Which rows to keep, where the API cannot say it. */
  readonly keep?: (context: Context) => Promise<((row: Row) => boolean) | undefined>;
  readonly example?: string;
}

/** `NOUN list`. */
export function listCommand(resource: Resource, spec: ListSpec): Command {
  const { columns, long, filters, args = {}, example = '-f json' } = spec;
  return {
    name: `${resource.noun} list`,
    summary: `List every ${resource.noun} you may see`,
    example,
    args: Object.keys(args),
    options: { ...filters, ...(long ? { long: flag('more columns') } : {}) },
    async run(context) {
      const query = { ...(await said(context, filters)), ...(await argued(context, args)) };
      const [path, keep] = await Promise.all([spec.path?.(context), spec.keep?.(context)]);
      const found = await rowsOf(context.api, resource, query, path ?? resource.detail);
      const rows = keep ? found.filter(keep) : found;
      return { list: { columns: context.input.flag('long') ? { ...columns, ...long } : columns, rows } };
    },
  };
}

/** Options that say in which domain a name is. */
const lookup = (domain: boolean): Options => (domain ? { domain: domainOption('domain of the name') } : {});

async function domainQuery({ api, input }: Context, inDomain: boolean): Promise<Row> {
  const domain = inDomain ? input.text('domain') : undefined;
  if (domain === undefined) return {};
  return { domain_id: await idFor(api, domains, domain) };
}

/** `NOUN show NAME`. */
export function showCommand(resource: Resource, example: string, inDomain = false): Command {
  return {
    name: `${resource.noun} show`,
    summary: `Show one ${resource.noun} with all its fields`,
    example,
    args: [argument(resource)],
    options: lookup(inDomain),
    async run(context) {
      const { api, input } = context;
      const found = await find(api, resource, input.arg(0), await domainQuery(context, inDomain));
      return { one: await get(api, resource, idOf(resource, found)) };
    },
  };
}

/** `NOUN delete NAME...`. */
export function deleteCommand(resource: Resource, example: string, inDomain = false): Command {
  return {
    name: `${resource.noun} delete`,
    summary: `Delete one ${resource.noun} or several`,
    example,
    args: [`${argument(resource)}...`],
    options: lookup(inDomain),
    async run(context) {
      const { api, input } = context;
      const query = await domainQuery(context, inDomain);
      return each(input.args, async (name) =>
        api.json(resource.service, 'DELETE', pathOf(resource, await idFor(api, resource, name, query))),
      );
    },
  };
}

interface CreateSpec {
  readonly example: string;
  readonly options?: Options;
  /** The default is the name. */
  readonly args?: Arguments;
  /** What must be said beside the options. */
  readonly fixed?: Row;
  /** Whether --or-show is there: one of that name is as good. */
  readonly orShow?: boolean;
}

/** `NOUN create [options] NAME`. */
export function createCommand(resource: Resource, spec: CreateSpec): Command {
  const { example, options = {}, args = { name: str('name', '') }, fixed } = spec;
  return {
    name: `${resource.noun} create`,
    summary: `Create ${article(resource.noun)}`,
    example,
    args: Object.keys(args),
    options: { ...options, ...(spec.orShow ? { 'or-show': flag('one that is there already is as good') } : {}) },
    async run(context) {
      const { api, input } = context;
      const [named, more] = await Promise.all([argued(context, args), said(context, options)]);
      const body: Row = { ...fixed, ...named, ...more };
      try {
        return await create(api, resource, body);
      } catch (error) {
        if (!(error instanceof HttpError) || error.status !== 409 || !input.flag('or-show')) throw error;
        const { domain_id } = body;
        return { one: await find(api, resource, input.arg(0), { domain_id }) };
      }
    },
  };
}

interface ChangeSpec {
  readonly example: string;
  readonly options: Options;
}

/** `NOUN set` or `NOUN unset`. */
export function changeCommand(
  resource: Resource,
  verb: 'set' | 'unset',
  { example, options }: ChangeSpec,
  inDomain = false,
): Command {
  return {
    name: `${resource.noun} ${verb}`,
    summary: `${verb === 'set' ? 'Change' : 'Take something from'} ${article(resource.noun)}`,
    example,
    args: [argument(resource)],
    options: { ...options, ...lookup(inDomain) },
    async run(context) {
      const { api, input } = context;
      needsOne(context, `${resource.noun} ${verb}`, options);
      const found = await find(api, resource, input.arg(0), await domainQuery(context, inDomain));
      const now = resource.detail === undefined ? found : await get(api, resource, idOf(resource, found));
      await change(api, resource, now, await said(context, options, now));
      return undefined;
    },
  };
}

/** @throws CliError with status 2 when no option says anything */
function needsOne({ input }: Context, name: string, options: Options): void {
  if (Object.keys(options).some((each) => input.flag(each) || input.text(each) !== undefined)) return;
  const names = Object.keys(options).map((each) => `--${each}`);
  throw new CliError(`${name} needs one of ${names.join(', ')}`, 2);
}

interface NounSpec {
  /** A name for the examples. */
  readonly example: string;
  readonly list: ListSpec;
  readonly create?: CreateSpec;
  readonly set?: ChangeSpec;
  readonly unset?: ChangeSpec;
  /** Names are unique in a domain only. */
  readonly inDomain?: boolean;
}

/** The commands of a noun: create, list, show, set, unset, delete, as far as they are described. */
export function nounCommands(resource: Resource, spec: NounSpec): Command[] {
  const { example, list, create: made, set, unset, inDomain } = spec;
  return [
    ...(made ? [createCommand(resource, made)] : []),
    listCommand(resource, list),
    showCommand(resource, example, inDomain),
    ...(set ? [changeCommand(resource, 'set', set, inDomain)] : []),
    ...(unset ? [changeCommand(resource, 'unset', unset, inDomain)] : []),
    deleteCommand(resource, example, inDomain),
  ];
}

/** The project a thing shall belong to, or that a list is narrowed to. */
export const projectOptions = (project: Resource, help: string): Options => ({
  project: ref('project_id', project, help, { within: 'project-domain' }),
  'project-domain': domainOption('domain of the project'),
});

/** Paging of a list by hand. */
export const paging: Options = {
  limit: text('only so many', 'COUNT', { put: ([limit]) => ({ limit }) }),
  marker: text('begin after this id', 'ID', { put: ([marker]) => ({ marker }) }),
};
