// A host without a kernel: agents that carry out the same commands on sets in memory. Faults can be ordered.
import { randomUUID } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import {
  createAgent,
  CumuletError,
  HostError,
  silentLogger,
  systemClock,
  type Agent,
  type AgentApi,
  type AgentRole,
  type Bus,
  type CommandHandlers,
  type HostApi,
  type HostResource,
  type MigrationExpect,
} from '@cumulet/common';
import { qcow2Header } from './qcow2';

export interface SimulatedHost {
  readonly name: string;
  readonly domains: Map<string, string>;
  /** Revisions of disks by server. */
  readonly disks: Map<string, Set<number>>;
  /** vCPUs of each domain as it was last told. */
  readonly vcpus: Map<string, number>;
  readonly taps: Set<string>;
  /** Copies of disks on their way into images: servers by image. */
  readonly snapshots: Map<string, string>;
  /** The ports that each domain was last told to have. */
  readonly interfaces: Map<string, readonly string[]>;
  readonly api: HostApi;
  /** How often each kind of command was carried out. */
  readonly done: Map<string, number>;
  /**
   * Called before a command is carried out; throws to make it fail, awaits to make it slow.
   * @param signal of a migration: fires when it shall end
   */
  before: (kind: string, signal?: AbortSignal) => Promise<void> | void;
  start(): Promise<void>;
  /** Asks once what changed in the network, as a network agent does between hints too. */
  poll(): Promise<void>;
  stop(): Promise<void>;
}

/** What hosts have in common that mount one directory of disks. */
export interface SharedPool {
  readonly id: string;
  readonly disks: Map<string, Set<number>>;
  readonly cards: Map<string, string>;
  /** The generation of each server when a host was last told to have its disk. */
  readonly generations: Map<string, number>;
  /** The domains of all of them. */
  readonly domains: Map<string, string>[];
}

export const createSharedPool = (): SharedPool => ({
  id: randomUUID(),
  disks: new Map(),
  cards: new Map(),
  generations: new Map(),
  domains: [],
});

/** Hosts that reach each other: those of one bus. */
const neighbours = new WeakMap<Bus, Map<string, { arrive(migration: string, from: string): void }>>();

/**
 * @param heartbeatMs milliseconds between heartbeats of its agents; tests don't like to wait
 * @param pool the directory of disks that it has with others; one of its own unless given
 */
export function createSimulatedHost(
  name: string,
  bus: Bus,
  api: AgentApi,
  heartbeatMs = 200,
  pool?: SharedPool,
): SimulatedHost {
  const domains = new Map<string, string>();
  const disks = pool?.disks ?? new Map<string, Set<number>>();
  pool?.domains.push(domains);
  /** Disks that were there before it was told which should be. */
  let seen = new Set<string>();
  const isElsewhere = (id: string, generation: number): boolean => (pool?.generations.get(id) ?? 0) > generation;
  const take = (id: string, generation: number): void => {
    if (isElsewhere(id, generation))
      throw new HostError('disk_elsewhere', 'another host has the disk by now', { retryable: false });
    pool?.generations.set(id, generation);
  };
  const vcpus = new Map<string, number>();
  const taps = new Set<string>();
  const interfaces = new Map<string, readonly string[]>();
  const snapshots = new Map<string, string>();
  const done = new Map<string, number>();
  const expected = new Map<string, MigrationExpect>();
  const sent = new Map<string, 'moved' | 'stayed'>();
  let agents: Agent[] = [];

  /** The ports that belong here by the change feed, which is followed as a network agent does: one question at a time. */
  const wanted = new Set<string>();
  let since = 0;
  const pull = async (): Promise<void> => {
    const { sequence, reload, objects, gone } = await api.networkChanges(name, since);
    if (reload) wanted.clear();
    for (const { kind, id } of objects) if (kind === 'port') wanted.add(id);
    for (const { kind, id } of gone) if (kind === 'port') wanted.delete(id);
    since = sequence;
    for (const id of taps) if (!wanted.has(id)) taps.delete(id);
    for (const id of wanted) taps.add(id);
  };
  let pulling = Promise.resolve();
  const wire = (): Promise<void> => (pulling = pulling.then(pull, pull));
  const rewire = (): Promise<void> => {
    since = 0;
    return wire();
  };
  const handlers: CommandHandlers = {
    'disk.ensure': async ({ body, generation }) => {
      await host.before('disk.ensure');
      take(body.server_id, generation);
      const kept = [...(disks.get(body.server_id) ?? [])].filter((revision) => body.keep?.includes(revision));
      disks.set(body.server_id, new Set([body.revision, ...kept]));
      return { path: `/disks/${body.server_id}`, format: 'qcow2' };
    },
    'disk.find': async ({ body, generation }) => {
      await host.before('disk.find');
      if (pool?.cards.get(body.from.host) !== body.from.card)
        throw new HostError('disks_not_shared', 'the other host has other disks', { retryable: false });
      if (!disks.get(body.server_id)?.has(body.revision))
        throw new HostError('disk_missing', 'the disk is missing', { retryable: false });
      if (body.take) take(body.server_id, generation);
      return { path: `/disks/${body.server_id}`, format: 'qcow2', shared: true };
    },
    'disk.adopt': async ({ body, generation }) => {
      await host.before('disk.adopt');
      take(body.server_id, generation);
      if (body.from.elsewhere) {
        const { stream } = await api.openDisk(name, body.server_id);
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk as Buffer);
        if (Buffer.concat(chunks).toString() !== `${body.server_id} ${body.from.revision}`)
          throw new Error('this is another disk');
      } else if (!disks.get(body.server_id)?.has(body.from.revision)) throw new Error('the disk is missing');
      disks.set(body.server_id, new Set([...(disks.get(body.server_id) ?? []), body.revision]));
      return {};
    },
    'disk.remove': async ({ body, generation }) => {
      await host.before('disk.remove');
      if (isElsewhere(body.server_id, generation)) return {};
      // As in life: a disk in use must not go.
      const users = pool?.domains ?? [domains];
      if (body.revision === undefined && users.some((one) => one.has(body.server_id)))
        throw new Error('the disk is in use');
      if (body.revision !== undefined) {
        disks.get(body.server_id)?.delete(body.revision);
        return {};
      }
      disks.delete(body.server_id);
      for (const [image, server] of snapshots) if (server === body.server_id) snapshots.delete(image);
      return {};
    },
    'ports.ensure': async ({ body }) => {
      await host.before('ports.ensure');
      await wire();
      const lacking = body.port_ids.filter((id) => !taps.has(id));
      if (lacking.length > 0) throw new Error(`no such port here: ${lacking.join()}`);
      await api.reportPorts(
        name,
        body.port_ids.map((id) => ({ id, wired: true })),
      );
      return { wired: true };
    },
    'ports.remove': async () => {
      await host.before('ports.remove');
      await wire();
      return {};
    },
    'server.ensure': async ({ body }) => {
      await host.before('server.ensure');
      if (!disks.has(body.server_id)) throw new Error('the disk is missing');
      for (const one of body.interfaces) if (!taps.has(one.port_id)) throw new Error('the tap is missing');
      const power = body.power === 'unchanged' ? (domains.get(body.server_id) ?? 'shutdown') : body.power;
      domains.set(body.server_id, power);
      vcpus.set(body.server_id, body.vcpus);
      interfaces.set(
        body.server_id,
        body.interfaces.map((one) => one.port_id),
      );
      return { power };
    },
    'disk.copy': async ({ body }) => {
      await host.before('disk.copy');
      const runs = (domains.get(body.server_id) ?? 'shutdown') !== 'shutdown';
      if (runs && body.path !== null) snapshots.set(body.path, body.server_id);
      return { copied: runs && body.path !== null };
    },
    'snapshot.prepare': async ({ body }) => {
      await host.before('snapshot.prepare');
      if (!disks.has(body.server_id)) throw new Error('the disk is missing');
      return { path: body.image_id };
    },
    'snapshot.flatten': async ({ body }) => {
      await host.before('snapshot.flatten');
      snapshots.set(body.image_id, body.server_id);
      return {};
    },
    'snapshot.upload': async ({ body }) => {
      await host.before('snapshot.upload');
      if (!snapshots.has(body.image_id)) throw new Error('the snapshot is missing');
      const bytes = qcow2Header();
      try {
        await api.storeImage(name, body.image_id, { size: bytes.length, stream: Readable.from([bytes]) });
      } catch (error) {
        if (!(error instanceof CumuletError) || error.code !== 'image_refused') throw error;
        throw new HostError(error.code, error.message, { retryable: false });
      }
      return {};
    },
    'snapshot.remove': async ({ body }) => {
      await host.before('snapshot.remove');
      snapshots.delete(body.image_id);
      return {};
    },
    'migration.expect': async ({ body }) => {
      await host.before('migration.expect');
      if (!disks.has(body.server.server_id)) throw new Error('the disk is missing');
      for (const one of body.server.interfaces) if (!taps.has(one.port_id)) throw new Error('the tap is missing');
      if (!expected.has(body.migration_id)) expected.set(body.migration_id, body);
      return {};
    },
    'migration.send': async ({ body }, context) => {
      const known = sent.get(body.migration_id);
      if (known === 'moved') return {};
      sent.set(body.migration_id, 'stayed');
      await host.before('migration.send', context.signal);
      if (context.signal.aborted) throw new Error('given up');
      const there = neighbours.get(bus)?.get(body.to.host);
      if (!there) throw new HostError('unreachable', 'the other host is not reached', { retryable: false });
      there.arrive(body.migration_id, name);
      // As in life: where it was it waits to be removed.
      domains.set(body.server_id, 'paused');
      await host.before('migration.sent');
      sent.set(body.migration_id, 'moved');
      return {};
    },
    'migration.abort': async ({ body }) => {
      await host.before('migration.abort');
      const stopped = domains.get(body.server_id) === 'paused';
      return { outcome: sent.get(body.migration_id) === 'moved' ? 'moved' : stopped ? 'unknown' : 'stayed' };
    },
    'migration.force': async () => {
      await host.before('migration.force');
      return {};
    },
    'migration.conclude': async ({ body }) => {
      await host.before('migration.conclude');
      expected.delete(body.migration_id);
      return { outcome: domains.has(body.server_id) ? 'moved' : 'refused' };
    },
    'server.remove': async ({ body }) => {
      await host.before('server.remove');
      domains.delete(body.server_id);
      interfaces.delete(body.server_id);
      vcpus.delete(body.server_id);
      return {};
    },
  };
  const counted = Object.fromEntries(
    Object.entries(handlers).map(([kind, handler]) => [
      kind,
      async (...args: unknown[]) => {
        const answer: unknown = await (handler as (...all: unknown[]) => Promise<unknown>)(...args);
        done.set(kind, (done.get(kind) ?? 0) + 1);
        return answer;
      },
    ]),
  ) as CommandHandlers;

  const agent = (role: AgentRole, reconcile: (expected: ReadonlySet<string>) => Promise<void> | void): Agent =>
    createAgent({
      host: name,
      role,
      bus,
      api,
      clock: systemClock,
      log: silentLogger,
      handlers: counted,
      inventory: () => Promise.resolve({ vcpus: 64, memory_mib: 65536, disk_gib: 1000, ...leaveCard(role) }),
      reconcile: async (expected) => reconcile(new Set(expected.map(({ id }) => id))),
      heartbeatMs,
    });
  const leaveCard = (role: AgentRole): object => {
    if (role !== 'storage') return {};
    seen = new Set(disks.keys());
    if (!pool) return {};
    const card = randomUUID();
    pool.cards.set(name, card);
    return { shared_disks: pool.id, shared_disks_card: card };
  };
  const keepDisks = (expected: ReadonlySet<string>): void => {
    for (const id of seen) if (!expected.has(id)) disks.delete(id);
  };
  const keep = (things: Map<string, unknown>) => (expected: ReadonlySet<string>) => {
    for (const id of things.keys()) if (!expected.has(id)) things.delete(id);
  };

  /** A guest comes that is expected, once. */
  const arrive = (migration: string, from: string): void => {
    const body = expected.get(migration);
    if (body?.from !== from)
      throw new HostError('not_expected', 'the other host does not expect it', { retryable: false });
    expected.delete(migration);
    domains.set(body.server.server_id, body.server.power);
    vcpus.set(body.server.server_id, body.server.vcpus);
  };
  const others = neighbours.get(bus) ?? new Map();
  neighbours.set(bus, others.set(name, { arrive }));

  const host: SimulatedHost = {
    name,
    domains,
    disks,
    vcpus,
    taps,
    interfaces,
    snapshots,
    done,
    before: () => undefined,
    api: {
      consoleLog: () => Promise.resolve(Buffer.from('simulated')),
      diagnostics: (id) =>
        domains.get(id) === 'running'
          ? Promise.resolve({
              cpuTimes: [1],
              disks: [],
              interfaces: [],
              maximumMemory: 131072,
              memory: {},
              hypervisor: 'qemu',
            })
          : Promise.reject(new HostError('not_running', 'the server is not running', { retryable: false })),
      openConsole: (id, kind) => {
        if (domains.get(id) !== 'running')
          return Promise.reject(new HostError('not_running', 'the server is not running', { retryable: false }));
        // The guest repeats what it hears, after saying who it is.
        const guest = new PassThrough();
        guest.write(`${kind} of ${id}\r\n`);
        return Promise.resolve(guest);
      },
      setPassword: () => Promise.resolve(),
      openDisk: (id, revision) => {
        const there = disks.get(id)?.has(revision) && (domains.get(id) ?? 'shutdown') === 'shutdown';
        if (!there) return Promise.reject(new Error('no such disk stands still here'));
        const bytes = Buffer.from(`${id} ${revision}`);
        return Promise.resolve({ size: bytes.length, stream: Readable.from([bytes]) });
      },
      openImage: () => Promise.reject(new HostError('image_missing', 'no such image', { retryable: false })),
      inventoryOfResources: async () => {
        const of = (kind: string, ids: Iterable<string>): HostResource[] =>
          [...ids].map((id) => ({ kind, id, name: `${kind}-${id}` }));
        const { objects } = await api.networkChanges(name, 0);
        const bridges = objects.filter((object) => object.kind === 'network').map(({ id }) => id);
        const namespaces = objects.filter((object) => object.kind === 'router').map(({ id }) => id);
        return [
          ...of('domain', domains.keys()),
          ...of('disk', disks.keys()),
          ...of('tap', taps),
          ...of('bridge', bridges),
          ...of('namespace', namespaces),
        ];
      },
    },
    async start() {
      agents = [agent('compute', keep(domains)), agent('storage', keepDisks), agent('network', rewire)];
      await Promise.all(agents.map((one) => one.start()));
    },
    poll: wire,
    async stop() {
      await Promise.all(agents.map((one) => one.stop()));
    },
  };
  return host;
}
