// How a domain looks in the API.
import type { ProjectWithTags } from '../../services/identity/projects';
import type { ApiRequest } from '../route';
import { linked } from './listing';

export function domainView(request: ApiRequest, row: ProjectWithTags): object {
  return linked(request, `domains/${row.id}`, {
    ...row.extra,
    id: row.id,
    name: row.name,
    description: row.description ?? '',
    enabled: row.enabled,
    tags: row.tags,
    options: row.options,
  });
}
