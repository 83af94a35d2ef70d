// Attributes of a resource as data: what may be set, by whom, how it is checked, filtered and sorted. Bodies are read by them.
import { badRequest } from '../../services/network/errors';
import { Reason, type Check } from './checks';

export interface Attribute<T = unknown, R extends boolean = boolean> {
  /** Absent: it can only be read. */
  readonly check?: Check<T>;
  readonly required?: R;
  readonly post?: boolean;
  readonly put?: boolean;
  /** Setting it needs the rule network:COLLECTION:create:NAME (or update). */
  readonly guarded?: boolean;
  /** It is shown only to who passes network:COLLECTION:show:NAME. */
  readonly hidden?: boolean;
  /** The column behind it, when lists can be filtered and sorted by it. */
  readonly column?: string;
  /** How a filter's value is read; text when absent. */
  readonly filter?: 'text' | 'flag' | 'number' | 'none';
  readonly sort?: boolean;
}

export type Attributes = Readonly<Record<string, Attribute<unknown, boolean>>>;

interface Extra {
  readonly guarded?: boolean;
  readonly hidden?: boolean;
  readonly column?: string;
  readonly filter?: NonNullable<Attribute['filter']>;
  readonly sort?: boolean;
}

/** Set at creation and later. */
export const writable = <T>(check: Check<T>, extra: Extra = {}): Attribute<T, false> => ({
  check,
  post: true,
  put: true,
  ...extra,
});
/** Set at creation only. */
export const initial = <T>(check: Check<T>, extra: Extra = {}): Attribute<T, false> => ({
  check,
  post: true,
  ...extra,
});
/** Must be set at creation, never changes. */
export const required = <T>(check: Check<T>, extra: Extra = {}): Attribute<T, true> => ({
  check,
  post: true,
  required: true,
  ...extra,
});
/** Shown, never set. */
export const readable = (extra: Extra = {}): Attribute<never, false> => extra;

type TypeOf<A> = A extends { check?: Check<infer T> } ? T : never;
/** What a body says, checked and converted: keys that were not given are absent. */
export type Values<A> = { [K in keyof A]?: TypeOf<A[K]> };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function checked(attributes: Attributes, given: Record<string, unknown>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const check = attributes[name]?.check;
    if (!check) continue;
    try {
      values[name] = check(value);
    } catch (error) {
      if (error instanceof Reason) throw badRequest(`Invalid input for ${name}. Reason: ${error.message}.`);
      throw error;
    }
  }
  return values;
}

/** Owner of what is created; both names mean the same. @throws InvalidError when they differ or are no text */
function takeProject(given: Record<string, unknown>): { projectId: string | undefined; rest: Record<string, unknown> } {
  const { tenant_id: tenant, project_id: project, ...rest } = given;
  if (tenant !== undefined && project !== undefined && tenant !== project)
    throw badRequest("'project_id' and 'tenant_id' do not match");
  const projectId = project ?? tenant;
  if (projectId !== undefined && (typeof projectId !== 'string' || projectId.length > 64))
    throw badRequest(`Invalid input for project_id. Reason: '${JSON.stringify(projectId)}' is not a valid string.`);
  return { projectId, rest };
}

export interface ReadBody {
  readonly values: Record<string, unknown>;
  /** The owner the body names; undefined when it names none. */
  readonly projectId: string | undefined;
}

/** Reads one resource to create. @throws InvalidError HTTPBadRequest */
export function readCreate(attributes: Attributes, given: Record<string, unknown>): ReadBody {
  const { projectId, rest } = takeProject(given);
  const unknown = Object.keys(rest).filter((name) => !Object.hasOwn(attributes, name));
  if (unknown.length > 0) throw badRequest(`Unrecognized attribute(s) '${unknown.join(', ')}'`);
  for (const [name, attribute] of Object.entries(attributes)) {
    const has = Object.hasOwn(rest, name);
    if (has && !attribute.post) throw badRequest(`Attribute '${name}' not allowed in POST`);
    if (!has && attribute.required)
      throw badRequest(`Failed to parse request. Required attribute '${name}' not specified`);
  }
  return { values: checked(attributes, rest), projectId };
}

/** Reads a change. @throws InvalidError HTTPBadRequest */
export function readUpdate(attributes: Attributes, given: Record<string, unknown>): Record<string, unknown> {
  const unknown = Object.keys(given).filter(
    (name) => !Object.hasOwn(attributes, name) && name !== 'tenant_id' && name !== 'project_id',
  );
  if (unknown.length > 0) throw badRequest(`Unrecognized attribute(s) '${unknown.join(', ')}'`);
  for (const name of Object.keys(given)) {
    if (!attributes[name]?.put) throw badRequest(`Cannot update read-only attribute ${name}`);
  }
  return checked(attributes, given);
}

/** The resources of a body: one under the member's name, or many under the collection's. @throws InvalidError */
export function bodyItems(
  body: unknown,
  member: string,
  collection: string,
): { items: Record<string, unknown>[]; bulk: boolean } {
  if (!isObject(body)) throw badRequest('Resource body required');
  if (Object.hasOwn(body, collection)) {
    const items = body[collection];
    if (!Array.isArray(items) || !items.every(isObject))
      throw badRequest(`Body contains invalid data: '${collection}' is not a list of resources`);
    if (items.length === 0) throw badRequest('Resources required');
    return { items, bulk: true };
  }
  const item = body[member];
  if (!isObject(item)) throw badRequest(`Unable to find '${member}' in request body`);
  const others = Object.keys(body).filter((key) => key !== member);
  if (others.length > 0) throw badRequest(`Unrecognized attribute(s) '${others.join(', ')}'`);
  return { items: [item], bulk: false };
}

/** Attributes that every resource has. */
export const standardAttributes = {
  id: readable({ column: 'id', sort: true }),
  project_id: readable({ column: 'project_id', sort: true }),
  tenant_id: readable({ column: 'project_id', sort: true }),
  created_at: readable({ column: 'created_at', filter: 'none', sort: true }),
  updated_at: readable({ column: 'updated_at', filter: 'none', sort: true }),
  revision_number: readable({ column: 'revision', filter: 'number', sort: true }),
} as const;
