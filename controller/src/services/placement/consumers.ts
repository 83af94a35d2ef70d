// Consumers are servers: what they claim of hosts, and what projects and users claim in all.
import { countRows, In, sumRows, type Condition, type ReadSession, type Row } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { allocations, hosts, type Host } from '../../db/entities/tasks';

/** The type under which nova names its servers. */
export const SERVER_TYPE = 'INSTANCE';

type Allocation = Row<typeof allocations>;
type Consumer = Pick<Server, 'id' | 'project_id' | 'user_id' | 'generation'>;

/** What is claimed, by resource class. Of what nothing is claimed there is no entry. */
export function resourcesOf(claimed: Pick<Allocation, 'vcpus' | 'memory_mib' | 'disk_gib'>): Record<string, number> {
  const all = { VCPU: claimed.vcpus, MEMORY_MB: claimed.memory_mib, DISK_GB: claimed.disk_gib };
  return Object.fromEntries(Object.entries(all).filter(([, amount]) => amount > 0));
}

export interface HostClaim {
  readonly claim: Allocation;
  readonly consumer: Consumer | undefined;
}

/** What servers claim of a host, in two queries. */
export async function claimsOfHost(session: ReadSession, host: string): Promise<HostClaim[]> {
  const claims = await session.find(allocations, { where: { host }, order: { created_at: 'ASC' } });
  const rows = await session.find(servers, { where: { id: In(claims.map((claim) => claim.server_id)) } });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return claims.map((claim) => ({ claim, consumer: byId.get(claim.server_id) }));
}

export interface ConsumerClaims {
  readonly consumer: Consumer | undefined;
  readonly claims: readonly { readonly claim: Allocation; readonly host: Host }[];
}

/** What a server claims of hosts. A consumer that nobody knows claims nothing. */
export async function claimsOfConsumer(session: ReadSession, id: string): Promise<ConsumerClaims> {
  const claims = await session.find(allocations, { where: { server_id: id }, order: { host: 'ASC' } });
  const rows = await session.find(hosts, { where: { name: In(claims.map((claim) => claim.host)) } });
  const byName = new Map(rows.map((row) => [row.name, row]));
  return {
    consumer: await session.findOne(servers, { id }),
    claims: claims.flatMap((claim) => {
      const host = byName.get(claim.host);
      return host ? [{ claim, host }] : [];
    }),
  };
}

export interface TotalUsage {
  /** How many servers have claims. */
  readonly consumers: number;
  readonly resources: Readonly<Record<string, number>>;
}

/** What the servers of a project, or of one user in it, claim in all; in four queries. */
export async function totalUsage(
  session: ReadSession,
  projectId: string,
  userId: string | undefined,
): Promise<TotalUsage> {
  const owner = { project_id: projectId, ...(userId === undefined ? {} : { user_id: userId }) };
  const theirs: Condition<typeof allocations>[] = [
    { column: 'server_id', op: 'in rows', value: { table: servers, column: 'id', where: owner } },
  ];
  const sum = (column: 'vcpus' | 'memory_mib' | 'disk_gib'): Promise<number> =>
    sumRows(session, allocations, column, theirs);
  const claimed = { vcpus: await sum('vcpus'), memory_mib: await sum('memory_mib'), disk_gib: await sum('disk_gib') };
  const consumers = await countRows(session, servers, [
    ...Object.entries(owner).map(([column, value]) => ({ column, op: '=', value }) as Condition<typeof servers>),
    { column: 'id', op: 'in rows', value: { table: allocations, column: 'server_id', where: {} } },
  ]);
  return { consumers, resources: resourcesOf(claimed) };
}
