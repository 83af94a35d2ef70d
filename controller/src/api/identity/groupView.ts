// How a group looks in the API.
import type { Group } from '../../db/entities/identity';
import type { ApiRequest } from '../route';
import { linked } from './listing';

export function groupView(request: ApiRequest, row: Group): object {
  return linked(request, `groups/${row.id}`, {
    ...row.extra,
    id: row.id,
    name: row.name,
    domain_id: row.domain_id,
    description: row.description ?? '',
  });
}
