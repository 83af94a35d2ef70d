// Address groups in the API, with the operations that add and remove addresses.
import type { Cloud } from '../../cloud';
import type { addressGroups, AddressGroup } from '../../db/entities/network';
import {
  addAddresses,
  addressesOfGroups,
  createAddressGroup,
  deleteAddressGroup,
  removeAddresses,
  updateAddressGroup,
} from '../../services/network/addressGroups';
import { badRequest } from '../../services/network/errors';
import { findVisible } from '../../services/network/resource';
import { addressGroupResource } from '../../services/network/resources';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { initial, readUpdate, standardAttributes, writable, type Values } from './attribute';
import { listOf, prefix, text } from './checks';
import type { Noun } from './noun';
import { standardView } from './standardView';

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description', sort: true }),
  addresses: initial(listOf(prefix, true)),
};

export const addressGroupNoun: Noun<typeof addressGroups> = {
  member: 'address_group',
  path: '/address-groups',
  resource: addressGroupResource,
  attributes,
  views: async ({ session }, rows) => {
    const addresses = await addressesOfGroups(
      session,
      rows.map((row) => row.id),
    );
    return rows.map((row) => ({ name: row.name, addresses: addresses.get(row.id) ?? [], ...standardView(row) }));
  },
  create: (context, { projectId, values }) => createAddressGroup(context, projectId, values),
  update: updateAddressGroup,
  remove: deleteAddressGroup,
};

const body = { addresses: writable(listOf(prefix, true)) };

const addressesHandler =
  (work: typeof addAddresses) =>
  (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    const given = (request.body as { address_group?: unknown } | undefined)?.address_group;
    if (typeof given !== 'object' || given === null) throw badRequest("Unable to find 'address_group' in request body");
    const values = readUpdate(body, given as Record<string, unknown>) as Values<typeof body>;
    const { caller } = request;
    return cloud.db.write(async (session) => {
      const context = { session, cloud, caller };
      const group: AddressGroup = await findVisible(
        session,
        cloud,
        caller,
        addressGroupResource,
        param(request, 'id'),
        'exclusive',
      );
      cloud.policy.require(caller, 'network:address_groups:update', group);
      const [view] = await addressGroupNoun.views(context, [await work(context, group, values.addresses ?? [])]);
      return { status: 200, body: { address_group: view } };
    });
  };

export const addressGroupRoutes: readonly Route[] = [
  { method: 'PUT', path: '/address-groups/:id/add_addresses', handler: addressesHandler(addAddresses) },
  { method: 'PUT', path: '/address-groups/:id/remove_addresses', handler: addressesHandler(removeAddresses) },
];
