// A host without a kernel: agents that carry out the same commands on sets in memory, and answer as real ones by a contract
// (test/support/hostContract). Left out: the regular report of all servers, progress, full disks. Faults can be ordered.
import { randomUUID } from 'node:crypto';
import {
  CONSOLE_KINDS,
  createAgent,
  HostError,
  silentLogger,
  systemClock,
  type Agent,
  type AgentApi,
  type AgentRole,
  type Bus,
  type CommandHandlers,
  type ConsoleKind,
  type HostApi,
  type HostResource,
  type NetworkObject,
  type Subscription,
} from '@cumulet/common';
import { createSimulatedDisks } from './simulatedDisks';
import { createSimulatedServers, isAwake } from './simulatedServers';

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
   * Called before a command is carried out; throws to make it fail, awaits to make it slow. "guest.shutdown" is the time that a
   * guest takes to shut down, "migration.sent" the word of the new host that it runs.
   * @param signal of a migration or a shutdown: fires when it shall end
   */
  before: (kind: string, signal?: AbortSignal) => Promise<void> | void;
  /** What its kernel calls this boot: told by its compute agent, another one after a restart. Null: nothing is told. */
  bootId: string | null;
  /** Whether images count as fetched, whose bytes nobody has. */
  isStocked: boolean;
  readonly address: null;
  readonly consoles: readonly ConsoleKind[];
  start(): Promise<void>;
  /** A guest ends by itself, and its agent tells of it. */
  powerOff(serverId: string): Promise<void>;
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

const PAUSE_MS = 50;
/** How often the feed is asked that is behind a command. */
const FEED_TRIES = 20;

/** What a host of each role says of itself. */
const INVENTORIES: Readonly<Record<AgentRole, Readonly<Record<string, unknown>>>> = {
  compute: {
    vcpus: 64,
    memory_mib: 65536,
    disk_gib: 1000,
    hypervisor_type: 'QEMU',
    hypervisor_version: 7002000,
    libvirt_version: '9.0.0',
    virt_type: 'qemu',
    cpu_info: { arch: 'x86_64', topology: { sockets: 1, cores: 64, threads: 1 } },
    traits: ['COMPUTE_NODE', 'HW_ARCH_X86_64'],
  },
  // As on a machine that was set up by `cumulet up`.
  network: { physical_networks: ['public'] },
  storage: { disk_gib: 1000, disk_free_gib: 1000 },
};

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
  const vcpus = new Map<string, number>();
  const taps = new Set<string>();
  const interfaces = new Map<string, readonly string[]>();
  const done = new Map<string, number>();
  const before = (kind: string, signal?: AbortSignal): Promise<void> | void => host.before(kind, signal);
  const disk = createSimulatedDisks({
    name,
    api,
    disks,
    pool,
    before,
    isStocked: () => host.isStocked,
    isDefined: (id) => (pool?.domains ?? [domains]).some((one) => one.has(id)),
    isAwake: (id) => isAwake(domains.get(id)),
  });
  const { snapshots } = disk;
  const servers = createSimulatedServers({
    requireDisk: (path) => disk.require(path),
    ...{ name, bus, api, domains, vcpus, interfaces, taps, snapshots, before },
  });
  let agents: Agent[] = [];
  let hints: Subscription | undefined;

  /** What belongs here by the change feed, which is followed as a network agent does: one question at a time. */
  const wanted = new Map<string, NetworkObject['kind']>();
  const wantedOf = (kind: NetworkObject['kind']): string[] =>
    [...wanted].flatMap(([id, found]) => (found === kind ? id : []));
  let since = 0;
  let reported = '';
  const pull = async (): Promise<void> => {
    const { sequence, reload, objects, gone } = await api.networkChanges(name, since);
    if (reload) wanted.clear();
    for (const { kind, id } of objects) wanted.set(id, kind);
    for (const { id } of gone) wanted.delete(id);
    since = sequence;
    for (const id of taps) if (!wanted.has(id)) taps.delete(id);
    const ports = wantedOf('port');
    for (const id of ports) taps.add(id);
    const text = ports.join();
    if (text === reported) return;
    const report = ports.map((id) => ({ id, wired: true }));
    await api.reportPorts(name, report).then(
      () => (reported = text),
      // It is tried again when the feed is asked again.
      () => undefined,
    );
  };
  let pulling = Promise.resolve();
  const wire = (): Promise<void> => (pulling = pulling.then(pull, pull));
  const rewire = (): Promise<void> => {
    since = 0;
    return wire();
  };
  const wireUpTo = async (sequence: number): Promise<void> => {
    for (let tries = 0; tries < FEED_TRIES; tries++) {
      try {
        await wire();
      } catch (error) {
        throw new HostError('network_failed', 'the network could not be set up', { retryable: true, cause: error });
      }
      if (since >= sequence) return;
      await systemClock.sleep(PAUSE_MS);
    }
    throw new HostError('feed_behind', 'the host was not told of the change in time', { retryable: true });
  };
  const handlers: CommandHandlers = {
    ...disk.handlers,
    ...servers.handlers,
    'ports.ensure': async ({ body }) => {
      await host.before('ports.ensure');
      await wireUpTo(body.sequence);
      const lacking = body.port_ids.filter((id) => !taps.has(id));
      if (lacking.length > 0)
        throw new HostError('port_not_here', `port ${lacking.join(', ')} does not belong on its host`, {
          retryable: true,
        });
      return { wired: body.until === 'wired' };
    },
    'ports.remove': async ({ body }) => {
      await host.before('ports.remove');
      await wireUpTo(body.sequence);
      const left = body.port_ids.filter((id) => wanted.has(id));
      if (left.length > 0)
        throw new HostError('port_still_here', `port ${left.join(', ')} still belongs on its host`, {
          retryable: true,
        });
      return { wired: false };
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
      inventory: () => Promise.resolve({ ...INVENTORIES[role], ...leaveCard(role), ...bootOf(role) }),
      reconcile: async (expected) => reconcile(new Set(expected.map(({ id }) => id))),
      heartbeatMs,
    });
  const bootOf = (role: AgentRole): object =>
    role === 'compute' && host.bootId !== null ? { boot_id: host.bootId } : {};
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
    address: null,
    consoles: CONSOLE_KINDS,
    isStocked: false,
    bootId: null,
    api: {
      ...servers.api,
      openDisk: (id, revision) => disk.open(id, revision),
      openImage: (digest, start) => disk.openImage(digest, start),
      inventoryOfResources: async () => {
        const of = (kind: string, ids: Iterable<string>): HostResource[] =>
          [...ids].map((id) => ({ kind, id, name: `${kind}-${id}` }));
        await wire();
        return [
          ...of('domain', domains.keys()),
          ...of('disk', disks.keys()),
          ...of('tap', taps),
          ...of('bridge', wantedOf('network')),
          ...of('namespace', wantedOf('router')),
        ];
      },
    },
    async start() {
      servers.forgetMigrations();
      reported = '';
      agents = [agent('compute', (ids) => servers.keep(ids)), agent('storage', keepDisks), agent('network', rewire)];
      await Promise.all(agents.map((one) => one.start()));
      hints = await bus.onChanges(name, () => void wire().catch(() => undefined));
    },
    poll: wire,
    powerOff: (id) => servers.powerOff(id),
    async stop() {
      await hints?.close();
      await Promise.all(agents.map((one) => one.stop()));
    },
  };
  return host;
}
