// What compute tests need to exist: flavors, images, networks, and a word from a host that never was.
import { randomUUID } from 'node:crypto';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { images } from '../../controller/src/db/entities/image';
import { networks, subnets } from '../../controller/src/db/entities/network';
import { agents, hosts, taskEvents, taskResources, tasks } from '../../controller/src/db/entities/tasks';
import type { TestCloud } from './testCloud';

const GIB = 1024 ** 3;

/** A flavor made through the API; returns its id. */
export async function makeFlavor(cloud: TestCloud, name: string, more: object = {}): Promise<string> {
  const body = { flavor: { name, id: name, ram: 128, vcpus: 1, disk: 1, ...more } };
  const answer = await cloud.call('POST', '/compute/v2.1/flavors', { token: 'admin', body });
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  return answer.body.flavor.id as string;
}

/** A public image that is ready to boot, without bytes. */
export async function makeImage(cloud: TestCloud, more: object = {}): Promise<string> {
  const id = randomUUID();
  const now = cloud.cloud.clock.now();
  await cloud.cloud.db.write((session) =>
    session.insert(images, {
      id,
      name: 'tiny',
      status: 'active',
      visibility: 'public',
      os_hidden: false,
      protected: false,
      owner: 'admin-project',
      container_format: 'bare',
      disk_format: 'qcow2',
      min_disk: 0,
      min_ram: 0,
      size: 1_000_000,
      virtual_size: GIB / 2,
      checksum: 'c',
      os_hash_algo: 'sha512',
      os_hash_value: 'd'.repeat(128),
      staged: null,
      upload_id: null,
      upload_until: null,
      created_at: now,
      updated_at: now,
      ...more,
    }),
  );
  return id;
}

/** A network with one IPv4 subnet of a project. */
export async function makeNetwork(
  cloud: TestCloud,
  name: string,
  { project = 'demo-project', third = 0, external = false, withSubnet = true } = {},
): Promise<string> {
  const id = randomUUID();
  const now = cloud.cloud.clock.now();
  const standard = { project_id: project, name, description: '', created_at: now, updated_at: now, revision: 1 };
  await cloud.cloud.db.write(async (session) => {
    await session.insert(networks, {
      ...standard,
      id,
      admin_state_up: true,
      status: 'ACTIVE',
      mtu: 1450,
      port_security_enabled: true,
      network_type: 'vxlan',
      physical_network: null,
      segmentation_id: third + 1,
      dns_domain: '',
      external,
      availability_zone_hints: [],
    });
    if (!withSubnet) return;
    await session.insert(subnets, {
      ...standard,
      id: randomUUID(),
      network_id: id,
      ip_version: 4,
      cidr: `10.0.${third}.0/24`,
      gateway_ip: `10.0.${third}.1`,
      enable_dhcp: true,
      allocation_pools: [{ start: `10.0.${third}.2`, end: `10.0.${third}.254` }],
      dns_nameservers: ['9.9.9.9'],
      host_routes: [],
      service_types: [],
      ipv6_ra_mode: null,
      ipv6_address_mode: null,
      subnetpool_id: null,
    });
  });
  return id;
}

/** A host whose agents were heard just now. */
export async function makeHost(cloud: TestCloud, name: string, zone = 'nova'): Promise<void> {
  const now = cloud.cloud.clock.now();
  await cloud.cloud.db.write(async (session) => {
    await session.insert(hosts, {
      id: randomUUID(),
      name,
      enabled: true,
      disabled_reason: null,
      availability_zone: zone,
      cap_vcpus: 16,
      cap_memory_mib: 8192,
      cap_disk_gib: 100,
      used_vcpus: 0,
      used_memory_mib: 0,
      used_disk_gib: 0,
      generation: 1,
      failed_builds: 0,
      inventory: { vcpus: 16, memory_mib: 8192 },
      traits: [],
      inventory_settings: {},
      created_at: now,
      updated_at: now,
    });
    for (const role of ['compute', 'network', 'storage'])
      await session.insert(agents, {
        id: randomUUID(),
        host: name,
        role,
        session: 1,
        started_at: now,
        heard_at: now,
        inventory: role === 'storage' ? { disk_gib: 100 } : {},
        listener: null,
      });
  });
}

/** Ends a server's running task as if its host had done it, and writes what the host would have reported. */
export async function settle(cloud: TestCloud, id: string, set: Partial<Server> = {}): Promise<void> {
  const now = cloud.cloud.clock.now();
  await cloud.cloud.db.write(async (session) => {
    const running = await session.find(tasks, { where: { resource_id: id, active: 1 } });
    for (const task of running) {
      await session.insert(taskEvents, {
        task_id: task.id,
        resource_id: id,
        step: 'spawn',
        started_at: now,
        ended_at: now,
        outcome: 'done',
        message: 'the server runs',
      });
      await session.update(tasks, { id: task.id }, { active: null, finished_at: now });
      await session.update(taskResources, { task_id: task.id }, { active: null });
    }
    await session.update(
      servers,
      { id },
      { vm_state: 'active', task_state: null, power_state: 1, launched_at: now, updated_at: now, ...set },
    );
  });
}

/** Lets a project have as many servers as it likes. */
export async function withoutQuota(cloud: TestCloud, project = 'demo-project'): Promise<void> {
  const body = { quota_set: { instances: -1, cores: -1, ram: -1, force: true } };
  await cloud.call('PUT', `/compute/v2.1/os-quota-sets/${project}`, { token: 'admin', body });
}
