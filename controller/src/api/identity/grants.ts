// Roles of users and groups on projects, domains and the system, also inherited to the projects below (OS-INHERIT).
import type { Cloud } from '../../cloud';
import type { Role } from '../../db/entities/identity';
import { NotFoundError } from '../../errors';
import { grantedRoles, grantRole, requireGrant, revokeRole, type Grant } from '../../services/identity/grants';
import { findGroup } from '../../services/identity/groups';
import { findProject } from '../../services/identity/projects';
import { findRole, leadsToAdmin } from '../../services/identity/roles';
import { findUser } from '../../services/identity/users';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Handler, Method, Route } from '../route';
import { targetOf } from './access';
import { collection } from './listing';
import { roleView } from './roleView';

type ActorType = 'user' | 'group';
type TargetType = 'project' | 'domain' | 'system';

interface Place {
  readonly actor: ActorType;
  readonly target: TargetType;
  readonly inherited: boolean;
}

type Found = { readonly id: string; readonly domain_id: string } | undefined;

async function findActor(cloud: Cloud, actor: ActorType, id: string): Promise<Found> {
  return actor === 'user' ? findUser(cloud, id) : findGroup(cloud, id);
}

/** A domain belongs to itself. */
async function findTarget(cloud: Cloud, target: TargetType, id: string): Promise<Found> {
  if (target === 'system') return { id: 'all', domain_id: '' };
  const row = await findProject(cloud, id);
  if (!row || (target === 'domain' && !row.is_domain)) return undefined;
  return { id, domain_id: row.is_domain ? row.id : row.domain_id };
}

const ruleFor = (action: string, { target }: Place): string => {
  const noun = target === 'system' ? 'system_grant' : 'grant';
  return `identity:${action}_${noun}${action === 'list' ? 's' : ''}`;
};

async function roleTarget(cloud: Cloud, role: Role | undefined): Promise<object> {
  return role
    ? { ...targetOf.role(role), 'target.role.leads_to_admin': (await leadsToAdmin(cloud, role)) ? 'True' : 'False' }
    : {};
}

/** Everything a path names, after the policy has agreed. @throws ForbiddenError, then NotFoundError */
async function resolve(request: ApiRequest, cloud: Cloud, place: Place, action: string): Promise<Grant> {
  const actorId = param(request, `${place.actor}_id`);
  const targetId = param(request, `${place.target}_id`);
  const roleId = param(request, 'role_id');
  const actor = await findActor(cloud, place.actor, actorId);
  const target = await findTarget(cloud, place.target, targetId);
  const role = action === 'list' ? undefined : await findRole(cloud, roleId);
  cloud.policy.require(request.caller, ruleFor(action, place), {
    ...(actor ? { 'target.actor.domain_id': actor.domain_id } : {}),
    ...(target ? { 'target.target.domain_id': target.domain_id } : {}),
    ...(await roleTarget(cloud, role)),
  });
  if (!actor) throw new NotFoundError(`Could not find ${place.actor}: ${actorId}.`);
  if (!target) throw new NotFoundError(`Could not find ${place.target}: ${targetId}.`);
  if (action !== 'list' && !role) throw new NotFoundError(`Could not find role: ${roleId}.`);
  return {
    actor_type: place.actor,
    actor_id: actor.id,
    target_type: place.target,
    target_id: target.id,
    inherited: place.inherited,
  };
}

const handlers = (place: Place): Record<'list' | 'check' | 'grant' | 'revoke', Handler> => ({
  async list(request, cloud): Promise<ApiResponse> {
    const rows = await grantedRoles(cloud, await resolve(request, cloud, place, 'list'));
    return collection(
      request,
      'roles',
      rows.map((row) => roleView(request, row)),
    );
  },
  async check(request, cloud) {
    await requireGrant(cloud, await resolve(request, cloud, place, 'check'), param(request, 'role_id'));
    return { status: 204 };
  },
  async grant(request, cloud) {
    await grantRole(cloud, await resolve(request, cloud, place, 'create'), param(request, 'role_id'));
    return { status: 204 };
  },
  async revoke(request, cloud) {
    await revokeRole(cloud, await resolve(request, cloud, place, 'revoke'), param(request, 'role_id'));
    return { status: 204 };
  },
});

/** The five routes of one kind of actor on one kind of target. */
function routesFor(place: Place): Route[] {
  const { list, check, grant, revoke } = handlers(place);
  const target = place.target === 'system' ? '/system' : `/${place.target}s/:${place.target}_id`;
  const base = `${place.inherited ? '/OS-INHERIT' : ''}${target}/${place.actor}s/:${place.actor}_id/roles`;
  const tail = place.inherited ? '/inherited_to_projects' : '';
  const one = (method: Method, handler: Handler): Route => ({ method, path: `${base}/:role_id${tail}`, handler });
  return [
    { method: 'GET', path: base + tail, handler: list },
    one('GET', check),
    one('PUT', grant),
    one('DELETE', revoke),
  ];
}

const ACTORS = ['user', 'group'] as const;

export const grantRoutes: readonly Route[] = ACTORS.flatMap((actor) => [
  ...routesFor({ actor, target: 'project', inherited: false }),
  ...routesFor({ actor, target: 'domain', inherited: false }),
  ...routesFor({ actor, target: 'system', inherited: false }),
  ...routesFor({ actor, target: 'project', inherited: true }),
  ...routesFor({ actor, target: 'domain', inherited: true }),
]);
