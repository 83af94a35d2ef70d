// The guests of a simulated host: power states by server that commands change, that end by themselves, and that go to other hosts.
import { PassThrough } from 'node:stream';
import {
  HostError,
  interfaceName,
  type AgentApi,
  type Bus,
  type CommandHandlers,
  type Diagnostics,
  type HostApi,
  type MigrationExpect,
  type MigrationOutcome,
  type ObservedServer,
  type ServerEnsure,
} from '@cumulet/common';

type Power = ObservedServer['power'];

export interface SimulatedServers {
  readonly handlers: CommandHandlers;
  readonly api: Pick<HostApi, 'consoleLog' | 'diagnostics' | 'openConsole' | 'setPassword'>;
  /** Tells what of these servers is there, and the others as off. */
  report(ids: Iterable<string>): Promise<void>;
  /** Removes all but these, and tells of them. */
  keep(expected: ReadonlySet<string>): Promise<void>;
  powerOff(serverId: string): Promise<void>;
  /** What agents know of migrations ends with them. */
  forgetMigrations(): void;
}

export interface SimulatedServerParts {
  readonly name: string;
  readonly bus: Bus;
  readonly api: Pick<AgentApi, 'reportServers'>;
  readonly domains: Map<string, string>;
  readonly vcpus: Map<string, number>;
  readonly interfaces: Map<string, readonly string[]>;
  readonly taps: ReadonlySet<string>;
  readonly snapshots: Map<string, string>;
  readonly requireDisk: (path: string) => void;
  readonly before: (kind: string, signal?: AbortSignal) => Promise<void> | void;
}

/** Hosts that reach each other: those of one bus. */
const neighbours = new WeakMap<Bus, Map<string, { arrive(migration: string, from: string): void }>>();

const fault = (code: string, message: string, retryable: boolean): HostError =>
  new HostError(code, message, { retryable });
const notRunning = (): HostError => fault('not_running', 'the server is not running', false);
/** A guest is there that computes, or could go on. */
export const isAwake = (power: string | undefined): boolean => power === 'running' || power === 'paused';

export function createSimulatedServers(parts: SimulatedServerParts): SimulatedServers {
  const { name, bus, api, domains, vcpus, interfaces, taps, snapshots, before, requireDisk } = parts;
  /** The server as its guest was last defined. */
  const told = new Map<string, ServerEnsure>();
  const expected = new Map<string, MigrationExpect>();
  const sent = new Map<string, MigrationOutcome>();
  /** Migrations that were expected, and are no more. */
  const concluded = new Set<string>();

  const report = async (ids: Iterable<string>): Promise<void> => {
    const servers = [...ids].map((id): ObservedServer => {
      const power = domains.get(id) as Power | undefined;
      if (power === undefined) return { id, power: 'shutdown', why: 'its domain is no longer defined on its host' };
      return power === 'shutdown' ? { id, power, why: 'the guest shut itself down' } : { id, power };
    });
    if (servers.length > 0) await api.reportServers(name, servers);
  };
  const define = (server: ServerEnsure, power: string): void => {
    const id = server.server_id;
    domains.set(id, power);
    told.set(id, server);
    vcpus.set(id, server.vcpus);
    interfaces.set(
      id,
      server.interfaces.map((one) => one.port_id),
    );
  };
  const forget = (id: string): void => {
    for (const things of [domains, told, vcpus, interfaces]) things.delete(id);
    for (const [migration, { server }] of expected) if (server.server_id === id) expected.delete(migration);
  };

  /** Brings the domain to a state of power. Where that fails it is defined by then, as in life. */
  const ensure = async (server: ServerEnsure, signal: AbortSignal): Promise<string> => {
    const id = server.server_id;
    requireDisk(server.disk.path);
    const found = domains.get(id) ?? 'shutdown';
    const power = server.power === 'unchanged' ? found : server.power;
    if (power === 'suspended' && found !== 'suspended' && !isAwake(found))
      throw fault('not_running', 'the server is not running, so there is no memory to suspend', false);
    const plugged = isAwake(found) ? (interfaces.get(id) ?? []) : [];
    define(server, found);
    if (isAwake(power) && server.interfaces.some(({ port_id: port }) => !plugged.includes(port) && !taps.has(port)))
      throw fault('port_missing', 'starting the server failed: a port of the server is not wired on the host', true);
    if (found === 'running' && power === 'shutdown') await before('guest.shutdown', signal);
    if (signal.aborted) throw fault('aborted', 'a newer command took over', true);
    domains.set(id, power);
    return power;
  };

  const handlers: CommandHandlers = {
    'server.ensure': async ({ body }, { signal }) => {
      await before('server.ensure');
      return { power: await ensure(body, signal) };
    },
    'server.remove': async ({ body }) => {
      await before('server.remove');
      forget(body.server_id);
      return {};
    },
    'disk.copy': async ({ body }) => {
      await before('disk.copy');
      if (body.path === null) return { copied: false };
      if (isAwake(domains.get(body.server_id))) snapshots.set(body.path, body.server_id);
      return { copied: snapshots.has(body.path) };
    },
    'migration.expect': async ({ body }) => {
      await before('migration.expect');
      if (expected.has(body.migration_id)) return {};
      // A real host would find out later: here a controller is found out that forgets the order.
      requireDisk(body.server.disk.path);
      for (const one of body.server.interfaces) if (!taps.has(one.port_id)) throw new Error('the tap is missing');
      expected.set(body.migration_id, body);
      return {};
    },
    'migration.send': async ({ body }, { signal }) => {
      const known = sent.get(body.migration_id);
      if (known === 'moved') return {};
      if (known === 'stayed')
        throw fault('already_over', 'the migration has failed before; it stays where it is', false);
      if (known === 'unknown')
        throw fault('outcome_unknown', 'it is not known here whether the new host runs the server', true);
      await before('migration.send', signal);
      sent.set(body.migration_id, 'stayed');
      if (signal.aborted) throw fault('aborted', 'the migration was ended; it stays where it is', false);
      if (!isAwake(domains.get(body.server_id)))
        throw fault('not_running', 'the server does not run, so it was not sent; it stays where it is', false);
      const there = neighbours.get(bus)?.get(body.to.host);
      if (!there) throw fault('unreachable', 'the other host is not reached; it stays where it is', false);
      there.arrive(body.migration_id, name);
      // As in life: where it was it waits to be removed.
      domains.set(body.server_id, 'paused');
      sent.set(body.migration_id, 'unknown');
      await before('migration.sent');
      sent.set(body.migration_id, 'moved');
      return {};
    },
    'migration.abort': async ({ body }) => {
      await before('migration.abort');
      const seen = domains.get(body.server_id) === 'running' ? 'stayed' : 'unknown';
      const outcome = sent.get(body.migration_id) ?? seen;
      // Whatever comes late for this migration finds it over.
      sent.set(body.migration_id, outcome);
      return { outcome };
    },
    'migration.force': async () => {
      await before('migration.force');
      return {};
    },
    'migration.conclude': async ({ body }) => {
      await before('migration.conclude');
      if (expected.delete(body.migration_id)) concluded.add(body.migration_id);
      if (isAwake(domains.get(body.server_id))) return { outcome: 'moved' };
      return { outcome: 'refused', ...(concluded.has(body.migration_id) ? {} : { may_have_run: true }) };
    },
  };

  /** A guest comes that is expected, once. */
  const arrive = (migration: string, from: string): void => {
    const body = expected.get(migration);
    if (body?.from !== from)
      throw fault(
        'migration_refused',
        'the server could not be sent: the host does not expect it; it stays where it is',
        false,
      );
    expected.delete(migration);
    define(body.server, body.server.power);
  };
  const others = neighbours.get(bus) ?? new Map();
  neighbours.set(bus, others.set(name, { arrive }));

  const diagnose = (id: string): Diagnostics => {
    const server = told.get(id);
    if (!server || !isAwake(domains.get(id))) throw notRunning();
    const none = { bytes: 0, packets: 0, errors: 0, drops: 0 };
    const disk = { readRequests: 1, readBytes: 512, writeRequests: 0, writeBytes: 0, errors: 0 };
    const devices = server.config_drive === null ? ['vda'] : ['vda', 'vdz'];
    return {
      cpuTimes: Array.from({ length: server.vcpus }, () => 1),
      disks: devices.map((device) => ({ device, ...disk })),
      interfaces: server.interfaces.map((one) => ({
        device: interfaceName('tap', one.port_id),
        received: none,
        sent: none,
      })),
      maximumMemory: server.memory_mib * 1024,
      memory: { rss: server.memory_mib * 1024 },
      hypervisor: 'qemu',
    };
  };

  return {
    handlers,
    report,
    async keep(wanted) {
      for (const id of domains.keys()) if (!wanted.has(id)) forget(id);
      await report(new Set([...domains.keys(), ...wanted]));
    },
    async powerOff(id) {
      domains.set(id, 'shutdown');
      await report([id]);
    },
    forgetMigrations() {
      expected.clear();
      concluded.clear();
      sent.clear();
    },
    api: {
      consoleLog: (id, maxBytes) => {
        const text = told.has(id) ? Buffer.from('simulated') : Buffer.alloc(0);
        return Promise.resolve(text.subarray(Math.max(0, text.length - maxBytes)));
      },
      diagnostics: (id) => Promise.resolve().then(() => diagnose(id)),
      openConsole: (id, kind) => {
        if (!isAwake(domains.get(id))) return Promise.reject(notRunning());
        // The guest repeats what it hears, after saying who it is.
        const guest = new PassThrough();
        guest.write(`${kind} of ${id}\r\n`);
        return Promise.resolve(guest);
      },
      setPassword: (id) => {
        if (isAwake(domains.get(id)) && told.get(id)?.guest_agent === true) return Promise.resolve();
        return Promise.reject(
          fault('not_running', 'the server is not running, or runs without a channel to its agent', false),
        );
      },
    },
  };
}
