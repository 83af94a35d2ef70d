// Handlers of a flavor's sub-resources: extra specs and access.
import { InvalidError, ConflictError, NotFoundError } from '../../errors';
import {
  addAccess,
  deleteExtraSpec,
  extraSpecsOf,
  findExtraSpec,
  findFlavor,
  listAccess,
  removeAccess,
  setExtraSpecs,
} from '../../services/compute/flavors';
import { checkExtraSpec } from '../../services/compute/extraSpecs';
import { param } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { extraSpecsCreate, extraSpecUpdate, flavorAction } from './flavorSchema';

const idOf = (request: ApiRequest): string => param(request, 'id');
const keyOf = (request: ApiRequest): string => param(request, 'key');

/** Numbers are accepted and kept as text. @throws InvalidError when that is too long */
function texts(request: ApiRequest, specs: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(specs).map(([key, value]) => {
      const text = String(value);
      if (request.microversion.minor >= 86) checkExtraSpec(key, text);
      if (text.length > 255) throw new InvalidError(`extra_specs value of ${key} has more than 255 characters.`);
      return [key, text];
    }),
  );
}

const listSpecs: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    return {
      status: 200,
      body: { extra_specs: (await extraSpecsOf(session, [flavor.flavorid])).get(flavor.flavorid) },
    };
  });

const showSpec: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    return { status: 200, body: { [keyOf(request)]: await findExtraSpec(session, flavor.flavorid, keyOf(request)) } };
  });

const createSpecs: Handler = async (request, cloud) => {
  const body = request.body as { extra_specs: Record<string, string | number> };
  const specs = texts(request, body.extra_specs);
  await cloud.db.write(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    await setExtraSpecs(session, flavor.flavorid, specs);
  });
  return { status: 200, body };
};

const updateSpec: Handler = async (request, cloud) => {
  const body = request.body as Record<string, string | number>;
  if (!(keyOf(request) in body)) throw new InvalidError('Request body and URI mismatch');
  const specs = texts(request, body);
  await cloud.db.write(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    await setExtraSpecs(session, flavor.flavorid, specs);
  });
  return { status: 200, body };
};

const removeSpec: Handler = async (request, cloud) => {
  await cloud.db.write(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    await deleteExtraSpec(session, flavor.flavorid, keyOf(request));
  });
  return { status: 200 };
};

const accessView = (flavorid: string, projects: readonly string[]) => ({
  flavor_access: projects.map((project) => ({ flavor_id: flavorid, tenant_id: project })),
});

const showAccess: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    if (flavor.is_public) throw new NotFoundError('Access list not available for public flavors.');
    return { status: 200, body: accessView(flavor.flavorid, await listAccess(session, flavor.flavorid)) };
  });

const act: Handler = (request, cloud) => {
  const body = request.body as { addTenantAccess?: { tenant: string }; removeTenantAccess?: { tenant: string } };
  const adds = body.addTenantAccess !== undefined;
  cloud.policy.require(
    request.caller,
    `os_compute_api:os-flavor-access:${adds ? 'add_tenant_access' : 'remove_tenant_access'}`,
  );
  const tenant = (body.addTenantAccess ?? body.removeTenantAccess)?.tenant ?? '';
  return cloud.db.write(async (session) => {
    const flavor = await findFlavor(session, request.caller, idOf(request));
    if (adds && flavor.is_public && request.microversion.minor >= 7)
      throw new ConflictError('Can not add access to a public flavor.');
    await (adds ? addAccess : removeAccess)(session, flavor.flavorid, tenant);
    return { status: 200, body: accessView(flavor.flavorid, await listAccess(session, flavor.flavorid)) };
  });
};

const specs = 'os_compute_api:os-flavor-extra-specs';
export const flavorExtraRoutes: readonly Route[] = [
  { method: 'GET', path: '/flavors/:id/os-extra_specs', handler: listSpecs, policy: `${specs}:index` },
  {
    method: 'POST',
    path: '/flavors/:id/os-extra_specs',
    handler: createSpecs,
    policy: `${specs}:create`,
    schema: extraSpecsCreate,
  },
  { method: 'GET', path: '/flavors/:id/os-extra_specs/:key', handler: showSpec, policy: `${specs}:show` },
  {
    method: 'PUT',
    path: '/flavors/:id/os-extra_specs/:key',
    handler: updateSpec,
    policy: `${specs}:update`,
    schema: extraSpecUpdate,
  },
  { method: 'DELETE', path: '/flavors/:id/os-extra_specs/:key', handler: removeSpec, policy: `${specs}:delete` },
  {
    method: 'GET',
    path: '/flavors/:id/os-flavor-access',
    handler: showAccess,
    policy: 'os_compute_api:os-flavor-access',
  },
  { method: 'POST', path: '/flavors/:id/action', handler: act, schema: flavorAction },
];
