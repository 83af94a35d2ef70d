// The sockets through which a guest leaves and comes: in a directory that only QEMU and the agent may enter.
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { joinStreams, type Logger, type MigrationChannel } from '@cumulet/common';
import type { MigrationSockets } from '@cumulet/libvirt';
import type { Hypervisor } from './hypervisor';
import { serverDirectory } from './layout';

const CHANNELS: readonly MigrationChannel[] = ['memory', 'disks'];

/** User and group that QEMU runs as, by libvirt's capabilities; undefined where libvirt does not change them. */
export function qemuOwner(capabilities: string): { readonly uid: number; readonly gid: number } | undefined {
  const label = /<model>dac<\/model>[^]*?<baselabel type='\w+'>\+(\d+):\+(\d+)<\/baselabel>/.exec(capabilities);
  return label ? { uid: Number(label[1]), gid: Number(label[2]) } : undefined;
}

export const socketPath = (dir: string, serverId: string, channel: MigrationChannel): string =>
  join(serverDirectory(dir, serverId), 'migration', channel);

/** What libvirt is told of the two sockets. */
export const socketUris = (dir: string, serverId: string, disks: boolean): MigrationSockets => ({
  migrateUri: `unix://${socketPath(dir, serverId, 'memory')}`,
  ...(disks ? { disksUri: `unix://${socketPath(dir, serverId, 'disks')}` } : {}),
});

/** Removes the directory with what an earlier migration left. */
export const removeSockets = (dir: string, serverId: string): Promise<void> =>
  rm(join(serverDirectory(dir, serverId), 'migration'), { recursive: true, force: true });

/** Makes the directory anew: QEMU makes and opens sockets there, and nobody else but root. */
export async function makeSockets(hypervisor: Hypervisor, dir: string, serverId: string) {
  await removeSockets(dir, serverId);
  const directory = join(serverDirectory(dir, serverId), 'migration');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  const owner = qemuOwner(await hypervisor.capabilities());
  if (owner) await chown(directory, owner.uid, owner.gid);
  return owner;
}

/**
 * Takes what the hypervisor of this host sends on its sockets over to the other host. `lost` is called when a way ends before the
 * hypervisor of this host leaves it. @returns what ends that
 */
export async function openRelays(
  context: { readonly hypervisor: Hypervisor; readonly dir: string; readonly log: Logger },
  serverId: string,
  connect: (channel: MigrationChannel) => Promise<Duplex>,
  lost: (channel: MigrationChannel) => void,
): Promise<() => Promise<void>> {
  const { hypervisor, dir, log } = context;
  const owner = await makeSockets(hypervisor, dir, serverId);
  const sockets = new Set<Socket>();
  const take = (channel: MigrationChannel, socket: Socket): void => {
    sockets.add(socket);
    socket.pause().once('close', () => sockets.delete(socket));
    connect(channel).then(
      (other) => {
        other.once('close', () => {
          if (!socket.readableEnded && !socket.destroyed) lost(channel);
        });
        joinStreams(socket, other);
      },
      (error: unknown) => {
        log.warn({ err: error, server: serverId, channel }, 'a way to the other host was not opened');
        socket.destroy();
        lost(channel);
      },
    );
  };
  const servers: Server[] = [];
  for (const channel of CHANNELS) {
    const path = socketPath(dir, serverId, channel);
    const server = createServer((socket) => take(channel, socket));
    servers.push(server);
    await new Promise<void>((done, fail) => void server.once('error', fail).listen(path, done));
    await chmod(path, 0o600);
    if (owner) await chown(path, owner.uid, owner.gid);
  }
  return async () => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
    await removeSockets(dir, serverId);
  };
}
