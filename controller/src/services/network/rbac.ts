// RBAC policies: who besides the owner may use a network or a security group.
import { newId } from '@cumulet/common';
import { In, isDuplicate } from '../../db';
import {
  networks,
  portGroups,
  ports,
  rbacPolicies,
  routers,
  securityGroups,
  type RbacPolicy,
} from '../../db/entities/network';
import { ForbiddenError } from '../../errors';
import type { NetworkContext } from './context';
import { conflict } from './errors';
import { returnQuota, takeQuota } from './quotas';
import { findVisible } from './resource';
import { networkResource, securityGroupResource } from './resources';

export interface RbacValues {
  readonly object_type: string;
  readonly object_id: string;
  readonly action: string;
  readonly target_tenant: string;
}

/** Which actions each type of object knows. */
export const rbacActions: Readonly<Record<string, readonly string[]>> = {
  network: ['access_as_shared', 'access_as_external'],
  security_group: ['access_as_shared'],
};

const duplicate = () => conflict('DuplicateRbacPolicy', 'An RBAC policy already exists with those values.');

/** '*' opens an object to everybody, which only administrators may do. */
function checkTarget(context: NetworkContext, verb: 'create' | 'update', target: string, projectId: string): void {
  if (target === '*')
    context.cloud.policy.require(context.caller, `network:rbac_policies:${verb}:everybody`, { project_id: projectId });
}

/** A network is external as long as somebody may use it so. */
async function followExternal(context: NetworkContext, networkId: string): Promise<void> {
  const { session } = context;
  const left = await session.count(rbacPolicies, { object_id: networkId, action: 'access_as_external' });
  await session.update(networks, { id: networkId }, { external: left > 0 });
}

/** The object must be the caller's own, unless an administrator asks. @throws NotFoundError, ForbiddenError */
async function checkObject(context: NetworkContext, values: RbacValues): Promise<void> {
  const { session, cloud, caller } = context;
  const resource = values.object_type === 'network' ? networkResource : securityGroupResource;
  const object =
    values.object_type === 'network'
      ? await findVisible(session, cloud, caller, networkResource, values.object_id)
      : await findVisible(session, cloud, caller, securityGroupResource, values.object_id);
  cloud.policy.require(caller, `network:${resource.collection}:update`, { project_id: object.project_id });
  if (values.action === 'access_as_external' && !cloud.policy.allows(caller, 'network:networks:create:router:external'))
    throw new ForbiddenError('Only administrators may make networks external.', 'PolicyNotAuthorized');
}

/** @throws ApiError DuplicateRbacPolicy, OverQuota, NetworkNotFound, SecurityGroupNotFound, ForbiddenError */
export async function createRbacPolicy(
  context: NetworkContext,
  projectId: string,
  values: RbacValues,
): Promise<RbacPolicy> {
  const { session } = context;
  checkTarget(context, 'create', values.target_tenant, projectId);
  await checkObject(context, values);
  await takeQuota(session, projectId, 'rbac_policy');
  const row: RbacPolicy = { id: newId(), project_id: projectId, ...values };
  try {
    await session.insert(rbacPolicies, row);
  } catch (error) {
    throw isDuplicate(error) ? duplicate() : error;
  }
  if (values.action === 'access_as_external') await followExternal(context, values.object_id);
  return row;
}

/** Whether the target uses the object by nothing but this policy. */
async function isUsed(context: NetworkContext, policy: RbacPolicy): Promise<boolean> {
  const { session } = context;
  const others = await session.find(rbacPolicies, {
    where: { object_type: policy.object_type, object_id: policy.object_id, action: policy.action },
  });
  const still = new Set(others.filter((one) => one.id !== policy.id).map((one) => one.target_tenant));
  if (still.has('*')) return false;
  const affected = (projectId: string, ownerId: string | undefined): boolean =>
    projectId !== '' &&
    projectId !== ownerId &&
    !still.has(projectId) &&
    (policy.target_tenant === '*' || policy.target_tenant === projectId);
  if (policy.action === 'access_as_external') {
    const using = await session.find(routers, { where: { gateway_network_id: policy.object_id } });
    const network = await session.findOne(networks, { id: policy.object_id });
    return using.some((router) => affected(router.project_id, network?.project_id));
  }
  const owner = policy.project_id;
  if (policy.object_type === 'network') {
    const using = await session.find(ports, { where: { network_id: policy.object_id } });
    return using.some((port) => affected(port.project_id, owner));
  }
  const links = await session.find(portGroups, { where: { security_group_id: policy.object_id } });
  const using = await session.find(ports, { where: { id: In(links.map((link) => link.port_id)) } });
  return using.some((port) => affected(port.project_id, owner));
}

async function checkUnused(context: NetworkContext, policy: RbacPolicy): Promise<void> {
  // Whoever uses the object holds it while doing so.
  await context.session.findOne(
    policy.object_type === 'network' ? networks : securityGroups,
    { id: policy.object_id },
    'exclusive',
  );
  if (await isUsed(context, policy))
    throw conflict(
      'RbacPolicyInUse',
      `RBAC policy on object ${policy.object_id} cannot be removed because other objects depend on it.`,
    );
}

/** Only the target can change. @throws ConflictError RbacPolicyInUse, DuplicateRbacPolicy */
export async function updateRbacPolicy(
  context: NetworkContext,
  policy: RbacPolicy,
  values: Partial<RbacValues>,
): Promise<RbacPolicy> {
  const target = values.target_tenant ?? policy.target_tenant;
  if (target === policy.target_tenant) return policy;
  checkTarget(context, 'update', target, policy.project_id);
  await checkUnused(context, policy);
  try {
    await context.session.update(rbacPolicies, { id: policy.id }, { target_tenant: target });
  } catch (error) {
    throw isDuplicate(error) ? duplicate() : error;
  }
  return { ...policy, target_tenant: target };
}

/** @throws ConflictError RbacPolicyInUse */
export async function deleteRbacPolicy(context: NetworkContext, policy: RbacPolicy): Promise<void> {
  await checkUnused(context, policy);
  await context.session.delete(rbacPolicies, { id: policy.id });
  await returnQuota(context.session, policy.project_id, 'rbac_policy');
  if (policy.action === 'access_as_external') await followExternal(context, policy.object_id);
}
