// Hosts as the rest of the cloud sees them: who is alive, what is free.
import { AGENT_TIMEOUT_MS, type AgentRole } from '@cumulet/common';
import { In, MoreThan, type ReadSession, type WriteSession } from '../db';
import { aggregateHosts, aggregates } from '../db/entities/placement';
import { agents, hosts, type Host } from '../db/entities/tasks';
import { hostsHeard } from '../db/repositories/liveness';
import type { HostView } from '../scheduler/scheduler';
import { HOST_CLASSES, RESOURCE_KEYS } from './placement/inventory';

const ROLES: readonly AgentRole[] = ['compute', 'network', 'storage'];
const NO_METADATA: HostView['aggregateMetadata'] = new Map();

/** Metadata of aggregates by host: every value that one of the host's aggregates gives a key. */
async function metadataByHost(session: ReadSession): Promise<Map<string, Map<string, string[]>>> {
  const byHost = new Map<string, Map<string, string[]>>();
  const metadata = new Map((await session.find(aggregates)).map((row) => [row.sequence, row.metadata]));
  if (metadata.size === 0) return byHost;
  for (const { aggregate, host } of await session.find(aggregateHosts)) {
    const values = byHost.get(host) ?? new Map<string, string[]>();
    byHost.set(host, values);
    for (const [key, value] of Object.entries(metadata.get(aggregate) ?? {}))
      values.set(key, [...(values.get(key) ?? []), value]);
  }
  return byHost;
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Traits that the compute agent found. */
export function foundTraits({ inventory }: Pick<Host, 'inventory'>): readonly string[] {
  const traits = inventory['traits'];
  return Array.isArray(traits) ? (traits as string[]) : [];
}

/** What the compute agent told of its machine at registration, as far as placement looks at it. */
interface Machine {
  readonly generation: number;
  readonly architecture: string | undefined;
  readonly virtType: string | undefined;
  readonly found: ReadonlySet<string>;
}

/** By the host's id. Inventories are large and rarely change, and a decision looks at all hosts. */
const machines = new Map<string, Machine>();

/** The machines of hosts: an inventory that changes raises its host's generation. */
async function machinesOf(
  session: ReadSession,
  rows: readonly Pick<Host, 'id' | 'generation'>[],
): Promise<ReadonlyMap<string, Machine>> {
  const known = new Map<string, Machine>();
  const unknown = new Map<string, number>();
  for (const { id, generation } of rows) {
    const machine = machines.get(id);
    if (machine?.generation === generation) known.set(id, machine);
    else unknown.set(id, generation);
  }
  const where = { id: In([...unknown.keys()]) };
  for (const { id, inventory } of await session.pick(hosts, ['id', 'inventory'], { where })) {
    const cpu = inventory['cpu_info'] as { readonly arch?: unknown } | undefined;
    known.set(id, {
      generation: unknown.get(id) ?? 0,
      architecture: textOf(cpu?.arch),
      virtType: textOf(inventory['virt_type']),
      found: new Set(foundTraits({ inventory })),
    });
  }
  // Hosts that are gone are not kept for ever.
  if (machines.size > 2 * rows.length) machines.clear();
  for (const [id, machine] of known) machines.set(id, machine);
  return known;
}

/** In which portions the administrator lets resources be given out. */
const portionsOf = ({ inventory_settings }: Pick<Host, 'inventory_settings'>): HostView['portions'] =>
  Object.fromEntries(
    HOST_CLASSES.flatMap((name) => {
      const set = inventory_settings[name];
      return set ? [[RESOURCE_KEYS[name], { min: set.min_unit, max: set.max_unit, step: set.step_size }]] : [];
    }),
  );

/** Hosts all of whose agents were heard lately; of all hosts or of these. */
const aliveHosts = (session: ReadSession, now: number, names?: readonly string[]): Promise<Set<string>> =>
  hostsHeard(session, ROLES, now - AGENT_TIMEOUT_MS, names);

/** What servers show of their hosts. */
export interface ShownHost {
  readonly name: string;
  readonly enabled: boolean;
  readonly zone: string;
  readonly alive: boolean;
}

/** The state of these hosts by name, in two queries. */
export async function hostStates(
  session: ReadSession,
  now: number,
  names: readonly string[],
): Promise<Map<string, ShownHost>> {
  const alive = await aliveHosts(session, now, names);
  const where = { name: In([...names]) };
  const rows = await session.pick(hosts, ['name', 'enabled', 'availability_zone'], { where });
  return new Map(
    rows.map(({ name, enabled, availability_zone: zone }) => [name, { name, enabled, zone, alive: alive.has(name) }]),
  );
}

/** What a decision reads of each host. */
const VIEWED = [
  ...(['id', 'generation', 'name', 'enabled', 'disabled_reason', 'availability_zone', 'failed_builds'] as const),
  ...(['cap_vcpus', 'cap_memory_mib', 'cap_disk_gib', 'used_vcpus', 'used_memory_mib', 'used_disk_gib'] as const),
  ...(['traits', 'inventory_settings'] as const),
] as const;

/** All hosts with their liveness, in a fixed number of queries. */
export async function hostViews(session: ReadSession, now: number): Promise<HostView[]> {
  const alive = await aliveHosts(session, now);
  const metadata = await metadataByHost(session);
  const rows = await session.pick(hosts, VIEWED, { order: { name: 'ASC' } });
  const known = await machinesOf(session, rows);
  return rows.map((host) => {
    const machine = known.get(host.id);
    return {
      name: host.name,
      enabled: host.enabled,
      disabledReason: host.disabled_reason,
      alive: alive.has(host.name),
      zone: host.availability_zone,
      capacity: { vcpus: host.cap_vcpus, memoryMib: host.cap_memory_mib, diskGib: host.cap_disk_gib },
      used: { vcpus: host.used_vcpus, memoryMib: host.used_memory_mib, diskGib: host.used_disk_gib },
      portions: portionsOf(host),
      aggregateMetadata: metadata.get(host.name) ?? NO_METADATA,
      architecture: machine?.architecture,
      virtType: machine?.virtType,
      // Found by the agent, or given by the administrator. A set of each host's would cost every decision.
      traits: { has: (name) => host.traits.includes(name) || machine?.found.has(name) === true },
      failedBuilds: host.failed_builds,
    };
  });
}

/** Whether a host's agent of a role was heard lately. */
export async function agentAlive(session: ReadSession, host: string, role: AgentRole, now: number): Promise<boolean> {
  const agent = await session.findOne(agents, { host, role });
  return agent !== undefined && now - agent.heard_at <= AGENT_TIMEOUT_MS;
}

/** Where a host's agent of a role listens; null when it does not, as within one process. */
export async function agentListener(session: ReadSession, host: string, role: AgentRole): Promise<string | null> {
  return (await session.findOne(agents, { host, role }))?.listener ?? null;
}

/** Whether any agent of a host was heard lately: a host with one is not down. */
export async function anyAgentAlive(session: ReadSession, host: string, now: number): Promise<boolean> {
  return (await session.count(agents, { host, heard_at: MoreThan(now - AGENT_TIMEOUT_MS - 1) })) > 0;
}

/** Whether all agents of a host were heard lately. */
export async function hostAlive(session: ReadSession, host: string, now: number): Promise<boolean> {
  return (await aliveHosts(session, now, [host])).has(host);
}

/** A server was built there: what failed before does not count any more. */
export async function forgiveHost(session: WriteSession, name: string): Promise<void> {
  await session.update(hosts, { name, failed_builds: MoreThan(0) }, { failed_builds: 0 });
}
