// What the administrator prepares: flavors, the demo image, project and user demo, quotas, the network `public`.
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { ApiError, type Session } from './session';

interface Named {
  readonly id: string;
  readonly name: string;
}

/** name, vCPUs, MiB of memory, GiB of disk */
const FLAVORS: readonly (readonly [string, number, number, number])[] = [
  ['m1.nano', 1, 128, 1],
  ['m1.tiny', 1, 512, 5],
  ['m1.small', 1, 1024, 10],
  ['m1.medium', 2, 2048, 20],
];

/** Makes the flavors that are missing. */
export async function ensureFlavors(admin: Session): Promise<string> {
  const { flavors } = await admin.request<{ flavors: Named[] }>('compute', 'GET', '/flavors?is_public=None');
  for (const [name, vcpus, ram, disk] of FLAVORS) {
    if (flavors.some((flavor) => flavor.name === name)) continue;
    await admin.request('compute', 'POST', '/flavors', { flavor: { name, vcpus, ram, disk } });
  }
  return FLAVORS.map(([name]) => name).join(', ');
}

/** Uploads the public image `tiny` unless an active one is there; the rest of an interrupted upload is removed first. */
export async function ensureImage(admin: Session, file: string): Promise<string> {
  const { images } = await admin.request<{ images: (Named & { status: string })[] }>(
    'image',
    'GET',
    '/images?name=tiny&visibility=public',
  );
  if (images.some(({ status }) => status === 'active')) return 'tiny, there already';
  const bytes = readFileSync(file);
  for (const { id, status } of images) if (status === 'queued') await admin.request('image', 'DELETE', `/images/${id}`);
  const image = await admin.request<Named>('image', 'POST', '/images', {
    name: 'tiny',
    visibility: 'public',
    disk_format: 'qcow2',
    container_format: 'bare',
    min_ram: 96,
    // By which `server ssh` knows the user.
    os_distro: 'tiny',
  });
  await admin.request('image', 'PUT', `/images/${image.id}/file`, bytes);
  return `tiny, ${Math.round(bytes.length / 1e6)} MB`;
}

async function ensureNamed(
  admin: Session,
  kind: 'project' | 'user',
  body: object,
): Promise<{ id: string; made: boolean }> {
  const found = await admin.request<Record<string, Named[]>>(
    'identity',
    'GET',
    `/${kind}s?name=demo&domain_id=default`,
  );
  const there = found[`${kind}s`]?.[0];
  if (there) return { id: there.id, made: false };
  const made = await admin.request<Record<string, Named>>('identity', 'POST', `/${kind}s`, { [kind]: body });
  return { id: made[kind]?.id ?? '', made: true };
}

/** Project demo with its member demo. The password is set when the user is made. @returns the project's id */
export async function ensureTenant(admin: Session, password: string): Promise<string> {
  const project = await ensureNamed(admin, 'project', {
    name: 'demo',
    domain_id: 'default',
    description: 'The first project',
  });
  const user = await ensureNamed(admin, 'user', {
    name: 'demo',
    domain_id: 'default',
    default_project_id: project.id,
    password,
  });
  if (!user.made) await admin.request('identity', 'PATCH', `/users/${user.id}`, { user: { password } });
  const { roles } = await admin.request<{ roles: Named[] }>('identity', 'GET', '/roles?name=member');
  const [member] = roles;
  if (!member) throw new Error('the role member is not there');
  await admin.request('identity', 'PUT', `/projects/${project.id}/users/${user.id}/roles/${member.id}`);
  return project.id;
}

/** Quotas that fit this machine: memory is not promised twice, processors eight times, four fifths of both for demo. */
export function machineQuota(cores: number, memoryMiB: number): { cores: number; ram: number; instances: number } {
  const ram = Math.max(128, Math.floor((memoryMiB * 0.8) / 128) * 128);
  return { cores: Math.max(2, cores * 8), ram, instances: Math.min(200, Math.floor(ram / 128)) };
}

/** Sets demo's compute quota. */
export async function ensureQuota(admin: Session, projectId: string): Promise<string> {
  const quota = machineQuota(cpus().length, Math.floor(totalmem() / 2 ** 20));
  await admin.request('compute', 'PUT', `/os-quota-sets/${projectId}`, { quota_set: quota });
  return `${quota.instances} servers, ${quota.cores} vCPUs, ${Math.floor(quota.ram / 1024)} GiB`;
}

/** Waits until the agents of this machine take commands: the first start of libvirt examines QEMU, which takes seconds. Networks that are
 * made afterwards have packets as large as the network agent found that they may be. */
export async function hostUp(admin: Session): Promise<string> {
  interface Service {
    readonly host: string;
    readonly state: string;
  }
  const service = await until('the agents of this machine did not come up', 120, async () => {
    const { services } = await admin.request<{ services: Service[] }>('compute', 'GET', '/os-services');
    const up = services.find(({ state }) => state === 'up');
    if (!up) return undefined;
    const { agents } = await admin.request<{ agents: { alive: boolean }[] }>('network', 'GET', '/agents');
    return agents.some(({ alive }) => alive) ? up : undefined;
  });
  return service.host;
}

/** The external network with a pool of floating addresses. @returns its id */
export async function ensurePublic(admin: Session, prefix: string): Promise<string> {
  const { networks } = await admin.request<{ networks: (Named & { subnets: string[] })[] }>(
    'network',
    'GET',
    '/networks?name=public&router:external=True',
  );
  let [network] = networks;
  if (!network) {
    const made = await admin.request<{ network: Named & { subnets: string[] } }>('network', 'POST', '/networks', {
      network: {
        name: 'public',
        'router:external': true,
        shared: false,
        'provider:network_type': 'flat',
        'provider:physical_network': 'public',
      },
    });
    network = made.network;
  }
  if (network.subnets.length === 0) {
    await admin.request('network', 'POST', '/subnets', {
      subnet: {
        name: 'public',
        network_id: network.id,
        ip_version: 4,
        cidr: `${prefix}.0/24`,
        gateway_ip: `${prefix}.1`,
        enable_dhcp: false,
        allocation_pools: [{ start: `${prefix}.10`, end: `${prefix}.254` }],
      },
    });
  }
  return network.id;
}

/** Waits until the condition holds. @throws Error with what was waited for */
export async function until<T>(what: string, seconds: number, check: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + seconds * 1000; ;) {
    const result = await check();
    if (result !== undefined) return result;
    if (Date.now() > end) throw new Error(`${what} within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Treats 409 as "there already". */
export async function unlessThere(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
  }
}
