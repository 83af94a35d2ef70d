// How a role looks in the API.
import type { Role } from '../../db/entities/identity';
import type { ApiRequest } from '../route';
import { linked } from './listing';

export function roleView(request: ApiRequest, row: Role): object {
  return linked(request, `roles/${row.id}`, {
    ...row.extra,
    id: row.id,
    name: row.name,
    domain_id: row.domain_id === '' ? null : row.domain_id,
    description: row.description,
    options: row.options,
  });
}
