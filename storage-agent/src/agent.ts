// The storage agent: makes servers' root disks from cached images and removes what should not be on the host.
import { chmod, mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createAgent,
  HostError,
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
import { createSharedDisks, GENERATION } from './sharedDisks';
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
  /** Removes every disk of ours from the host, but none that other hosts have too. The agent must not have been started. */
  purge(): Promise<void>;
  /** A disk for the host that its server goes to. */
  openDisk: HostApi['openDisk'];
  /** What the disk of a server that leaves stands on, when nobody else has it. */
  openImage: HostApi['openImage'];
  /** Files of servers on this host. */
  inventoryOfResources(): Promise<readonly HostResource[]>;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export function createStorageAgent(options: StorageAgentOptions): StorageAgent {
  const { host, bus, api, exec, log, clock, config } = options;
  const dir = config.shared_disks ?? config.dir;
  const shared = config.shared_disks === null ? undefined : createSharedDisks(dir, host);
  const disks = shared ? { shared: true } : {};
  /** Servers that had a disk before the controller said who should: others' disks appear meanwhile where hosts share them. */
  let seen: ReadonlySet<string> = new Set();
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
    const shares = shared && { shared_disks: await shared.id(), shared_disks_card: await shared.leaveCard() };
    await prepare();
    seen = new Set((await backend.list()).map(({ serverId }) => serverId));
    const { blocks, bavail, bsize } = await statfs(dir);
    const room = { disk_gib: Math.floor((blocks * bsize) / GIB), disk_free_gib: Math.floor((bavail * bsize) / GIB) };
    return { ...room, ...shares };
  };

  /** Where disks are shared: this host has the disk from now on, and nobody who was told so before. */
  const take = async (serverId: string, generation: number): Promise<void> => {
    await shared?.id();
    await shared?.take(serverId, generation);
  };

  const reconcile = async (expected: readonly Expected[]): Promise<void> => {
    const ids = new Set(expected.map(({ id }) => id));
    for (const { serverId } of await backend.list()) {
      if (ids.has(serverId) || !seen.has(serverId)) continue;
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
      'disk.ensure': async ({ body, generation }, { signal, progress }) => {
        await take(body.server_id, generation);
        const file = await cache.ensure(body.image, signal, (received) =>
          progress({ fetched_bytes: received, image_bytes: body.image.size }),
        );
        const disk: ServerDisk = await backend.ensure(body, file);
        return { ...disk, ...disks };
      },
      'disk.find': async ({ body, generation }) => {
        if (!shared)
          throw new HostError('disks_not_shared', 'the host shares no disks with others', { retryable: false });
        await shared.id();
        await shared.requireCard(body.from);
        const disk = await backend.find(body);
        if (body.take) await shared.take(body.server_id, generation);
        return { ...disk, ...disks };
      },
      'disk.adopt': async ({ body, generation }, { signal, progress }) => {
        await take(body.server_id, generation);
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
      'disk.remove': async ({ body, generation }) => {
        await shared?.id();
        if (await shared?.isElsewhere(body.server_id, generation)) {
          log.warn({ server: body.server_id }, 'a disk that another host has by now is not removed');
          return {};
        }
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
    openImage: (digest, start) => cache.open(digest, start),
    async purge() {
      // Other hosts have shared disks too, and nobody says here which are theirs.
      if (shared) return;
      await inventory();
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
        const files = names
          .filter((name) => name !== GENERATION)
          .map((name) => ({ kind: 'disk', id: serverId, name: join(directory, name) }));
        return [{ kind: 'disk_directory', id: serverId, name: directory }, ...files];
      });
    },
  };
}
