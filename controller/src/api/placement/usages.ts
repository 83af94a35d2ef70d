// Handlers of usages: of a provider, and of a project or a user in it.
import { InvalidError } from '../../errors';
import {
  addUsages,
  CONSUMER_TYPES,
  resourcesOf,
  totalUsage,
  type TotalUsage,
} from '../../services/placement/consumers';
import { findProvider } from '../../services/placement/providers';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler } from '../route';
import { answer } from './answer';
import { requireKeys } from './query';

export const ofProvider: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { host, stocks } = await findProvider(session, param(request, 'uuid'));
    const usages = Object.fromEntries([...stocks].map(([name, { used }]) => [name, used]));
    const body = { resource_provider_generation: host.generation, usages };
    return answer(request, cloud, { body });
  });

/** @throws InvalidError for one that is empty or too long */
function idOf(request: ApiRequest, key: string): string | undefined {
  const value = queryValue(request.query, key);
  if (value !== undefined && (value === '' || value.length > 255))
    throw new InvalidError(`Invalid query string parameters: '${key}' must have 1 to 255 characters.`);
  return value;
}

/** Which type of consumers is asked for; `all` counts them together. @throws InvalidError */
function typeOf(request: ApiRequest): string | undefined {
  const asked = idOf(request, 'consumer_type');
  if (asked !== undefined && !/^([A-Z0-9_]+|all|unknown)$/.test(asked))
    throw new InvalidError(`Invalid query string parameters: '${asked}' is no type of consumers.`);
  return asked;
}

export const ofProject: Handler = (request, cloud) => {
  const byType = request.microversion.minor >= 38;
  const projectId = idOf(request, 'project_id');
  cloud.policy.require(request.caller, 'placement:usages', { project_id: projectId });
  requireKeys(request, (key) => ['project_id', 'user_id', ...(byType ? ['consumer_type'] : [])].includes(key));
  if (projectId === undefined)
    throw new InvalidError("Invalid query string parameters: 'project_id' is a required property.");
  const userId = idOf(request, 'user_id');
  const asked = typeOf(request);
  return cloud.db.read(async (session) => {
    const found: [string, TotalUsage][] = [];
    for (const type of CONSUMER_TYPES) found.push([type, await totalUsage(session, type, projectId, userId)]);
    const together = addUsages(found.map(([, one]) => one));
    if (!byType) return answer(request, cloud, { body: { usages: resourcesOf(together.claimed) } });
    const shown: [string, TotalUsage][] = asked === 'all' ? [['all', together]] : found;
    const usages = shown
      .filter(([type, { consumers }]) => consumers > 0 && (asked ?? type) === type)
      .map(([type, { consumers, claimed }]) => [type, { ...resourcesOf(claimed), consumer_count: consumers }]);
    return answer(request, cloud, { body: { usages: Object.fromEntries(usages) as object } });
  });
};
