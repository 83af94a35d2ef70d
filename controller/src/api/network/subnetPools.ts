// Subnet pools in the API, with the operations that add and remove prefixes.
import type { Cloud } from '../../cloud';
import type { subnetPools, SubnetPool } from '../../db/entities/network';
import { badRequest } from '../../services/network/errors';
import { findVisible } from '../../services/network/resource';
import { subnetPoolResource } from '../../services/network/resources';
import {
  addPrefixes,
  createSubnetPool,
  deleteSubnetPool,
  removePrefixes,
  updateSubnetPool,
} from '../../services/network/subnetPools';
import { tagsOf } from '../../services/network/tags';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { initial, readable, readUpdate, standardAttributes, writable, type Values } from './attribute';
import { cidr, flag, integer, listOf, refuse, text, type Check } from './checks';
import type { Noun } from './noun';
import { standardView } from './standardView';

const notEmpty: Check<string> = (value) => {
  const name = text()(value);
  return name.trim() === '' ? refuse(`'${name}' Blank strings are not permitted`) : name;
};
const length = integer(0, 128);

const attributes = {
  ...standardAttributes,
  name: { ...writable(notEmpty, { column: 'name', sort: true }), required: true },
  description: writable(text(), { column: 'description' }),
  prefixes: { ...writable(listOf(cidr, true)), required: true },
  ip_version: readable({ column: 'ip_version', filter: 'number', sort: true }),
  default_quota: writable(integer(0), { column: 'default_quota', filter: 'number', sort: true }),
  default_prefixlen: writable(length, { column: 'default_prefixlen', filter: 'number', sort: true }),
  min_prefixlen: writable(length, { column: 'min_prefixlen', filter: 'number', sort: true }),
  max_prefixlen: writable(length, { column: 'max_prefixlen', filter: 'number', sort: true }),
  shared: initial(flag, { guarded: true, column: 'shared', filter: 'flag', sort: true }),
  is_default: writable(flag, { guarded: true, column: 'is_default', filter: 'flag', sort: true }),
  tags: readable(),
};

export const subnetPoolNoun: Noun<typeof subnetPools> = {
  member: 'subnetpool',
  path: '/subnetpools',
  resource: subnetPoolResource,
  attributes,
  views: async ({ session }, rows) => {
    const tags = await tagsOf(
      session,
      rows.map((row) => row.id),
    );
    return rows.map((row) => ({
      name: row.name,
      prefixes: row.prefixes,
      ip_version: row.ip_version,
      default_quota: row.default_quota,
      default_prefixlen: row.default_prefixlen,
      min_prefixlen: row.min_prefixlen,
      max_prefixlen: row.max_prefixlen,
      shared: row.shared,
      is_default: row.is_default,
      ...standardView(row, tags.get(row.id) ?? []),
    }));
  },
  create: (context, { projectId, values }) => createSubnetPool(context, projectId, values),
  update: updateSubnetPool,
  remove: deleteSubnetPool,
};

const body = { prefixes: writable(listOf(cidr, true)) };

const prefixesHandler =
  (work: typeof addPrefixes) =>
  (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    if (typeof request.body !== 'object' || request.body === null) throw badRequest('Resource body required');
    const values = readUpdate(body, request.body as Record<string, unknown>) as Values<typeof body>;
    const { caller } = request;
    return cloud.db.write(async (session) => {
      const pool: SubnetPool = await findVisible(
        session,
        cloud,
        caller,
        subnetPoolResource,
        param(request, 'id'),
        'exclusive',
      );
      cloud.policy.require(caller, 'network:subnetpools:update', pool);
      const changed = await work({ session, cloud, caller }, pool, values.prefixes ?? []);
      return { status: 200, body: { prefixes: changed.prefixes } };
    });
  };

export const subnetPoolRoutes: readonly Route[] = [
  { method: 'PUT', path: '/subnetpools/:id/add_prefixes', handler: prefixesHandler(addPrefixes) },
  { method: 'PUT', path: '/subnetpools/:id/remove_prefixes', handler: prefixesHandler(removePrefixes) },
];
