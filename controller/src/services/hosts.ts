// Hosts as the rest of the cloud sees them: who is alive, what is free.
import { AGENT_TIMEOUT_MS, type AgentRole } from '@cumulet/common';
import { In, MoreThan, type ReadSession, type WriteSession } from '../db';
import { aggregateHosts, aggregates } from '../db/entities/placement';
import { agents, hosts, type Host } from '../db/entities/tasks';
import { hostsHeard, hostsNow, hostsShown, type ShownHost } from '../db/repositories/liveness';
import type { HostView } from '../scheduler/scheduler';
import { HOST_CLASSES, RESOURCE_KEYS } from './placement/inventory';

const ROLES: readonly AgentRole[] = ['compute', 'network', 'storage'];
const NO_METADATA: HostView['aggregateMetadata'] = new Map();
const NO_AGGREGATES: ReadonlyMap<string, HostView['aggregateMetadata']> = new Map();

/** Metadata of aggregates by host: every value that one of the host's aggregates gives a key. */
async function metadataByHost(session: ReadSession): Promise<Map<string, Map<string, string[]>>> {
  const byHost = new Map<string, Map<string, string[]>>();
  const metadata = new Map((await session.find(aggregates)).map((row) => [row.sequence, row.metadata]));
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

/** In which portions the administrator lets resources be given out. */
const portionsOf = ({ inventory_settings }: Pick<Host, 'inventory_settings'>): HostView['portions'] =>
  Object.fromEntries(
    HOST_CLASSES.flatMap((name) => {
      const set = inventory_settings[name];
      return set ? [[RESOURCE_KEYS[name], { min: set.min_unit, max: set.max_unit, step: set.step_size }]] : [];
    }),
  );

/** What a host's generation says: it is raised with each change of these. */
interface Provider extends Pick<HostView, 'capacity' | 'used' | 'portions' | 'architecture' | 'virtType' | 'traits'> {
  readonly generation: number;
}

/** Columns of which a provider is made. */
const PROVIDED = [
  ...(['id', 'generation', 'inventory', 'inventory_settings', 'traits'] as const),
  ...(['cap_vcpus', 'cap_memory_mib', 'cap_disk_gib', 'used_vcpus', 'used_memory_mib', 'used_disk_gib'] as const),
] as const;

function providerOf(host: Pick<Host, (typeof PROVIDED)[number]>): Provider {
  const cpu = host.inventory['cpu_info'] as { readonly arch?: unknown } | undefined;
  return {
    generation: host.generation,
    capacity: { vcpus: host.cap_vcpus, memoryMib: host.cap_memory_mib, diskGib: host.cap_disk_gib },
    used: { vcpus: host.used_vcpus, memoryMib: host.used_memory_mib, diskGib: host.used_disk_gib },
    portions: portionsOf(host),
    architecture: textOf(cpu?.arch),
    virtType: textOf(host.inventory['virt_type']),
    // Found by the agent, or given by the administrator.
    traits: new Set([...foundTraits(host), ...host.traits]),
  };
}

/** By the host's id. Few of them change between two decisions, and a decision looks at all. */
const providers = new Map<string, Provider>();

/** What is known of these hosts, which are read where it is not or has changed. A list of its own: others look and forget meanwhile. */
async function providersOf(
  session: ReadSession,
  rows: readonly Pick<Host, 'id' | 'generation'>[],
): Promise<ReadonlyMap<string, Provider>> {
  const known = new Map<string, Provider>();
  const unknown: string[] = [];
  for (const { id, generation } of rows) {
    const provider = providers.get(id);
    if (provider?.generation === generation) known.set(id, provider);
    else unknown.push(id);
  }
  for (const host of await session.pick(hosts, PROVIDED, { where: { id: In(unknown) } })) {
    const provider = providerOf(host);
    known.set(host.id, provider);
    providers.set(host.id, provider);
  }
  // Hosts that are gone are not kept for ever.
  if (providers.size > 2 * rows.length) providers.clear();
  return known;
}

/** The state of these hosts by name, in one query. */
export async function hostStates(
  session: ReadSession,
  now: number,
  names: readonly string[],
): Promise<Map<string, ShownHost>> {
  const shown = await hostsShown(session, ROLES, now - AGENT_TIMEOUT_MS, names);
  return new Map(shown.map((host) => [host.name, host]));
}

/** All hosts with their liveness, in a fixed number of queries. @param session sees what was committed, and nothing else */
export async function hostViews(session: ReadSession, now: number): Promise<HostView[]> {
  const known = await hostsNow(session, ROLES, now - AGENT_TIMEOUT_MS);
  // A host that lacks an agent has none that could be silent.
  const alive =
    known.agents === known.all.length * ROLES.length
      ? undefined
      : await hostsHeard(session, ROLES, now - AGENT_TIMEOUT_MS);
  const metadata = known.aggregates === 0 ? NO_AGGREGATES : await metadataByHost(session);
  const provided = await providersOf(session, known.all);
  return known.all.flatMap((host) => {
    // One that has gone between two looks is not there.
    const provider = provided.get(host.id);
    if (!provider) return [];
    return {
      name: host.name,
      enabled: host.enabled,
      disabledReason: host.disabled_reason,
      alive: host.heard && (alive?.has(host.name) ?? true),
      zone: host.availability_zone,
      capacity: provider.capacity,
      used: provider.used,
      portions: provider.portions,
      aggregateMetadata: metadata.get(host.name) ?? NO_METADATA,
      architecture: provider.architecture,
      virtType: provider.virtType,
      traits: provider.traits,
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
  return (await hostStates(session, now, [host])).get(host)?.alive ?? false;
}

/** A server was built there: what failed before does not count any more. */
export async function forgiveHost(session: WriteSession, name: string): Promise<void> {
  await session.update(hosts, { name, failed_builds: MoreThan(0) }, { failed_builds: 0 });
}
