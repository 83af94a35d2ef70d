// How a user looks in the API; never with a password.
import type { User } from '../../db/entities/identity';
import type { ApiRequest } from '../route';
import { linked } from './listing';

export function userView(request: ApiRequest, row: User): object {
  return linked(request, `users/${row.id}`, {
    ...row.extra,
    ...(row.description === null ? {} : { description: row.description }),
    ...(row.default_project_id === null ? {} : { default_project_id: row.default_project_id }),
    id: row.id,
    name: row.name,
    domain_id: row.domain_id,
    enabled: row.enabled,
    password_expires_at: null,
    options: row.options,
  });
}
