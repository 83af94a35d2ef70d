// Hosts as the rest of the cloud sees them: who is alive, what is free.
import type { AgentRole } from '@cumulet/common';
import { In, MoreThan, MoreThanOrEqual, type ReadSession, type WriteSession } from '../db';
import { aggregateHosts, aggregates } from '../db/entities/placement';
import { agents, hosts, type Host } from '../db/entities/tasks';
import type { HostView } from '../scheduler/scheduler';
import { HOST_CLASSES, RESOURCE_KEYS } from './placement/inventory';

/** An agent that was not heard for this long is down. */
export const AGENT_TIMEOUT_MS = 10_000;
const ROLES: readonly AgentRole[] = ['compute', 'network', 'storage'];

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

/** Whether the compute agent found a trait, or the administrator gave it. A set of each host's would cost every decision. */
const traitsOf = (host: Host): HostView['traits'] => ({
  has: (name) => host.traits.includes(name) || foundTraits(host).includes(name),
});

/** In which portions the administrator lets resources be given out. */
const portionsOf = ({ inventory_settings }: Host): HostView['portions'] =>
  Object.fromEntries(
    HOST_CLASSES.flatMap((name) => {
      const set = inventory_settings[name];
      return set ? [[RESOURCE_KEYS[name], { min: set.min_unit, max: set.max_unit, step: set.step_size }]] : [];
    }),
  );

/** What the compute agent told of its machine at registration, as far as placement looks at it. */
function machineOf(host: Host): Pick<HostView, 'architecture' | 'virtType' | 'traits' | 'portions'> {
  const cpu = host.inventory['cpu_info'] as { readonly arch?: unknown } | undefined;
  return {
    architecture: textOf(cpu?.arch),
    virtType: textOf(host.inventory['virt_type']),
    traits: traitsOf(host),
    portions: portionsOf(host),
  };
}

/** Hosts all of whose agents were heard lately; of all hosts or of these. */
async function aliveHosts(session: ReadSession, now: number, names?: readonly string[]): Promise<Set<string>> {
  const where = {
    heard_at: MoreThanOrEqual(now - AGENT_TIMEOUT_MS),
    ...(names === undefined ? {} : { host: In([...names]) }),
  };
  const heard = new Map<string, Set<string>>();
  for (const { host, role } of await session.pick(agents, ['host', 'role'], { where }))
    heard.set(host, (heard.get(host) ?? new Set()).add(role));
  return new Set([...heard].flatMap(([host, roles]) => (ROLES.every((role) => roles.has(role)) ? [host] : [])));
}

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

/** All hosts with their liveness, in a fixed number of queries. */
export async function hostViews(session: ReadSession, now: number): Promise<HostView[]> {
  const alive = await aliveHosts(session, now);
  const metadata = await metadataByHost(session);
  return (await session.find(hosts, { order: { name: 'ASC' } })).map((host) => ({
    name: host.name,
    enabled: host.enabled,
    disabledReason: host.disabled_reason,
    alive: alive.has(host.name),
    zone: host.availability_zone,
    capacity: { vcpus: host.cap_vcpus, memoryMib: host.cap_memory_mib, diskGib: host.cap_disk_gib },
    used: { vcpus: host.used_vcpus, memoryMib: host.used_memory_mib, diskGib: host.used_disk_gib },
    aggregateMetadata: metadata.get(host.name) ?? new Map(),
    ...machineOf(host),
    failedBuilds: host.failed_builds,
  }));
}

/** Whether a host's agent of a role was heard lately. */
export async function agentAlive(session: ReadSession, host: string, role: AgentRole, now: number): Promise<boolean> {
  const agent = await session.findOne(agents, { host, role });
  return agent !== undefined && now - agent.heard_at <= AGENT_TIMEOUT_MS;
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
