// Security groups in the API.
import { groupBy } from '../../db';
import type { securityGroups } from '../../db/entities/network';
import { ruleRowsOf } from '../../services/network/networkParts';
import { securityGroupResource } from '../../services/network/resources';
import { createGroup, deleteGroup, ensureDefaultGroupOf, updateGroup } from '../../services/network/securityGroups';
import { tagsOf } from '../../services/network/tags';
import { openToProject, sharedAmong } from '../../services/network/visibility';
import { readable, standardAttributes, writable } from './attribute';
import { flag, text } from './checks';
import { flagOf } from './filterValues';
import type { Noun } from './noun';
import { ruleView } from './securityGroupRuleView';
import { standardView } from './standardView';

const attributes = {
  ...standardAttributes,
  name: writable(text(), { column: 'name', sort: true }),
  description: writable(text(), { column: 'description' }),
  stateful: writable(flag, { column: 'stateful', filter: 'flag', sort: true }),
  security_group_rules: readable(),
  shared: readable(),
  tags: readable(),
};

export const securityGroupNoun: Noun<typeof securityGroups> = {
  member: 'security_group',
  path: '/security-groups',
  resource: securityGroupResource,
  attributes,
  filters: {
    shared: async (values, { session, caller }) => {
      const ids = await openToProject(session, 'security_group', caller.projectId ?? '', ['access_as_shared']);
      const wanted = new Set(values.map((value) => flagOf('shared', value)));
      if (wanted.size > 1) return [];
      return [{ column: 'id', op: wanted.has(true) ? 'in' : 'not in', value: ids }];
    },
  },
  beforeList: (cloud, caller) => ensureDefaultGroupOf(cloud, caller.projectId),
  views: async ({ session, caller }, rows) => {
    const ids = rows.map((row) => row.id);
    const rules = groupBy(await ruleRowsOf(session, ids), (rule) => rule.security_group_id);
    const tags = await tagsOf(session, ids);
    const shared = await sharedAmong(session, 'security_group', ids, caller.projectId ?? '');
    return rows.map((row) => ({
      name: row.name,
      stateful: row.stateful,
      shared: shared.has(row.id),
      security_group_rules: (rules.get(row.id) ?? []).map(ruleView),
      ...standardView(row, tags.get(row.id) ?? []),
    }));
  },
  create: (context, { projectId, values }) => createGroup(context, projectId, values),
  update: (context, row, values) => updateGroup(context, row, values),
  remove: deleteGroup,
};
