// The storage agent: makes servers' root disks from cached images and removes what should not be on the host.
import { chmod, mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createAgent,
  type Agent,
  type AgentApi,
  type Bus,
  type Clock,
  type Exec,
  type Expected,
  type HostApi,
  type HostResource,
  type Logger,
} from '@cumulet/common';
import type { StorageConfig } from './config';
import { createDiskMoves } from './diskMoves';
import { createFileBackend, type ServerDisk } from './fileBackend';
import { createImageCache } from './imageCache';
import { createSnapshots } from './snapshots';
import { disksDirectory, imagesDirectory, serverDirectory } from './layout';

export interface StorageAgentOptions {
  readonly host: string;
  readonly bus: Bus;
  readonly api: AgentApi;
  readonly exec: Exec;
  readonly log: Logger;
  readonly clock: Clock;
  readonly config: StorageConfig;
}

export interface StorageAgent extends Agent {
  /** Removes every disk of ours from the host. The agent must not have been started. */
  purge(): Promise<void>;
  /** A disk for the host that its server goes to. */
  openDisk: HostApi['openDisk'];
  /** Files of servers on this host. */
  inventoryOfResources(): Promise<readonly HostResource[]>;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export function createStorageAgent(options: StorageAgentOptions): StorageAgent {
  const { host, bus, api, exec, log, clock, config } = options;
  const { dir } = config;
  const backend = createFileBackend({ dir, exec });
  const limits = { keepMs: config.image_keep_seconds * 1000, minFreeBytes: config.min_free_mib * MIB };
  const snapshots = createSnapshots({ dir, host, api, exec });
  const moves = createDiskMoves({ dir, host, api, exec });
  const cache = createImageCache({ dir, host, api, clock, log, limits });

  /** QEMU runs as another user: it must get through to its files but has no reason to list others'. */
  const prepare = async (): Promise<void> => {
    for (const directory of [imagesDirectory(dir), disksDirectory(dir)]) {
      await mkdir(directory, { recursive: true });
      await chmod(directory, 0o711);
    }
  };

  const inventory = async (): Promise<Record<string, unknown>> => {
    await prepare();
    const { blocks, bavail, bsize } = await statfs(dir);
    return { disk_gib: Math.floor((blocks * bsize) / GIB), disk_free_gib: Math.floor((bavail * bsize) / GIB) };
  };

  const reconcile = async (expected: readonly Expected[]): Promise<void> => {
    const ids = new Set(expected.map(({ id }) => id));
    for (const { serverId } of await backend.list()) {
      if (ids.has(serverId)) continue;
      log.warn({ server: serverId }, 'the disk of a server that is not expected here is removed');
      await backend.remove(serverId);
    }
    await cache.clean();
    await cache.collect();
  };

  const agent = createAgent({
    host,
    role: 'storage',
    bus,
    api,
    clock,
    log,
    inventory,
    reconcile,
    handlers: {
      'disk.ensure': async ({ body }, { signal, progress }) => {
        const file = await cache.ensure(body.image, signal, (received) =>
          progress({ fetched_bytes: received, image_bytes: body.image.size }),
        );
        const disk: ServerDisk = await backend.ensure(body, file);
        return { ...disk };
      },
      'disk.adopt': async ({ body }, { signal, progress }) => {
        const file = await cache.ensure(body.image, signal, (received) =>
          progress({ fetched_bytes: received, image_bytes: body.image.size }),
        );
        await moves.adopt(body, file, signal, (received) => progress({ copied_bytes: received }));
        return {};
      },
      'snapshot.prepare': async ({ body }) => ({ ...(await snapshots.prepare(body)) }),
      'snapshot.flatten': async ({ body }, { signal }) => {
        await snapshots.flatten(body, signal);
        return {};
      },
      'snapshot.upload': async ({ body }, { signal }) => {
        await snapshots.upload(body, signal);
        return {};
      },
      'snapshot.remove': async ({ body }) => {
        await snapshots.remove(body);
        return {};
      },
      'disk.remove': async ({ body }) => {
        if (body.revision === undefined) await backend.remove(body.server_id);
        else await backend.removeRevision(body.server_id, body.revision);
        await cache.collect();
        return {};
      },
    },
  });

  return {
    start: () => agent.start(),
    session: () => agent.session(),
    openDisk: (serverId, revision) => moves.open(serverId, revision),
    async purge() {
      await prepare();
      await reconcile([]);
    },
    async stop() {
      await cache.stop();
      await agent.stop();
    },
    async inventoryOfResources() {
      const servers = await backend.list();
      return servers.flatMap(({ serverId, names }) => {
        const directory = serverDirectory(dir, serverId);
        const files = names.map((name) => ({ kind: 'disk', id: serverId, name: join(directory, name) }));
        return [{ kind: 'disk_directory', id: serverId, name: directory }, ...files];
      });
    },
  };
}
