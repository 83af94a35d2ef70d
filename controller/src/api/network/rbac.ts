// RBAC policies in the API.
import type { rbacPolicies } from '../../db/entities/network';
import { badRequest } from '../../services/network/errors';
import {
  createRbacPolicy,
  deleteRbacPolicy,
  rbacActions,
  updateRbacPolicy,
  type RbacValues,
} from '../../services/network/rbac';
import { rbacResource } from '../../services/network/resources';
import { readable, required, writable } from './attribute';
import { oneOf, text, uuid } from './checks';
import type { Noun } from './noun';

const attributes = {
  id: readable({ column: 'id', sort: true }),
  project_id: readable({ column: 'project_id', sort: true }),
  tenant_id: readable({ column: 'project_id', sort: true }),
  object_type: required(oneOf(Object.keys(rbacActions)), { column: 'object_type', sort: true }),
  object_id: required(uuid, { column: 'object_id', sort: true }),
  action: required(text(32), { column: 'action', sort: true }),
  target_tenant: { ...writable(text(64), { column: 'target_tenant', sort: true }), required: true },
};

function checkAction(values: RbacValues): void {
  const known = rbacActions[values.object_type];
  if (!known?.includes(values.action))
    throw badRequest(
      `Invalid action '${values.action}' for object type '${values.object_type}'. Valid actions: ${known?.join(', ')}`,
    );
}

export const rbacNoun: Noun<typeof rbacPolicies> = {
  member: 'rbac_policy',
  path: '/rbac-policies',
  resource: rbacResource,
  attributes,
  standard: false,
  views: (_viewing, rows) => Promise.resolve(rows.map((row) => ({ ...row, tenant_id: row.project_id }))),
  create: (context, { projectId, values }) => {
    const wanted = values as unknown as RbacValues;
    checkAction(wanted);
    return createRbacPolicy(context, projectId, wanted);
  },
  update: updateRbacPolicy,
  remove: deleteRbacPolicy,
};
