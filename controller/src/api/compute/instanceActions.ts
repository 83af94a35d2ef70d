// Handlers of /servers/{id}/os-instance-actions.
import type { ReadSession } from '../../db';
import type { Cloud } from '../../cloud';
import type { Server } from '../../db/entities/compute';
import { InvalidError } from '../../errors';
import { findServer, findServerEver } from '../../services/compute/findServer';
import { findAction, listActions, type InstanceAction } from '../../services/compute/instanceActions';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { MAX_PAGE, nextPage, readPage } from './links';
import { refuseUnknownQuery } from './queryKeys';
import { readTime } from './serverFilters';
import { serverIdOf } from './servers';
import { hostId } from './serverView';
import { isoMicroseconds } from './times';

/** Deleted servers' actions are shown from 2.21 on. */
function serverOf(session: ReadSession, request: ApiRequest): Promise<Server> {
  const find = request.microversion.minor >= 21 ? findServerEver : findServer;
  return find(session, request.caller, serverIdOf(request));
}

const summary = (request: ApiRequest, server: Server, action: InstanceAction) => ({
  action: action.action,
  instance_uuid: server.id,
  request_id: action.requestId,
  user_id: action.userId,
  project_id: action.projectId,
  start_time: isoMicroseconds(action.startedAt),
  message: action.failed ? 'Error' : null,
  ...(request.microversion.minor >= 58 ? { updated_at: isoMicroseconds(action.updatedAt) } : {}),
});

function timeOf(request: ApiRequest, key: string): number | undefined {
  const text = queryValue(request.query, key);
  return text === undefined ? undefined : readTime(text, key);
}

const index: Handler = (request, cloud) => {
  const { minor } = request.microversion;
  if (minor >= 58)
    refuseUnknownQuery(request, ['limit', 'marker', 'changes-since', ...(minor >= 66 ? ['changes-before'] : [])], 58);
  const page = minor >= 58 ? readPage(request) : { limit: MAX_PAGE, marker: undefined };
  const since = minor >= 58 ? timeOf(request, 'changes-since') : undefined;
  const before = minor >= 66 ? timeOf(request, 'changes-before') : undefined;
  if (since !== undefined && before !== undefined && before < since)
    throw new InvalidError('The value of changes-since must be less than or equal to changes-before.');
  return cloud.db.read(async (session) => {
    const server = await serverOf(session, request);
    const actions = await listActions(session, server.id, {
      limit: page.limit,
      ...(page.marker === undefined ? {} : { marker: page.marker }),
      ...(since === undefined ? {} : { since }),
      ...(before === undefined ? {} : { before }),
    });
    const path = `servers/${server.id}/os-instance-actions`;
    const links = minor >= 58 ? nextPage(request, path, page, actions.at(-1)?.requestId, actions.length) : undefined;
    return {
      status: 200,
      body: {
        instanceActions: actions.map((action) => summary(request, server, action)),
        ...(links ? { links } : {}),
      },
    };
  });
};

/** Events: administrators see all of them at any time, others from 2.51 on without what may name hosts. */
function eventsOf(request: ApiRequest, cloud: Cloud, server: Server, action: InstanceAction): object[] | undefined {
  const { minor } = request.microversion;
  const all = cloud.policy.allows(request.caller, 'os_compute_api:os-instance-actions:events', {
    project_id: server.project_id,
  });
  if (!all && minor < 51) return undefined;
  return action.events.map((event) => ({
    event: event.name,
    start_time: isoMicroseconds(event.startedAt),
    finish_time: isoMicroseconds(event.endedAt),
    result: event.failed ? 'Error' : 'Success',
    ...(all ? { traceback: event.failed ? event.message : null } : {}),
    ...(all && minor >= 62 ? { host: server.host } : {}),
    ...(minor >= 62 ? { hostId: hostId(server.project_id, server.host) } : {}),
    ...(minor >= 84 ? { details: event.failed ? event.message : null } : {}),
  }));
}

const show: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    const server = await serverOf(session, request);
    const action = await findAction(session, server.id, param(request, 'request'));
    const events = eventsOf(request, cloud, server, action);
    return {
      status: 200,
      body: { instanceAction: { ...summary(request, server, action), ...(events ? { events } : {}) } },
    };
  });

const rule = (operation: string): string => `os_compute_api:os-instance-actions:${operation}`;
export const instanceActionRoutes: readonly Route[] = [
  { method: 'GET', path: '/servers/:id/os-instance-actions', handler: index, policy: rule('list') },
  { method: 'GET', path: '/servers/:id/os-instance-actions/:request', handler: show, policy: rule('show') },
];
