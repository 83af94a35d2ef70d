// How a project looks in the API.
import type { ProjectWithTags } from '../../services/identity/projects';
import type { ApiRequest } from '../route';
import { linked } from './listing';

export function projectView(request: ApiRequest, row: ProjectWithTags): object {
  return linked(request, `projects/${row.id}`, {
    ...row.extra,
    id: row.id,
    name: row.name,
    domain_id: row.is_domain ? null : row.domain_id,
    description: row.description ?? '',
    enabled: row.enabled,
    parent_id: row.parent_id,
    is_domain: row.is_domain,
    tags: row.tags,
    options: row.options,
  });
}
