// What the tasks of a server share: its row, what its host must make of it, and how its state is written.
import type { CommandBody, PowerTarget, ServerEnsure } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { servers, type Server, type ServerMigration } from '../../db/entities/compute';
import { networks, ports, type Port } from '../../db/entities/network';
import type { Task } from '../../db/entities/tasks';
import { rootDiskBytes } from '../../services/compute/bootImage';
import { hasGuestAgent } from '../../services/compute/guestAgent';
import { configDriveOf } from '../../services/compute/metadata';
import { openMigration } from '../../services/compute/migrations';
import { cardOf } from '../../services/compute/sharedDisks';
import { interfaceOrder } from '../../services/network/serverPorts';
import { createRowRounds } from '../../services/rowRounds';
import type { AskTarget, Facts, Fault } from '../task';

const serversById = createRowRounds(servers, 'id');
const portsByServer = createRowRounds(ports, 'server_id', { order: interfaceOrder });
const networksById = createRowRounds(networks, 'id', { only: ['mtu'] });

async function readServer(cloud: Cloud, { resource_id: id }: Task): Promise<Server> {
  const [server] = await serversById(cloud, id);
  if (!server) throw new Error(`server ${id} has no row`);
  return server;
}

/** By the task as the engine knows it, which is another object after each change and each round. */
const known = new WeakMap<Task, Promise<Server>>();

/**
 * The server of a task, whatever its state, as the first run of a round has read it: a run that got its answers goes on with what it
 * has asked for. Nobody else moves a server that a task holds. @throws Error when its row is gone, which only a finished teardown does
 */
export function serverOf(cloud: Cloud, task: Task): Promise<Server> {
  const reading = known.get(task) ?? readServer(cloud, task);
  known.set(task, reading);
  reading.catch(() => known.delete(task));
  return reading;
}

/** The resize that a task is about. @throws Error when it is closed, which only the end of such a task does */
export async function migrationOf(cloud: Cloud, task: Task): Promise<ServerMigration> {
  const migration = await cloud.db.read((session) => openMigration(session, task.resource_id));
  if (!migration) throw new Error(`server ${task.resource_id} is not being resized`);
  return migration;
}

/** Where a server goes. @throws Error while no host was chosen */
export function destOf({ uuid, dest_host }: Pick<ServerMigration, 'uuid' | 'dest_host'>): string {
  if (dest_host === null) throw new Error(`migration ${uuid} has no host to go to`);
  return dest_host;
}

/** The host that a server is on. @throws Error when it has none: what is asked of hosts begins with one */
export function hostOf(server: Server): string {
  if (server.host === null) throw new Error(`server ${server.id} has no host`);
  return server.host;
}

/** Where commands for a server go: to its host unless another one is meant. */
export const targetOf = (server: Server, host = hostOf(server)): AskTarget => ({
  host,
  resource: server.id,
  generation: server.generation,
});

/** The root disk. @throws Error for a server without an image: volumes are not there yet */
export function diskOf(server: Server): CommandBody<'disk.ensure'> {
  const { image } = server;
  if (!image) throw new Error(`server ${server.id} has no image to make its disk from`);
  const format = image.format === 'raw' ? 'raw' : 'qcow2';
  return {
    server_id: server.id,
    image: { id: image.id, digest: image.digest, format, size: image.size },
    size: rootDiskBytes(server),
    revision: server.disk_revision,
  };
}

/** The disk of a server as another host finds it that has the same directory as `source`, where it was made. */
export async function sharedDiskOf(
  cloud: Cloud,
  server: Server,
  source: string,
  { revision, take }: Pick<CommandBody<'disk.find'>, 'revision' | 'take'>,
): Promise<CommandBody<'disk.find'>> {
  const from = await cloud.db.read((session) => cardOf(session, source));
  const { server_id, image } = diskOf(server);
  return { server_id, base_format: image.format, revision, from, take };
}

/** The disk that a server needs where it is, with what else must stay there: while a resize is open, the disk of its other side. */
export async function disksOf(cloud: Cloud, server: Server): Promise<CommandBody<'disk.ensure'>> {
  const disk = diskOf(server);
  // A server that is being built was never resized.
  if (server.vm_state === 'building') return disk;
  const migration = await cloud.db.read((session) => openMigration(session, server.id));
  if (!migration) return disk;
  const sides = [migration.old_revision, migration.new_revision];
  return { ...disk, keep: sides.filter((revision) => revision !== disk.revision) };
}

/**
 * A storage agent's answer as the domain needs it. What the disk stands on goes along: named, libvirt leaves the ownership of the
 * image alone that other servers' disks stand on too.
 */
export function diskFacts(answer: Facts): ServerEnsure['disk'] {
  const backing = answer['backing'] as ServerEnsure['disk']['backing'];
  return {
    path: String(answer['path']),
    format: 'qcow2',
    ...(backing === undefined ? {} : { backing }),
    ...(answer['shared'] === true ? { shared: true } : {}),
  };
}

/** By the server's row as a task knows it. */
const knownPorts = new WeakMap<Server, Promise<readonly Port[]>>();

/** The ports of a task's server in the order of its interfaces, read once like the server itself. */
export function portsOf(cloud: Cloud, server: Server): Promise<readonly Port[]> {
  const reading = knownPorts.get(server) ?? portsByServer(cloud, server.id);
  knownPorts.set(server, reading);
  reading.catch(() => knownPorts.delete(server));
  return reading;
}

async function interfacesOf(cloud: Cloud, server: Server): Promise<ServerEnsure['interfaces']> {
  const rows = await portsOf(cloud, server);
  return Promise.all(
    rows.map(async ({ id, mac_address: mac, network_id }) => {
      const [network] = await networksById(cloud, network_id);
      return { port_id: id, mac, mtu: network?.mtu ?? 1500 };
    }),
  );
}

/** The whole desired state of a server's domain; `without` is a port whose interface is about to go. */
export async function domainOf(
  cloud: Cloud,
  server: Server,
  disk: ServerEnsure['disk'],
  power: PowerTarget,
  extra: Partial<Pick<ServerEnsure, 'reboot' | 'redefine'>> & { readonly without?: string } = {},
): Promise<ServerEnsure> {
  const { without, ...changes } = extra;
  const interfaces = await interfacesOf(cloud, server);
  const config_drive = await cloud.db.read((session) => configDriveOf(session, server));
  return {
    server_id: server.id,
    name: server.name,
    project_id: server.project_id,
    vcpus: server.flavor.vcpus,
    memory_mib: server.flavor.ram,
    disk,
    interfaces: interfaces.filter(({ port_id }) => port_id !== without),
    config_drive,
    guest_agent: hasGuestAgent(server),
    power,
    reboot: null,
    redefine: false,
    ...changes,
  };
}

/** Changes a server's row in a step's result. */
export async function setServer(session: WriteSession, cloud: Cloud, id: string, set: Partial<Server>): Promise<void> {
  await session.update(servers, { id }, { ...set, updated_at: cloud.clock.now() });
}

/** A fault as the API shows it. */
export function faultRow(cloud: Cloud, fault: Fault): NonNullable<Server['fault']> {
  return { code: 500, message: fault.message, details: fault.details ?? '', created: cloud.clock.now() };
}
