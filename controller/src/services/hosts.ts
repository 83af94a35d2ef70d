// Hosts as the rest of the cloud sees them: who is alive, what is free.
import type { AgentRole } from '@cumulet/common';
import type { ReadSession } from '../db';
import { agents, hosts } from '../db/entities/tasks';
import type { HostView } from '../scheduler/scheduler';

/** An agent that was not heard for this long is down. */
export const AGENT_TIMEOUT_MS = 10_000;
const ROLES: readonly AgentRole[] = ['compute', 'network', 'storage'];

/** All hosts with their liveness, in two queries. */
export async function hostViews(session: ReadSession, now: number): Promise<HostView[]> {
  const heard = new Map<string, Set<string>>();
  for (const agent of await session.find(agents)) {
    if (now - agent.heard_at > AGENT_TIMEOUT_MS) continue;
    heard.set(agent.host, (heard.get(agent.host) ?? new Set()).add(agent.role));
  }
  return (await session.find(hosts)).map((host) => ({
    name: host.name,
    enabled: host.enabled,
    disabledReason: host.disabled_reason,
    alive: ROLES.every((role) => heard.get(host.name)?.has(role)),
    zone: host.availability_zone,
    capacity: { vcpus: host.cap_vcpus, memoryMib: host.cap_memory_mib, diskGib: host.cap_disk_gib },
    used: { vcpus: host.used_vcpus, memoryMib: host.used_memory_mib, diskGib: host.used_disk_gib },
  }));
}

/** Whether a host's agent of a role was heard lately. */
export async function agentAlive(session: ReadSession, host: string, role: AgentRole, now: number): Promise<boolean> {
  const agent = await session.findOne(agents, { host, role });
  return agent !== undefined && now - agent.heard_at <= AGENT_TIMEOUT_MS;
}
