// Security groups: made with the two egress rules, deleted when no port is in them.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In } from '../../db';
import {
  defaultGroups,
  networkTags,
  portGroups,
  rbacPolicies,
  securityGroupRules,
  securityGroups,
  type SecurityGroup,
} from '../../db/entities/network';
import { changedGroups, recordChanges } from './changes';
import { touched, type NetworkContext } from './context';
import { defaultGroupOf, egressRules, ensureDefaultGroup } from './defaultGroup';
import { conflict } from './errors';
import { returnQuota, takeQuota } from './quotas';

export interface GroupValues {
  readonly name?: string;
  readonly description?: string;
  readonly stateful?: boolean;
}

/** Only the cloud makes a group of this name. @throws ConflictError SecurityGroupDefaultAlreadyExists */
function checkName(name: string | undefined): void {
  if (name?.toLowerCase() === 'default')
    throw conflict('SecurityGroupDefaultAlreadyExists', 'Default security group already exists.');
}

/** Makes a project's default group in a transaction of its own, if it is not there: lists show it from the first call on. */
export async function ensureDefaultGroupOf(cloud: Cloud, projectId: string | null): Promise<void> {
  if (projectId === null) return;
  if ((await cloud.db.read((session) => defaultGroupOf(session, projectId))) !== undefined) return;
  await cloud.db.write((session) => ensureDefaultGroup(session, cloud, projectId));
}

/** @throws ApiError OverQuota, SecurityGroupDefaultAlreadyExists */
export async function createGroup(
  context: NetworkContext,
  projectId: string,
  values: GroupValues,
): Promise<SecurityGroup> {
  const { session, cloud } = context;
  checkName(values.name);
  await ensureDefaultGroup(session, cloud, projectId);
  await takeQuota(session, projectId, 'security_group');
  const now = cloud.clock.now();
  const group: SecurityGroup = {
    id: newId(),
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 1,
    stateful: values.stateful ?? true,
  };
  await session.insert(securityGroups, group);
  await takeQuota(session, projectId, 'security_group_rule', 2);
  await session.insert(securityGroupRules, egressRules(group, now));
  await recordChanges(session, cloud, changedGroups([group.id]));
  return group;
}

/** @throws ConflictError SecurityGroupInUse when a group with ports would change between stateful and stateless */
export async function updateGroup(
  context: NetworkContext,
  group: SecurityGroup,
  values: GroupValues,
): Promise<SecurityGroup> {
  const { session, cloud } = context;
  const isDefault = (await session.count(defaultGroups, { security_group_id: group.id })) > 0;
  if (isDefault && values.name !== undefined && values.name !== group.name)
    throw conflict('SecurityGroupCannotUpdateDefault', 'Updating default security group not allowed.');
  if (!isDefault) checkName(values.name);
  if (values.stateful !== undefined && values.stateful !== group.stateful) {
    if ((await session.count(portGroups, { security_group_id: group.id })) > 0)
      throw conflict('SecurityGroupInUse', `Security Group ${group.id} in use.`);
  }
  const set = {
    name: values.name ?? group.name,
    description: values.description ?? group.description,
    stateful: values.stateful ?? group.stateful,
    ...touched(context, group),
  };
  await session.update(securityGroups, { id: group.id }, set);
  await recordChanges(session, cloud, changedGroups([group.id]));
  return { ...group, ...set };
}

/** @throws ConflictError SecurityGroupInUse, SecurityGroupCannotRemoveDefault */
export async function deleteGroup(context: NetworkContext, group: SecurityGroup): Promise<void> {
  const { session, cloud, caller } = context;
  const isDefault = (await session.count(defaultGroups, { security_group_id: group.id })) > 0;
  if (isDefault && !cloud.policy.allows(caller, 'network:security_groups:delete:default', group))
    throw conflict('SecurityGroupCannotRemoveDefault', 'Insufficient rights for removing default security group.');
  const inUse = (await session.count(portGroups, { security_group_id: group.id })) > 0;
  if (inUse) throw conflict('SecurityGroupInUse', `Security Group ${group.id} in use.`);
  // Rules of other groups that name this one as remote would allow nobody any more; they go with it.
  const rules = await session.find(securityGroupRules, {
    where: [{ security_group_id: group.id }, { remote_group_id: group.id }],
  });
  await session.delete(securityGroupRules, { id: In(rules.map((rule) => rule.id)) });
  await session.delete(defaultGroups, { security_group_id: group.id });
  await session.delete(networkTags, { resource_id: group.id });
  await session.delete(rbacPolicies, { object_type: 'security_group', object_id: group.id });
  await session.delete(securityGroups, { id: group.id });
  for (const rule of rules) await returnQuota(session, rule.project_id, 'security_group_rule');
  await returnQuota(session, group.project_id, 'security_group');
  const touching = rules.flatMap((rule) => [
    rule.security_group_id,
    ...(rule.remote_group_id === null ? [] : [rule.remote_group_id]),
  ]);
  await recordChanges(session, cloud, changedGroups([group.id, ...touching]));
}
