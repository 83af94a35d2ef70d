// Handler of /servers/{id}/diagnostics: what a running guest has used. Until 2.47 in the hypervisor's own names.
import { interfaceName, type Diagnostics, type Traffic } from '@cumulet/common';
import { PowerState, type Server } from '../../db/entities/compute';
import { ConflictError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { askHost } from '../../services/compute/hostQuestions';
import { portsOfServer, type ServerPort } from '../../services/network/serverPortViews';
import type { Handler, Route } from '../route';
import { serverIdOf } from './servers';

const MIB = 1024;

function legacyTraffic(device: string, direction: 'rx' | 'tx', { bytes, packets, errors, drops }: Traffic): object {
  const key = `${device}_${direction}`;
  return { [key]: bytes, [`${key}_packets`]: packets, [`${key}_errors`]: errors, [`${key}_drop`]: drops };
}

/** One flat object; its keys name the devices. */
function legacyView(found: Diagnostics): object {
  const parts: object[] = [
    ...found.cpuTimes.map((time, index) => ({ [`cpu${index}_time`]: time })),
    ...found.disks.map(({ device, ...disk }) => ({
      [`${device}_read_req`]: disk.readRequests,
      [`${device}_read`]: disk.readBytes,
      [`${device}_write_req`]: disk.writeRequests,
      [`${device}_write`]: disk.writeBytes,
      [`${device}_errors`]: disk.errors,
    })),
    ...found.interfaces.map(({ device, received, sent }) => ({
      ...legacyTraffic(device, 'rx', received),
      ...legacyTraffic(device, 'tx', sent),
    })),
    { memory: found.maximumMemory },
    Object.fromEntries(Object.entries(found.memory).map(([name, kib]) => [`memory-${snake(name)}`, kib])),
  ];
  return Object.assign({}, ...parts) as object;
}

/** "swapIn" as "swap_in"; what the balloon holds is called "actual". */
const snake = (name: string): string =>
  name === 'actualBalloon' ? 'actual' : name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Rates are not measured by this driver, nor how busy a processor is. */
const nicView = (macs: ReadonlyMap<string, string>, { device, received, sent }: Diagnostics['interfaces'][number]) => ({
  mac_address: macs.get(device) ?? null,
  rx_octets: received.bytes,
  rx_errors: received.errors,
  rx_drop: received.drops,
  rx_packets: received.packets,
  rx_rate: null,
  tx_octets: sent.bytes,
  tx_errors: sent.errors,
  tx_drop: sent.drops,
  tx_packets: sent.packets,
  tx_rate: null,
});

/** The same for every driver, since 2.48. Memory in MiB. */
function standardView(server: Server, ports: readonly ServerPort[], found: Diagnostics, now: number): object {
  const macs = new Map(ports.map(({ port }) => [interfaceName('tap', port.id), port.mac_address]));
  const { available, unused } = found.memory;
  const used = available !== undefined && unused !== undefined ? Math.floor((available - unused) / MIB) : null;
  return {
    state: 'running',
    driver: 'libvirt',
    hypervisor: found.hypervisor,
    hypervisor_os: 'linux',
    uptime: server.launched_at === null ? null : Math.floor((now - server.launched_at) / 1000),
    config_drive: server.config_drive,
    num_cpus: found.cpuTimes.length,
    num_nics: found.interfaces.length,
    num_disks: found.disks.length,
    cpu_details: found.cpuTimes.map((time, id) => ({ id, time, utilisation: null })),
    nic_details: found.interfaces.map((one) => nicView(macs, one)),
    disk_details: found.disks.map((disk) => ({
      read_bytes: disk.readBytes,
      read_requests: disk.readRequests,
      write_bytes: disk.writeBytes,
      write_requests: disk.writeRequests,
      errors_count: disk.errors,
    })),
    memory_details: { maximum: Math.floor(found.maximumMemory / MIB), used },
  };
}

const STATES = Object.fromEntries(Object.entries(PowerState).map(([name, number]) => [number, name]));

function requireRunning(server: Server): void {
  if (server.power_state === PowerState.running) return;
  const state = STATES[server.power_state] ?? 'nostate';
  throw new ConflictError(
    `Cannot 'get_diagnostics' instance ${server.id} while it is in power state ${state}`,
    'InstanceInvalidState',
  );
}

const show: Handler = async (request, cloud) => {
  const [server, ports] = await cloud.db.read(async (session) => {
    const found = await findServer(session, request.caller, serverIdOf(request));
    cloud.policy.require(request.caller, 'os_compute_api:os-server-diagnostics', { project_id: found.project_id });
    return [found, await portsOfServer(session, found.id)] as const;
  });
  requireRunning(server);
  const words = `The diagnostics of instance ${server.id} can't be read now`;
  const found = await askHost(cloud, server, words, (host) => host.diagnostics(server.id));
  const body =
    request.microversion.minor < 48 ? legacyView(found) : standardView(server, ports, found, cloud.clock.now());
  return { status: 200, body };
};

export const diagnosticsRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/servers/:id/diagnostics',
    handler: show,
  },
];
