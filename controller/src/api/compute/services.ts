// Handlers of /os-services: the compute service of each host.
import { isUuid } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import { ApiError, InvalidError, NotFoundError } from '../../errors';
import {
  computeHosts,
  forgetHost,
  numericId,
  setHostEnabled,
  type ComputeHost,
} from '../../services/compute/computeHosts';
import { param, queryValue } from '../query';
import type { ApiRequest, Handler, Route } from '../route';
import { refuseUnknownQuery } from './queryKeys';
import { boolean, byVersion, fqdn, isTrue, object } from './schemaTypes';
import { isoMicrosecondsOrNull } from './times';

const BINARY = 'nova-compute';

/** The id of a host's service: its agent's, or the host's own while it has none. */
const serviceId = ({ agent, host }: ComputeHost): string => agent?.id ?? host.id;

function serviceView(request: ApiRequest, one: ComputeHost) {
  const { minor } = request.microversion;
  const id = serviceId(one);
  return {
    id: minor >= 53 ? id : numericId(id),
    binary: BINARY,
    host: one.host.name,
    zone: one.host.availability_zone,
    status: one.host.enabled ? 'enabled' : 'disabled',
    state: one.alive ? 'up' : 'down',
    updated_at: isoMicrosecondsOrNull(one.agent?.heard_at ?? null),
    disabled_reason: one.host.disabled_reason,
    ...(minor >= 11 ? { forced_down: false } : {}),
  };
}

const index: Handler = (request, cloud) => {
  refuseUnknownQuery(request, ['host', 'binary']);
  const host = queryValue(request.query, 'host');
  const binary = queryValue(request.query, 'binary');
  return cloud.db.read(async (session) => ({
    status: 200,
    body: {
      services: (await computeHosts(session, cloud))
        .filter((one) => (host === undefined || one.host.name === host) && (binary === undefined || binary === BINARY))
        .map((one) => serviceView(request, one)),
    },
  }));
};

const reason = { type: 'string', minLength: 1, maxLength: 255 };
const updateSchema = byVersion((minor) =>
  minor >= 53
    ? object({ status: { enum: ['enabled', 'disabled'] }, disabled_reason: reason, forced_down: boolean })
    : object(
        {
          host: fqdn,
          binary: { type: 'string', minLength: 1, maxLength: 255 },
          disabled_reason: reason,
          ...(minor >= 11 ? { forced_down: boolean } : {}),
        },
        ['host', 'binary'],
      ),
);

/** A host's state is what its agent says; nobody declares it down by hand. @throws ApiError 501 */
function refuseForcing(value: unknown): void {
  if (isTrue(value))
    throw new ApiError(
      501,
      'NotImplemented',
      'Forcing a service down is not implemented: its agent is watched instead.',
    );
}

interface OldBody {
  readonly host: string;
  readonly binary: string;
  readonly disabled_reason?: string;
  readonly forced_down?: unknown;
}

/** PUT /os-services/enable and so on, as before 2.53. */
async function updateByName(request: ApiRequest, cloud: Cloud): Promise<object> {
  const body = request.body as OldBody;
  const action = param(request, 'id');
  const { host, binary } = body;
  if (
    !['enable', 'disable', 'disable-log-reason', ...(request.microversion.minor >= 11 ? ['force-down'] : [])].includes(
      action,
    )
  )
    throw new NotFoundError('Unknown action');
  if (action === 'disable-log-reason' && body.disabled_reason === undefined)
    throw new InvalidError('Missing disabled reason field');
  if (action === 'force-down' && body.forced_down === undefined) throw new InvalidError('Missing forced_down field');
  if (binary !== BINARY)
    throw new InvalidError(`Updating a ${binary} service is not supported. Only nova-compute services can be updated.`);
  if (action === 'force-down') {
    refuseForcing(body.forced_down);
    return { host, binary, forced_down: false };
  }
  const enabled = action === 'enable';
  const why = action === 'disable-log-reason' ? (body.disabled_reason ?? null) : null;
  await cloud.db.write((session) => setHostEnabled(session, cloud, host, enabled, why));
  return { host, binary, status: enabled ? 'enabled' : 'disabled', ...(why === null ? {} : { disabled_reason: why }) };
}

/** The host whose service has an id. @throws NotFoundError, InvalidError */
async function byId(session: ReadSession, cloud: Cloud, request: ApiRequest): Promise<ComputeHost> {
  const id = param(request, 'id');
  const modern = request.microversion.minor >= 53;
  if (modern && !isUuid(id)) throw new InvalidError(`Invalid uuid ${id}`);
  if (!modern && !/^\d+$/.test(id)) throw new InvalidError(`Invalid input for id: '${id}' is not an integer.`);
  const found = (await computeHosts(session, cloud)).find((one) => {
    const own = serviceId(one);
    return modern ? own === id : numericId(own) === Number(id);
  });
  if (!found) throw new NotFoundError(`Service ${id} could not be found.`, 'ServiceNotFound');
  return found;
}

interface NewBody {
  readonly status?: 'enabled' | 'disabled';
  readonly disabled_reason?: string;
  readonly forced_down?: unknown;
}

async function updateById(request: ApiRequest, cloud: Cloud): Promise<object> {
  const body = request.body as NewBody;
  if (body.status === undefined && body.forced_down === undefined && body.disabled_reason === undefined)
    throw new InvalidError('No updates were requested. Fields status or forced_down should be specified.');
  if (body.disabled_reason !== undefined && body.status !== 'disabled')
    throw new InvalidError("Specifying disabled_reason is only allowed with status 'disabled'.");
  const found = await cloud.db.read((session) => byId(session, cloud, request));
  refuseForcing(body.forced_down ?? false);
  if (body.status !== undefined) {
    const enabled = body.status === 'enabled';
    await cloud.db.write((session) =>
      setHostEnabled(session, cloud, found.host.name, enabled, body.disabled_reason ?? null),
    );
  }
  return serviceView(request, await cloud.db.read((session) => byId(session, cloud, request)));
}

const update: Handler = async (request, cloud) => ({
  status: 200,
  body: { service: await (request.microversion.minor >= 53 ? updateById : updateByName)(request, cloud) },
});

const remove: Handler = async (request, cloud) => {
  await cloud.db.write(async (session) => forgetHost(session, (await byId(session, cloud, request)).host.name));
  return { status: 204 };
};

const rule = (operation: string): string => `os_compute_api:os-services:${operation}`;
export const serviceRoutes: readonly Route[] = [
  { method: 'GET', path: '/os-services', handler: index, policy: rule('list') },
  { method: 'PUT', path: '/os-services/:id', handler: update, policy: rule('update'), schema: updateSchema },
  { method: 'DELETE', path: '/os-services/:id', handler: remove, policy: rule('delete') },
];
