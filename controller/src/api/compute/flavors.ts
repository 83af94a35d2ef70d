// Handlers of /flavors.
import type { flavors } from '../../db/entities/compute';
import type { Sort } from '../../db';
import { InvalidError } from '../../errors';
import {
  createFlavor,
  deleteFlavor,
  describeFlavor,
  extraSpecsOf,
  findFlavor,
  listFlavors,
  type FlavorFilters,
} from '../../services/compute/flavors';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { flavorCreate, flavorUpdate } from './flavorSchema';
import { flavorDetail, flavorSummary } from './flavorView';
import { nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { isTrue } from './schemaTypes';

const sortColumns: Readonly<Record<string, Sort<typeof flavors>['column']>> = {
  created_at: 'created_at',
  description: 'description',
  disabled: 'disabled',
  ephemeral_gb: 'ephemeral',
  flavorid: 'flavorid',
  id: 'created_at',
  is_public: 'is_public',
  memory_mb: 'ram',
  name: 'name',
  root_gb: 'disk',
  rxtx_factor: 'rxtx_factor',
  swap: 'swap',
  updated_at: 'updated_at',
  vcpu_weight: 'flavorid',
  vcpus: 'vcpus',
};
const listKeys = ['limit', 'marker', 'is_public', 'minRam', 'minDisk', 'sort_key', 'sort_dir'];

function readSort(request: ApiRequest): Sort<typeof flavors> {
  const key = queryValue(request.query, 'sort_key') ?? 'flavorid';
  const direction = queryValue(request.query, 'sort_dir') ?? 'asc';
  const column = sortColumns[key];
  if (!column) throw new InvalidError(`Invalid sort_key '${key}'.`);
  if (direction !== 'asc' && direction !== 'desc') throw new InvalidError(`Invalid sort_dir '${direction}'.`);
  return { column, direction };
}

function readMinimum(request: ApiRequest, key: 'minRam' | 'minDisk'): number | undefined {
  const text = queryValue(request.query, key);
  if (text === undefined) return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidError(`Invalid ${key} filter [${text}]`);
  return Number(text);
}

/** Absent: public ones; the literal word None: all. */
function readIsPublic(request: ApiRequest): boolean | null {
  const text = queryValue(request.query, 'is_public');
  if (text === undefined || !request.caller.isAdmin) return true;
  const word = text.toLowerCase();
  if (word === 'none') return null;
  if (['1', 't', 'true', 'on', 'y', 'yes'].includes(word)) return true;
  if (['0', 'f', 'false', 'off', 'n', 'no'].includes(word)) return false;
  throw new InvalidError(`Invalid is_public filter [${text}]`);
}

function readFilters(request: ApiRequest): FlavorFilters {
  refuseUnknownQuery(request, listKeys);
  const page = readPage(request);
  const [minRam, minDisk] = [readMinimum(request, 'minRam'), readMinimum(request, 'minDisk')];
  return {
    isPublic: readIsPublic(request),
    sort: readSort(request),
    limit: page.limit,
    ...(page.marker === undefined ? {} : { marker: page.marker }),
    ...(minRam === undefined ? {} : { minRam }),
    ...(minDisk === undefined ? {} : { minDisk }),
  };
}

const listHandler =
  (detailed: boolean): Handler =>
  (request, cloud) =>
    cloud.db.read(async (session) => {
      const filters = readFilters(request);
      const rows = await listFlavors(session, request.caller, filters);
      const withSpecs = detailed && request.microversion.minor >= 61;
      const specs = await extraSpecsOf(session, withSpecs ? rows.map((row) => row.flavorid) : []);
      const path = detailed ? 'flavors/detail' : 'flavors';
      const links = nextPage(request, path, readPage(request), rows.at(-1)?.flavorid, rows.length);
      return {
        status: 200,
        body: {
          flavors: rows.map((row) =>
            detailed ? flavorDetail(request, row, specs.get(row.flavorid) ?? {}) : flavorSummary(request, row),
          ),
          ...(links ? { flavors_links: links } : {}),
        },
      };
    });

const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const flavor = await findFlavor(session, request.caller, param(request, 'id'));
    const specs = await extraSpecsOf(session, [flavor.flavorid]);
    return { status: 200, body: { flavor: flavorDetail(request, flavor, specs.get(flavor.flavorid) ?? {}) } };
  });

interface FlavorBody {
  readonly name: string;
  readonly id?: string | number | null;
  readonly ram: number | string;
  readonly vcpus: number | string;
  readonly disk: number | string;
  readonly swap?: number | string;
  readonly rxtx_factor?: number | string;
  readonly description?: string | null;
  readonly 'OS-FLV-EXT-DATA:ephemeral'?: number | string;
  readonly 'os-flavor-access:is_public'?: unknown;
}

const create: Handler = async (request, cloud) => {
  const { flavor: body } = request.body as { flavor: FlavorBody };
  const flavor = await cloud.db.write((session) =>
    createFlavor(session, cloud, {
      name: body.name.trim(),
      flavorid: body.id === undefined || body.id === null || body.id === 'auto' ? null : String(body.id),
      vcpus: Number(body.vcpus),
      ram: Number(body.ram),
      disk: Number(body.disk),
      ephemeral: Number(body['OS-FLV-EXT-DATA:ephemeral'] ?? 0),
      swap: Number(body.swap ?? 0),
      rxtxFactor: Number(body.rxtx_factor ?? 1),
      isPublic: isTrue(body['os-flavor-access:is_public'] ?? true),
      description: body.description ?? null,
    }),
  );
  return { status: 200, body: { flavor: flavorDetail(request, flavor, {}) } };
};

const update: Handler = async (request, cloud) => {
  const { flavor: body } = request.body as { flavor: { description: string | null } };
  const id = param(request, 'id');
  const flavor = await cloud.db.write((session) => describeFlavor(session, cloud, id, body.description));
  const specs = await cloud.db.read((session) => extraSpecsOf(session, [id]));
  return { status: 200, body: { flavor: flavorDetail(request, flavor, specs.get(id) ?? {}) } };
};

const remove: Handler = async (request, cloud) => {
  await cloud.db.write((session) => deleteFlavor(session, param(request, 'id')));
  return { status: 202 };
};

const manage = 'os_compute_api:os-flavor-manage';
export const flavorRoutes: readonly Route[] = [
  { method: 'GET', path: '/flavors', handler: listHandler(false) },
  { method: 'GET', path: '/flavors/detail', handler: listHandler(true) },
  { method: 'GET', path: '/flavors/:id', handler: show },
  { method: 'POST', path: '/flavors', handler: create, policy: `${manage}:create`, schema: flavorCreate },
  { method: 'PUT', path: '/flavors/:id', handler: update, policy: `${manage}:update`, schema: flavorUpdate, since: 55 },
  { method: 'DELETE', path: '/flavors/:id', handler: remove, policy: `${manage}:delete` },
];
