// Options as data: how each one is read and what it says in the body or query of a request.
import { flag, text, wholeNumber, type Context, type Option, type Options, type Row } from './command';
import { CliError } from './errors';
import { domain as domains } from './nouns/resources';
import { idFor, type Resource } from './resource';

type More = Partial<Option>;

/** Text for a field. */
export const str = (key: string, help: string, value = 'TEXT', more: More = {}): Option =>
  text(help, value, { put: ([given]) => ({ [key]: given }), ...more });

/** A whole number for a field. */
export const int = (key: string, help: string, value = 'COUNT'): Option =>
  str(key, help, value, { read: (given, _, option) => wholeNumber(given, option) });

/** A flag that says this. */
export const sets = (row: Row, help: string): Option => ({ ...flag(help), put: () => row });

/** Two flags for a field: yes and no. */
export const either = (key: string, yes: string, no: string, help: string, otherwise = `not: ${help}`): Options => ({
  [yes]: sets({ [key]: true }, help),
  [no]: sets({ [key]: false }, otherwise),
});

export const enabling: Options = either('enabled', 'enable', 'disable', 'switch it on', 'switch it off');
export const adminState: Options = either('admin_state_up', 'enable', 'disable', 'switch it on', 'switch it off');

/** The id of a thing by its name.
 * @param within - option with the domain of the name */
export const ref = (key: string, resource: Resource, help: string, more: More & { within?: string } = {}): Option => {
  const { within, ...rest } = more;
  return str(key, help, resource.noun.toUpperCase().replaceAll(' ', '_'), { read: named(resource, within), ...rest });
};

const named =
  (resource: Resource, within?: string) =>
  async (name: string, { api, input }: Context): Promise<string> => {
    const domain = within === undefined ? undefined : input.text(within);
    if (domain === undefined) return idFor(api, resource, name);
    return idFor(api, resource, name, { domain_id: await idFor(api, domains, domain) });
  };

/** An option with the domain of a name; commands that find things read it. */
export const domainOption = (help: string): Option => text(help, 'DOMAIN');

/** Values that are added to the list that is there. */
export const list = (key: string, help: string, value: string, more: More = {}): Option =>
  text(`${help}; may be repeated`, value, {
    multiple: true,
    put: (values, before) => ({ [key]: [...listed(before, key), ...values] }),
    ...more,
  });

/** The same with names of things. */
export const refs = (key: string, resource: Resource, help: string): Option =>
  list(key, help, resource.noun.toUpperCase().replaceAll(' ', '_'), { read: named(resource) });

/** Values that are taken from the list that is there. @throws CliError for one that is not in it */
export const drops = (key: string, help: string, value: string, more: More = {}): Option =>
  text(`${help}; may be repeated`, value, {
    multiple: true,
    put: (values, before) => {
      const there = listed(before, key);
      const without = there.filter((one) => !values.some((value) => matches(one, value)));
      const missing = values.find((value) => !there.some((one) => matches(one, value)));
      if (missing !== undefined) throw new CliError(`it has no ${JSON.stringify(missing)} to take away`);
      return { [key]: without };
    },
    ...more,
  });

/** A flag that empties a list; options that add to it stand after it. */
export const clears = (key: string, help: string): Option => sets({ [key]: [] }, help);

const listed = (before: Row, key: string): readonly unknown[] => (before[key] ?? []) as readonly unknown[];

/** Whether one has everything that is wanted. */
const matches = (one: unknown, wanted: unknown): boolean =>
  typeof wanted === 'object' && wanted !== null
    ? Object.entries(wanted).every(([key, value]) => (one as Row)[key] === value)
    : one === wanted;

/** KEY=VALUE. @throws CliError with status 2 for one without "=" */
function pair(given: string): [string, string] {
  const at = given.indexOf('=');
  if (at < 1) throw new CliError(`that is KEY=VALUE, not "${given}"`, 2);
  return [given.slice(0, at), given.slice(at + 1)];
}

/** KEY=VALUE,KEY=VALUE as fields with the names the API has for them. @throws CliError with status 2 for an unknown key */
export const record =
  (names: Readonly<Record<string, string | undefined>>, bare?: string) =>
  (given: string): Record<string, string> => {
    if (bare !== undefined && !given.includes('=')) return { [bare]: given };
    return Object.fromEntries(
      given.split(',').map((part) => {
        const [key, value] = pair(part);
        const name = names[key];
        if (name === undefined)
          throw new CliError(`"${given}" says "${key}"; there are ${Object.keys(names).join(', ')}`, 2);
        return [name, value];
      }),
    );
  };

/** Entries of an object, as metadata. Without a key they are fields themselves. */
export const pairs = (key: string | undefined, help: string): Option =>
  text(`${help}; may be repeated`, 'KEY=VALUE', {
    multiple: true,
    read: pair,
    put: (values) => {
      const row = Object.fromEntries(values as [string, string][]);
      return key === undefined ? row : { [key]: row };
    },
  });

/** Members of a set that has routes of its own, as tags: those to add. */
export const marks = (key: string, help: string, value: string, more: More = {}): Option =>
  member(key, help, value, true, more);

/** Members to take away from such a set, also keys of metadata. */
export const unmarks = (key: string, help: string, value: string, more: More = {}): Option =>
  member(key, help, value, null, more);

const member = (key: string, help: string, value: string, mark: true | null, more: More): Option =>
  text(`${help}; may be repeated`, value, {
    multiple: true,
    put: (values) => ({ [key]: Object.fromEntries(values.map((one) => [String(one), mark])) }),
    ...more,
  });

/** A flag that takes all members away. */
export const unmarksAll = (key: string, help: string): Option => ({
  ...flag(help),
  put: (_, before) => {
    const there = before[key] ?? {};
    const names = Array.isArray(there) ? (there as string[]) : Object.keys(there);
    return { [key]: Object.fromEntries(names.map((name) => [name, null])) };
  },
});

const isObject = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);

function merged(base: Row, more: Row): Row {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const there = result[key];
    result[key] = isObject(there) && isObject(value) ? merged(there, value) : value;
  }
  return result;
}

/** What the options on the command line say together.
 * @param now - the thing as it is, for options that add to it or take from it */
export async function said(context: Context, options: Options = {}, now: Row = {}): Promise<Row> {
  const { input } = context;
  const given = Object.entries(options).filter(([name]) => input.flag(name) || input.text(name) !== undefined);
  const values = await Promise.all(
    given.map(([name, { type, read }]) => {
      const texts = type === 'boolean' && read ? [''] : input.all(name);
      return Promise.all(texts.map((value) => (read ? read(value, context, name) : value)));
    }),
  );
  let body: Row = {};
  given.forEach(([, { put }], index) => {
    if (put) body = merged(body, put(values[index] ?? [], { ...now, ...body }));
  });
  return body;
}
