// Handlers of what a server has of the network: /ips, /os-interface and its security groups.
import { ApiError, NotFoundError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { requireState, requireUnlocked } from '../../services/compute/serverStates';
import { portsOfServer, type ServerPort } from '../../services/network/serverPortViews';
import type { Cloud } from '../../cloud';
import type { ApiRequest, ApiResponse, Handler, Route } from '../route';
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
    const name = request.params['network'] ?? '';
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

const listInterfaces: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => ({
    interfaceAttachments: ports.map((port) => interfaceView(request, port)),
  }));

const showInterface: Handler = (request, cloud) =>
  withPorts(cloud, request, (ports) => {
    const id = request.params['port'] ?? '';
    const found = ports.find((one) => one.port.id === id);
    if (!found) throw new NotFoundError(`Port ${id} could not be found.`, 'PortNotFound');
    return { interfaceAttachment: interfaceView(request, found) };
  });

/** Interfaces come and go with the server only: say so, after what would be wrong anyway. */
const refuse =
  (operation: 'attach_interface' | 'detach_interface'): Handler =>
  (request, cloud) =>
    cloud.db.read(async (session) => {
      const server = await findServer(session, request.caller, serverIdOf(request));
      requireUnlocked(server, request.caller);
      requireState(server, operation);
      const ports = await portsOfServer(session, server.id);
      const id = request.params['port'];
      if (id !== undefined && !ports.some((one) => one.port.id === id))
        throw new NotFoundError(`Port ${id} could not be found.`, 'PortNotFound');
      throw new ApiError(
        501,
        'NotImplemented',
        'Interfaces of a server that exists can not be changed here: name its networks when it is created.',
      );
    });

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
    handler: refuse('attach_interface'),
    policy: rule('os-attach-interfaces:create'),
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
    handler: refuse('detach_interface'),
    policy: rule('os-attach-interfaces:delete'),
  },
  {
    method: 'GET',
    path: '/servers/:id/os-volume_attachments',
    handler: listVolumes,
    policy: rule('os-volumes-attachments:index'),
  },
];
