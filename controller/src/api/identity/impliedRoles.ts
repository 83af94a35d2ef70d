// Which roles a role implies, and all such rules.
import type { Cloud } from '../../cloud';
import type { Role } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { findRole, implyRole, inferences, stopImplying, type Inferences } from '../../services/identity/roles';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { linkBase } from './listing';

const ref = (request: ApiRequest, role: Role): object => ({
  id: role.id,
  links: { self: `${linkBase(request)}/roles/${role.id}` },
  name: role.name,
});

async function findPair(request: ApiRequest, cloud: Cloud, rule: string): Promise<[Role, Role]> {
  cloud.policy.require(request.caller, rule);
  const prior = await findRole(cloud, param(request, 'role_id'));
  const implied = await findRole(cloud, param(request, 'implied_role_id'));
  if (!prior) throw new NotFoundError(`Could not find role: ${param(request, 'role_id')}.`);
  if (!implied) throw new NotFoundError(`Could not find role: ${param(request, 'implied_role_id')}.`);
  return [prior, implied];
}

/** The roles that a role implies directly. */
const impliedBy = (known: Inferences, priorId: string): Role[] =>
  known.roles.filter((role) =>
    known.rules.some((rule) => rule.prior_role_id === priorId && rule.implied_role_id === role.id),
  );

const inference = (request: ApiRequest, prior: Role, implies: unknown): object => ({
  role_inference: { prior_role: ref(request, prior), implies },
  links: { self: request.origin + request.path },
});

async function list(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:list_implied_roles');
  const prior = await findRole(cloud, param(request, 'role_id'));
  if (!prior) throw new NotFoundError(`Could not find role: ${param(request, 'role_id')}.`);
  const implied = impliedBy(await inferences(cloud), prior.id);
  return {
    status: 200,
    body: inference(
      request,
      prior,
      implied.map((role) => ref(request, role)),
    ),
  };
}

async function show(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const [prior, implied] = await findPair(request, cloud, 'identity:get_implied_role');
  if (!impliedBy(await inferences(cloud), prior.id).some((role) => role.id === implied.id))
    throw new NotFoundError(`Role ${prior.id} does not imply role ${implied.id}.`);
  return { status: 200, body: inference(request, prior, ref(request, implied)) };
}

async function check(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  await show(request, cloud);
  return { status: 204 };
}

async function create(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const [prior, implied] = await findPair(request, cloud, 'identity:create_implied_role');
  await implyRole(cloud, prior, implied);
  return { status: 201, body: inference(request, prior, ref(request, implied)) };
}

async function remove(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const [prior, implied] = await findPair(request, cloud, 'identity:delete_implied_role');
  await stopImplying(cloud, prior, implied);
  return { status: 204 };
}

async function listRules(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  cloud.policy.require(request.caller, 'identity:list_role_inference_rules');
  const known = await inferences(cloud);
  const rules = known.roles.flatMap((prior) => {
    const implies = impliedBy(known, prior.id).map((role) => ref(request, role));
    return implies.length === 0 ? [] : [{ prior_role: ref(request, prior), implies }];
  });
  return { status: 200, body: { role_inferences: rules, links: { self: request.origin + request.path } } };
}

export const impliedRoleRoutes: readonly Route[] = [
  { method: 'GET', path: '/role_inferences', handler: listRules },
  { method: 'GET', path: '/roles/:role_id/implies', handler: list },
  { method: 'HEAD', path: '/roles/:role_id/implies/:implied_role_id', handler: check },
  { method: 'GET', path: '/roles/:role_id/implies/:implied_role_id', handler: show },
  { method: 'PUT', path: '/roles/:role_id/implies/:implied_role_id', handler: create },
  { method: 'DELETE', path: '/roles/:role_id/implies/:implied_role_id', handler: remove },
];
