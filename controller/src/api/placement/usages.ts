// Handlers of usages: of a provider, and of a project or a user in it.
import { InvalidError } from '../../errors';
import { SERVER_TYPE, totalUsage } from '../../services/placement/consumers';
import { findProvider } from '../../services/placement/providers';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler } from '../route';
import { answer } from './answer';
import { requireKeys } from './query';

export const ofProvider: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const { host, used } = await findProvider(session, param(request, 'uuid'));
    const body = { resource_provider_generation: host.generation, usages: Object.fromEntries(used) };
    return answer(request, cloud, { body });
  });

/** @throws InvalidError for one that is empty or too long */
function idOf(request: ApiRequest, key: string): string | undefined {
  const value = queryValue(request.query, key);
  if (value !== undefined && (value === '' || value.length > 255))
    throw new InvalidError(`Invalid query string parameters: '${key}' must have 1 to 255 characters.`);
  return value;
}

/** Under which name the usage is shown; undefined: not at all, because servers are not of the type that was asked for. */
function typeOf(request: ApiRequest): string | undefined {
  const asked = idOf(request, 'consumer_type');
  if (asked === undefined || asked === SERVER_TYPE) return SERVER_TYPE;
  if (!/^([A-Z0-9_]+|all|unknown)$/.test(asked))
    throw new InvalidError(`Invalid query string parameters: '${asked}' is no type of consumers.`);
  return asked === 'all' ? 'all' : undefined;
}

export const ofProject: Handler = (request, cloud) => {
  const byType = request.microversion.minor >= 38;
  const projectId = idOf(request, 'project_id');
  cloud.policy.require(request.caller, 'placement:usages', { project_id: projectId });
  requireKeys(request, (key) => ['project_id', 'user_id', ...(byType ? ['consumer_type'] : [])].includes(key));
  if (projectId === undefined)
    throw new InvalidError("Invalid query string parameters: 'project_id' is a required property.");
  const userId = idOf(request, 'user_id');
  const type = typeOf(request);
  return cloud.db.read(async (session) => {
    const { consumers, resources } = await totalUsage(session, projectId, userId);
    const shown = consumers > 0 && type !== undefined ? { [type]: { ...resources, consumer_count: consumers } } : {};
    return answer(request, cloud, { body: { usages: byType ? shown : resources } });
  });
};
