// The security group `default` of a project: made on first use, with the four rules that let its members talk to each other.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { type InsertRow, type ReadSession, type WriteSession } from '../../db';
import { defaultGroups, securityGroupRules, securityGroups } from '../../db/entities/network';
import { takeQuota } from './quotas';

const EVERYTHING = { protocol: null, port_range_min: null, port_range_max: null, remote_ip_prefix: null };

type RuleRow = InsertRow<typeof securityGroupRules>;

/** Rules of every new group: all outgoing traffic is allowed. */
export function egressRules(group: { id: string; project_id: string }, now: number): RuleRow[] {
  return (['IPv4', 'IPv6'] as const).map((ethertype) => ({
    id: newId(),
    project_id: group.project_id,
    description: '',
    created_at: now,
    updated_at: now,
    revision: 0,
    security_group_id: group.id,
    direction: 'egress',
    ethertype,
    ...EVERYTHING,
    remote_group_id: null,
    remote_address_group_id: null,
  }));
}

/** The id of a project's default group, if it was made already. */
export async function defaultGroupOf(session: ReadSession, projectId: string): Promise<string | undefined> {
  const row = await session.findOne(defaultGroups, { project_id: projectId }, 'shared');
  return row?.security_group_id;
}

/** The id of a project's default group; makes the group when it does not exist. */
export async function ensureDefaultGroup(session: WriteSession, cloud: Cloud, projectId: string): Promise<string> {
  const existing = await defaultGroupOf(session, projectId);
  if (existing !== undefined) return existing;
  const now = cloud.clock.now();
  const group = {
    id: newId(),
    project_id: projectId,
    name: 'default',
    description: 'Default security group',
    created_at: now,
    updated_at: now,
    revision: 1,
    stateful: true,
  };
  const egress = egressRules(group, now);
  const ingress = egressRules(group, now).map((rule) => ({
    ...rule,
    direction: 'ingress',
    remote_group_id: group.id,
  }));
  await session.insert(defaultGroups, { project_id: projectId, security_group_id: group.id });
  await session.insert(securityGroups, group);
  await session.insert(securityGroupRules, [...egress, ...ingress]);
  await takeQuota(session, projectId, 'security_group', 1, false);
  await takeQuota(session, projectId, 'security_group_rule', 4, false);
  return group.id;
}
