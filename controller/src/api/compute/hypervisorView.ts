// Hypervisors as the compute API shows them: numbers and details that came and went with microversions.
import type { Server } from '../../db/entities/compute';
import { numericId, type ComputeHost } from '../../services/compute/computeHosts';
import type { ApiRequest } from '../route';

const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);

export const hypervisorId = (request: Pick<ApiRequest, 'microversion'>, { host }: ComputeHost): string | number =>
  request.microversion.minor >= 53 ? host.id : numericId(host.id);

export const hypervisorSummary = (request: ApiRequest, one: ComputeHost) => ({
  id: hypervisorId(request, one),
  hypervisor_hostname: one.host.name,
  state: one.alive ? 'up' : 'down',
  status: one.host.enabled ? 'enabled' : 'disabled',
});

/** What a host has and what is claimed of it. Memory in MiB, disk in GiB. */
export function capacityOf({ host, diskGib: disk }: ComputeHost, servers: readonly Server[]) {
  const { inventory } = host;
  const memory = number(inventory['memory_mib']);
  return {
    vcpus: number(inventory['vcpus']),
    vcpus_used: host.used_vcpus,
    memory_mb: memory,
    memory_mb_used: host.used_memory_mib,
    free_ram_mb: memory - host.used_memory_mib,
    local_gb: disk,
    local_gb_used: host.used_disk_gib,
    free_disk_gb: disk - host.used_disk_gib,
    disk_available_least: disk - host.used_disk_gib,
    running_vms: servers.filter((server) => server.power_state === 1).length,
    current_workload: servers.filter((server) => server.task_state !== null).length,
  };
}

/** Where controllers reach the host's compute agent; one in the controller's own process has no address. */
function addressOf({ agent }: ComputeHost): string {
  if (!agent?.listener) return '127.0.0.1';
  return new URL(`https://${agent.listener}`).hostname.replaceAll(/^\[|\]$/g, '');
}

export function hypervisorDetail(request: ApiRequest, one: ComputeHost, servers: readonly Server[]) {
  const { minor } = request.microversion;
  const { host, agent } = one;
  const cpu = host.inventory['cpu_info'] ?? {};
  const serviceId = agent?.id ?? host.id;
  return {
    ...hypervisorSummary(request, one),
    hypervisor_type: text(host.inventory['hypervisor_type'], 'QEMU'),
    hypervisor_version: number(host.inventory['hypervisor_version']),
    host_ip: addressOf(one),
    service: {
      id: minor >= 53 ? serviceId : numericId(serviceId),
      host: host.name,
      disabled_reason: host.disabled_reason,
    },
    ...(minor < 88 ? { ...capacityOf(one, servers), cpu_info: minor >= 28 ? cpu : JSON.stringify(cpu) } : {}),
    // Agents do not tell it.
    ...(minor >= 88 ? { uptime: null } : {}),
  };
}

/** Servers of a host in short. From 2.75 on the list is there even when it is empty. */
export function serversPart(request: ApiRequest, servers: readonly Server[], asked: boolean): object {
  if (!asked || (servers.length === 0 && request.microversion.minor < 75)) return {};
  return { servers: servers.map((server) => ({ name: server.name, uuid: server.id })) };
}
