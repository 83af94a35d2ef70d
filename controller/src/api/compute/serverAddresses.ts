// Handlers of what a server has of the network: /ips, /os-interface and its security groups.
import type { WriteSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { InvalidError, NotFoundError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import {
  attachInterface,
  awaitInterface,
  detachInterface,
  inInterfaceTurn,
} from '../../services/compute/serverInterfaces';
import { portsOfServer, type ServerPort } from '../../services/network/serverPortViews';
import type { ServerPortRequest } from '../../services/network/serverPorts';
import type { Cloud } from '../../cloud';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Handler, Route } from '../route';
import { address, byVersion, object, tag, uuid } from './schemaTypes';
import { serverIdOf } from './servers';
import { addressesOf } from './serverView';

const withPorts = (
  cloud: Cloud,
  request: ApiRequest,
  view: (ports: readonly ServerPort[]) => object,
): Promise<ApiResponse> =>
  cloud.db.read(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    return { status: 200, body: view(await portsOfServer(session, server.id)) };
  });

const listIps: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => ({ addresses: addressesOf(ports, false) }));

const showIps: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => {
    const name = param(request, 'network');
    const all = addressesOf(ports, false);
    if (!Object.hasOwn(all, name)) throw new NotFoundError('Instance is not a member of specified network');
    return { [name]: all[name] };
  });

const interfaceView = (request: ApiRequest, { port, addresses }: ServerPort) => ({
  net_id: port.network_id,
  port_id: port.id,
  mac_addr: port.mac_address,
  port_state: port.status,
  fixed_ips: addresses.map((one) => ({ ip_address: one.address, subnet_id: one.subnet.id })),
  ...(request.microversion.minor >= 70 ? { tag: port.device_tag } : {}),
});

/** @throws NotFoundError when the server does not have the port */
function portIn(ports: readonly ServerPort[], id: string): ServerPort {
  const found = ports.find((one) => one.port.id === id);
  if (!found) throw new NotFoundError(`Port ${id} could not be found.`, 'PortNotFound');
  return found;
}

const listInterfaces: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => ({
    interfaceAttachments: ports.map((port) => interfaceView(request, port)),
  }));

const showInterface: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => {
    const port = portIn(ports, param(request, 'port'));
    return { interfaceAttachment: interfaceView(request, port) };
  });

interface AttachBody {
  readonly interfaceAttachment?: {
    readonly net_id?: string;
    readonly port_id?: string;
    readonly fixed_ips?: readonly { readonly ip_address: string }[];
    readonly tag?: string;
  };
}

const attachSchema = byVersion((minor) =>
  object({
    interfaceAttachment: object({
      net_id: uuid,
      port_id: uuid,
      fixed_ips: { type: 'array', minItems: 1, maxItems: 1, items: object({ ip_address: address }, ['ip_address']) },
      ...(minor >= 49 ? { tag } : {}),
    }),
  }),
);

/** @throws InvalidError for what contradicts itself */
function portRequestOf({ interfaceAttachment: wanted = {} }: AttachBody): ServerPortRequest {
  const { net_id: networkId, port_id: portId, fixed_ips, tag: label } = wanted;
  const fixedIp = fixed_ips?.[0]?.ip_address;
  if (networkId !== undefined && portId !== undefined)
    throw new InvalidError('Must not input both network_id and port_id');
  if (fixedIp !== undefined && networkId === undefined)
    throw new InvalidError('Must input network_id when request IP address');
  return {
    ...(networkId === undefined ? {} : { networkId }),
    ...(portId === undefined ? {} : { portId }),
    ...(fixedIp === undefined ? {} : { fixedIp }),
    ...(label === undefined ? {} : { tag: label }),
  };
}

/** The server, once no other change of its interfaces runs. The second look is the one that counts. */
async function changeInterfaces<T>(
  request: ApiRequest,
  cloud: Cloud,
  work: (session: WriteSession, server: Server) => Promise<T>,
): Promise<T> {
  const found = await cloud.db.read((session) => findServer(session, request.caller, serverIdOf(request)));
  return inInterfaceTurn(cloud, found.id, () =>
    cloud.db.write(async (session) => work(session, await findServer(session, request.caller, found.id))),
  );
}

const attach: Handler = async (request, cloud) => {
  const actor = { caller: request.caller, requestId: request.id };
  const wanted = portRequestOf(request.body as AttachBody);
  const id = await changeInterfaces(request, cloud, (session, server) =>
    attachInterface(session, cloud, actor, server, wanted),
  );
  await awaitInterface(cloud, serverIdOf(request), request.id);
  return withPorts(cloud, request, (ports) => ({ interfaceAttachment: interfaceView(request, portIn(ports, id)) }));
};

const detach: Handler = async (request, cloud) => {
  const actor = { caller: request.caller, requestId: request.id };
  await changeInterfaces(request, cloud, (session, server) =>
    detachInterface(session, cloud, actor, server, param(request, 'port')),
  );
  return { status: 202 };
};

/** Volumes are not there yet, so a server has none. */
const listVolumes: Handler = (request, cloud) =>
  cloud.db.read(async (session) => {
    await findServer(session, request.caller, serverIdOf(request));
    return { status: 200, body: { volumeAttachments: [] } };
  });

const rule = (name: string): string => `os_compute_api:${name}`;
export const serverAddressRoutes: readonly Route[] = [
  { method: 'GET', path: '/servers/:id/ips', handler: listIps, policy: rule('ips:index') },
  { method: 'GET', path: '/servers/:id/ips/:network', handler: showIps, policy: rule('ips:show') },
  {
    method: 'GET',
    path: '/servers/:id/os-interface',
    handler: listInterfaces,
    policy: rule('os-attach-interfaces:list'),
  },
  {
    method: 'POST',
    path: '/servers/:id/os-interface',
    handler: attach,
    policy: rule('os-attach-interfaces:create'),
    schema: attachSchema,
  },
  {
    method: 'GET',
    path: '/servers/:id/os-interface/:port',
    handler: showInterface,
    policy: rule('os-attach-interfaces:show'),
  },
  {
    method: 'DELETE',
    path: '/servers/:id/os-interface/:port',
    handler: detach,
    policy: rule('os-attach-interfaces:delete'),
  },
  {
    method: 'GET',
    path: '/servers/:id/os-volume_attachments',
    handler: listVolumes,
    policy: rule('os-volumes-attachments:index'),
  },
];
