// POST /servers/{id}/remote-consoles, and the four actions that came before it: an address that opens a console once.
import type { ConsoleKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { InvalidError } from '../../errors';
import { issueTicket } from '../../services/compute/consoles';
import { findServer } from '../../services/compute/findServer';
import type { ApiRequest, ApiResponse, Handler, Route } from '../route';
import { byVersion, object } from './schemaTypes';
import { serverIdOf } from './servers';

/** What there is, by the names that the API has for ways to show a console. */
const kinds: Readonly<Record<string, ConsoleKind>> = { novnc: 'vnc', serial: 'serial' };

/** @throws InvalidError for a way that this cloud has not, ConflictError for a server that is off */
async function addressOf(request: ApiRequest, cloud: Cloud, type: string): Promise<string> {
  const ticket = await cloud.db.write(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    const kind = kinds[type];
    if (!kind) throw new InvalidError(`Unavailable console type ${type}.`, 'ConsoleTypeUnavailable');
    return { kind, token: await issueTicket(session, cloud, request.caller, server, kind) };
  });
  return `${request.origin}/console/${ticket.kind}?token=${ticket.token}`;
}

/** The action of that name, until 2.5. */
export const consoleAction =
  (action: string) =>
  async (request: ApiRequest, cloud: Cloud): Promise<ApiResponse> => {
    const { type } = (request.body as Record<string, { readonly type: string }>)[action] ?? { type: '' };
    return { status: 200, body: { console: { type, url: await addressOf(request, cloud, type) } } };
  };

const schema = byVersion((minor) => {
  const protocols = ['vnc', 'spice', 'rdp', 'serial', ...(minor < 8 ? [] : ['mks'])];
  const types = ['novnc', 'xvpvnc', 'rdp-html5', 'spice-html5', 'serial', ...(minor < 8 ? [] : ['webmks'])];
  const remote_console = object({ protocol: { enum: protocols }, type: { enum: types } }, ['protocol', 'type']);
  return object({ remote_console }, ['remote_console']);
});

const create: Handler = async (request, cloud) => {
  const { remote_console } = request.body as { remote_console: { readonly protocol: string; readonly type: string } };
  const { protocol, type } = remote_console;
  const kind = kinds[type];
  if (kind !== undefined && kind !== protocol)
    throw new InvalidError(`Invalid console type ${type} for protocol ${protocol}.`, 'ConsoleTypeInvalid');
  const url = await addressOf(request, cloud, type);
  return { status: 200, body: { remote_console: { protocol, type, url } } };
};

export const remoteConsoleRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/servers/:id/remote-consoles',
    since: 6,
    schema,
    policy: 'os_compute_api:os-remote-consoles',
    handler: create,
  },
];
