// The query of server lists: filters by caller and microversion, sort keys, and the old ways of ignoring what is unknown.
import type { Cloud } from '../../cloud';
import type { ServerFlavor, servers } from '../../db/entities/compute';
import { ForbiddenError, InvalidError } from '../../errors';
import { isPlain, pattern } from '../../services/compute/pattern';
import type { ServerCondition, ServerFilters, ServerSort, ServerTest } from '../../services/compute/serverList';
import { statesOfStatuses } from '../../services/compute/serverStates';
import type { Row } from '../../db';
import { queryValue } from '../query';
import type { ApiRequest } from '../route';
import { readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';

type Column = keyof Row<typeof servers>;

/** Filters that are compared as they are, and those that are expressions, with what of a server they look at. */
const exact: Readonly<Record<string, Column>> = {
  user_id: 'user_id',
  uuid: 'id',
  image: 'image_id',
  image_ref: 'image_id',
  host: 'host',
  vm_state: 'vm_state',
  task_state: 'task_state',
  launch_index: 'launch_index',
};
const expressions: Readonly<Record<string, Column>> = {
  name: 'name',
  display_name: 'name',
  description: 'description',
  display_description: 'description',
  hostname: 'hostname',
  key_name: 'key_name',
  node: 'host',
  reservation_id: 'reservation_id',
  availability_zone: 'availability_zone',
  locked_by: 'locked_by',
  root_device_name: 'root_device_name',
  config_drive: 'config_drive',
  access_ip_v4: 'access_ip_v4',
  access_ip_v6: 'access_ip_v6',
  auto_disk_config: 'disk_config',
  power_state: 'power_state',
  created_at: 'created_at',
  launched_at: 'launched_at',
  terminated_at: 'terminated_at',
};
/** What is the same of all servers. */
const constants: Readonly<Record<string, string>> = { progress: '0', kernel_id: '', ramdisk_id: '' };

/** Columns whose text is not what the database has. */
const texts: Partial<Record<Column, (value: unknown) => string>> = {
  config_drive: (value) => (value === true ? 'True' : ''),
  power_state: (value) => String(value),
  created_at: textOfTime,
  launched_at: textOfTime,
  terminated_at: textOfTime,
};
function textOfTime(value: unknown): string {
  return typeof value === 'number' ? new Date(value).toISOString() : '';
}

const joined = [
  ...[
    'block_device_mapping',
    'services',
    'metadata',
    'system_metadata',
    'info_cache',
    'security_groups',
    'pci_devices',
  ],
];
const tagKeys = ['tags', 'tags-any', 'not-tags', 'not-tags-any'];
const pageKeys = ['limit', 'marker', 'sort_key', 'sort_dir', 'page_size', 'offset'];

/** Filters that everybody may use at a microversion. */
function commonKeys(minor: number): string[] {
  return [
    ...['reservation_id', 'name', 'status', 'image', 'flavor', 'ip', 'changes-since', 'all_tenants'],
    ...(minor >= 5 ? ['ip6'] : []),
    ...(minor >= 26 ? tagKeys : []),
    ...(minor >= 66 ? ['changes-before'] : []),
    ...(minor >= 73 ? ['locked'] : []),
    ...(minor >= 83
      ? [
          ...['availability_zone', 'config_drive', 'key_name', 'created_at', 'launched_at', 'terminated_at'],
          ...['power_state', 'task_state', 'vm_state', 'progress', 'user_id'],
        ]
      : []),
    ...(minor >= 90 ? ['hostname'] : []),
  ];
}

/** Every key that is known at all at a microversion. */
const knownKeys = (minor: number): string[] => [
  ...commonKeys(minor),
  ...Object.keys(exact),
  ...Object.keys(expressions),
  ...Object.keys(constants),
  ...joined,
  ...['project_id', 'tenant_id', 'deleted', 'soft_deleted', 'ip6'],
  ...pageKeys,
];

/** A time as clients write it, UTC when it has no zone. @throws InvalidError */
export function readTime(text: string, key: string): number {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`;
  const value = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?/.test(text)
    ? Date.parse(text.length === 10 ? text : zoned.replace(' ', 'T'))
    : NaN;
  if (Number.isNaN(value))
    throw new InvalidError(`Invalid input for query parameters ${key}: '${text}' is not a 'date-time'`);
  return value;
}

const words: Readonly<Record<string, boolean>> = {
  ...{ '1': true, t: true, true: true, on: true, y: true, yes: true },
  ...{ '0': false, f: false, false: false, off: false, n: false, no: false },
};
const readFlag = (text: string): boolean | undefined => words[text.toLowerCase()];

/** The usable part of the query: what this caller may filter by. */
interface FilterQuery {
  readonly get: (key: string) => string | undefined;
}

function filterQuery(request: ApiRequest, everything: boolean): FilterQuery {
  const allowed = new Set(commonKeys(request.microversion.minor));
  return { get: (key) => (everything || allowed.has(key) ? queryValue(request.query, key) : undefined) };
}

/** Whether all projects' servers are asked for. @throws InvalidError, ForbiddenError */
function allTenants(cloud: Cloud, request: ApiRequest, detailed: boolean): boolean {
  const text = queryValue(request.query, 'all_tenants');
  if (text === undefined) return false;
  const wanted = text === '' ? true : readFlag(text);
  if (wanted === undefined) throw new InvalidError(`Invalid value '${text}' for all_tenants`);
  if (wanted)
    cloud.policy.require(request.caller, `os_compute_api:servers:${detailed ? 'detail' : 'index'}:get_all_tenants`);
  return wanted;
}

/** Status as states; undefined: nothing can fit. @throws InvalidError from 2.38 on, ForbiddenError for deleted ones */
function statusConditions(request: ApiRequest): ServerCondition[] | undefined {
  const statuses = request.query.get('status');
  if (!statuses) return [];
  const states = statesOfStatuses(statuses);
  if (!states) {
    if (request.microversion.minor >= 38) throw new InvalidError('Invalid status value');
    return undefined;
  }
  if (states.vmStates.length === 1 && states.vmStates[0] === 'deleted' && !request.caller.isAdmin)
    throw new ForbiddenError('Only administrators may list deleted instances');
  return [
    { column: 'vm_state', op: 'in', value: states.vmStates },
    ...(states.taskStates ? [{ column: 'task_state', op: 'in', value: states.taskStates } as const] : []),
  ];
}

/** Existing ones, unless deleted ones or changes are asked for. */
function lifeConditions(request: ApiRequest, query: FilterQuery): ServerCondition[] {
  const since = query.get('changes-since');
  const before = query.get('changes-before');
  const conditions: ServerCondition[] = [];
  const [from, to] = [
    since === undefined ? undefined : readTime(since, 'changes-since'),
    before === undefined ? undefined : readTime(before, 'changes-before'),
  ];
  if (from !== undefined && to !== undefined && to < from)
    throw new InvalidError('The value of changes-since must be less than or equal to changes-before.');
  if (from !== undefined) conditions.push({ column: 'updated_at', op: '>=', value: from });
  if (to !== undefined) conditions.push({ column: 'updated_at', op: '<=', value: to });
  const deleted = query.get('deleted');
  const onlyDeleted = request.query.get('status')?.every((one) => one.toUpperCase() === 'DELETED') ?? false;
  if (deleted !== undefined || onlyDeleted) {
    const wanted = onlyDeleted || (readFlag(deleted ?? '') ?? false);
    conditions.push({ column: 'deleted_at', op: wanted ? 'is not null' : 'is null' });
  } else if (from === undefined && to === undefined) conditions.push({ column: 'deleted_at', op: 'is null' });
  return conditions;
}

const tagList = (query: FilterQuery, key: string): string[] => query.get(key)?.split(',') ?? [];

const sortColumns: Readonly<Record<string, Column>> = {
  access_ip_v4: 'access_ip_v4',
  access_ip_v6: 'access_ip_v6',
  auto_disk_config: 'disk_config',
  availability_zone: 'availability_zone',
  config_drive: 'config_drive',
  created_at: 'created_at',
  display_description: 'description',
  display_name: 'name',
  host: 'host',
  hostname: 'hostname',
  image_ref: 'image_id',
  instance_type_id: 'created_at',
  kernel_id: 'created_at',
  key_name: 'key_name',
  launch_index: 'launch_index',
  launched_at: 'launched_at',
  locked_by: 'locked_by',
  node: 'host',
  power_state: 'power_state',
  progress: 'created_at',
  project_id: 'project_id',
  ramdisk_id: 'created_at',
  root_device_name: 'root_device_name',
  task_state: 'task_state',
  terminated_at: 'terminated_at',
  updated_at: 'updated_at',
  user_id: 'user_id',
  uuid: 'id',
  vm_state: 'vm_state',
};
/** Keys that were once accepted and mean nothing: ignored before 2.75. */
const ignoredSortKeys = new Set([
  ...['architecture', 'cell_name', 'cleaned', 'default_ephemeral_device', 'default_swap_device', 'deleted'],
  ...['deleted_at', 'disable_terminate', 'ephemeral_gb', 'ephemeral_key_uuid', 'id', 'key_data', 'launched_on'],
  ...['locked', 'memory_mb', 'os_type', 'reservation_id', 'root_gb', 'shutdown_terminate', 'user_data', 'vcpus'],
  'vm_mode',
]);

/** @throws InvalidError, ForbiddenError for keys that name hosts */
function readSort(request: ApiRequest): ServerSort[] {
  const { minor } = request.microversion;
  const keys = request.query.get('sort_key') ?? ['created_at'];
  const directions = request.query.get('sort_dir') ?? ['desc'];
  if (directions.length > keys.length && request.query.has('sort_key'))
    throw new InvalidError('Sort direction size exceeds sort key size');
  const sort = keys.flatMap((key, at): ServerSort[] => {
    const column = minor >= 73 && key === 'locked' ? 'locked' : sortColumns[key];
    const direction = directions[at] ?? directions[0];
    if (direction !== 'asc' && direction !== 'desc')
      throw new InvalidError(`Unknown sort direction, must be one of: asc, desc (not '${direction ?? ''}')`);
    if (!column) {
      if (ignoredSortKeys.has(key) && minor < 75) return [];
      throw new InvalidError(`Invalid input for query parameters sort_key: '${key}'`);
    }
    if (column === 'host' && !request.caller.isAdmin)
      throw new ForbiddenError(`Only administrators can sort servers by ${key}`);
    return [{ column, direction }];
  });
  return sort.some((one) => one.column === 'created_at')
    ? sort
    : [...sort, { column: 'created_at', direction: sort.at(-1)?.direction ?? 'desc' }];
}

function exactConditions(query: FilterQuery): ServerCondition[] {
  return Object.entries(exact).flatMap(([key, column]): ServerCondition[] => {
    const value = query.get(key);
    if (value === undefined) return [];
    if (column === 'launch_index') return [{ column, op: '=', value: Number(value) }];
    if (column === 'task_state' && value.toLowerCase() === 'none') return [{ column, op: 'is null' }];
    return [{ column, op: '=', value }];
  });
}

/** Expressions that are plain texts, which the database looks for itself. */
function plainConditions(query: FilterQuery): ServerCondition[] {
  return Object.entries(expressions).flatMap(([key, column]): ServerCondition[] => {
    const value = query.get(key);
    return value !== undefined && isPlain(value) && !texts[column] ? [{ column, op: 'contains', value }] : [];
  });
}

function memoryTests(query: FilterQuery): ServerTest[] {
  const tests = Object.entries(expressions).flatMap(([key, column]): ServerTest[] => {
    const expression = query.get(key);
    const text = texts[column] ?? ((value: unknown) => (typeof value === 'string' ? value : ''));
    if (expression === undefined || (isPlain(expression) && !texts[column])) return [];
    const fits = pattern(expression, key);
    return [{ column, fits: (value) => fits(text(value)) }];
  });
  for (const [key, text] of Object.entries(constants)) {
    const expression = query.get(key);
    if (expression === undefined) continue;
    const fits = pattern(expression, key)(text);
    tests.push({ column: 'id', fits: () => fits });
  }
  const flavor = query.get('flavor');
  if (flavor !== undefined) tests.push({ column: 'flavor', fits: (value) => (value as ServerFlavor).id === flavor });
  const locked = query.get('locked');
  if (locked !== undefined) {
    const wanted = readFlag(locked);
    if (wanted === undefined) throw new InvalidError(`Invalid value '${locked}' for locked`);
    tests.push({ column: 'locked', fits: (value) => value === wanted });
  }
  return tests;
}

/** @throws InvalidError for a filter that names an internal part */
function refuseInternal(request: ApiRequest): void {
  for (const key of request.query.keys())
    if (joined.includes(key) || key.startsWith('_')) throw new InvalidError(`Invalid filter field: ${key}.`);
}

/** Whose servers: one project's, or everybody's. */
function projectOf(
  request: ApiRequest,
  query: FilterQuery,
  everybody: boolean,
): { id: string | null; user: string | null } {
  if (everybody) return { id: query.get('project_id') ?? query.get('tenant_id') ?? null, user: null };
  const { projectId, userId } = request.caller;
  return { id: projectId, user: projectId === null ? userId : null };
}

/**
 * Reads the query of a list; undefined when nothing can fit.
 * @throws InvalidError, ForbiddenError as the API reference says
 */
export function readServerFilters(cloud: Cloud, request: ApiRequest, detailed: boolean): ServerFilters | undefined {
  const { minor } = request.microversion;
  refuseUnknownQuery(request, knownKeys(minor));
  const may = (rule: string): boolean =>
    cloud.policy.allows(request.caller, `os_compute_api:${rule}`, { project_id: request.caller.projectId });
  const everything = may('servers:allow_all_filters');
  if (everything) refuseInternal(request);
  const query = filterQuery(request, everything);
  const project = projectOf(request, query, allTenants(cloud, request, detailed));
  const status = statusConditions(request);
  if (!status) return undefined;
  const addresses = [['ip', 4] as const, ['ip6', 6] as const].flatMap(([key, version]) => {
    const expression = query.get(key);
    return expression === undefined ? [] : [{ version, fits: pattern(expression, key) }];
  });
  const page = readPage(request);
  return {
    projectId: project.id,
    conditions: [
      ...status,
      ...lifeConditions(request, query),
      ...exactConditions(query),
      ...plainConditions(query),
      ...(project.user === null ? [] : [{ column: 'user_id', op: '=', value: project.user } as const]),
    ],
    tests: memoryTests(query),
    addresses,
    tags: {
      all: tagList(query, 'tags'),
      any: tagList(query, 'tags-any'),
      notAll: tagList(query, 'not-tags'),
      notAny: tagList(query, 'not-tags-any'),
    },
    sort: readSort(request),
    limit: page.limit,
    withUserData: detailed && minor >= 3 && may('os-extended-server-attributes'),
    ...(page.marker === undefined ? {} : { marker: page.marker }),
  };
}
