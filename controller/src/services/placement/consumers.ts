// Who claims what of hosts: servers, and migrations for the side of a server that is not its own at the moment.
import { countRows, In, sumRows, type Condition, type ReadSession, type Row } from '../../db';
import { serverMigrations, servers } from '../../db/entities/compute';
import { allocations, hosts, type Host } from '../../db/entities/tasks';

/** The types under which nova names them. */
export const CONSUMER_TYPES = ['INSTANCE', 'MIGRATION'] as const;
type ConsumerType = (typeof CONSUMER_TYPES)[number];

type Allocation = Row<typeof allocations>;

export interface Consumer {
  readonly type: ConsumerType;
  readonly project_id: string;
  readonly user_id: string;
  /** Counts up whenever its claims change, and more often. */
  readonly generation: number;
}

/** What is claimed, by resource class. Of what nothing is claimed there is no entry. */
export function resourcesOf(claimed: Pick<Allocation, 'vcpus' | 'memory_mib' | 'disk_gib'>): Record<string, number> {
  const all = { VCPU: claimed.vcpus, MEMORY_MB: claimed.memory_mib, DISK_GB: claimed.disk_gib };
  return Object.fromEntries(Object.entries(all).filter(([, amount]) => amount > 0));
}

/** Consumers by id, in two queries. */
async function consumersOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, Consumer>> {
  const found = new Map<string, Consumer>();
  for (const { id, project_id, user_id, generation } of await session.find(servers, { where: { id: In([...ids]) } }))
    found.set(id, { type: 'INSTANCE', project_id, user_id, generation });
  // The claims of a migration are made once and never change.
  for (const { uuid, project_id, user_id } of await session.find(serverMigrations, { where: { uuid: In([...ids]) } }))
    found.set(uuid, { type: 'MIGRATION', project_id, user_id, generation: 1 });
  return found;
}

export interface HostClaim {
  readonly claim: Allocation;
  readonly consumer: Consumer | undefined;
}

/** What is claimed of a host, in three queries. */
export async function claimsOfHost(session: ReadSession, host: string): Promise<HostClaim[]> {
  const claims = await session.find(allocations, { where: { host }, order: { created_at: 'ASC' } });
  const consumers = await consumersOf(
    session,
    claims.map((claim) => claim.server_id),
  );
  return claims.map((claim) => ({ claim, consumer: consumers.get(claim.server_id) }));
}

export interface ConsumerClaims {
  readonly consumer: Consumer | undefined;
  readonly claims: readonly { readonly claim: Allocation; readonly host: Host }[];
}

/** What a server or migration claims of hosts. A consumer that nobody knows claims nothing. */
export async function claimsOfConsumer(session: ReadSession, id: string): Promise<ConsumerClaims> {
  const claims = await session.find(allocations, { where: { server_id: id }, order: { host: 'ASC' } });
  const rows = await session.find(hosts, { where: { name: In(claims.map((claim) => claim.host)) } });
  const byName = new Map(rows.map((row) => [row.name, row]));
  return {
    consumer: (await consumersOf(session, [id])).get(id),
    claims: claims.flatMap((claim) => {
      const host = byName.get(claim.host);
      return host ? [{ claim, host }] : [];
    }),
  };
}

export interface TotalUsage {
  /** How many servers or migrations have claims. */
  readonly consumers: number;
  readonly claimed: Readonly<Pick<Allocation, 'vcpus' | 'memory_mib' | 'disk_gib'>>;
}

/** What the consumers of a type claim in all that belong to a project, or to one user in it; in four queries. */
export async function totalUsage(
  session: ReadSession,
  type: ConsumerType,
  projectId: string,
  userId: string | undefined,
): Promise<TotalUsage> {
  const owner = { project_id: projectId, ...(userId === undefined ? {} : { user_id: userId }) };
  const [table, id] = type === 'INSTANCE' ? ([servers, 'id'] as const) : ([serverMigrations, 'uuid'] as const);
  const theirs: Condition<typeof allocations>[] = [
    { column: 'server_id', op: 'in rows', value: { table, column: id, where: owner } },
  ];
  const sum = (column: keyof TotalUsage['claimed']): Promise<number> => sumRows(session, allocations, column, theirs);
  const conditions = [
    ...Object.entries(owner).map(([column, value]) => ({ column, op: '=' as const, value })),
    { column: id, op: 'in rows' as const, value: { table: allocations, column: 'server_id', where: {} } },
  ];
  return {
    claimed: { vcpus: await sum('vcpus'), memory_mib: await sum('memory_mib'), disk_gib: await sum('disk_gib') },
    consumers: await countRows(session, table, conditions as Condition<typeof table>[]),
  };
}

/** Usages together. */
export function addUsages(all: readonly TotalUsage[]): TotalUsage {
  const sum = (of: (one: TotalUsage) => number): number => all.reduce((total, one) => total + of(one), 0);
  return {
    consumers: sum(({ consumers }) => consumers),
    claimed: {
      vcpus: sum(({ claimed }) => claimed.vcpus),
      memory_mib: sum(({ claimed }) => claimed.memory_mib),
      disk_gib: sum(({ claimed }) => claimed.disk_gib),
    },
  };
}
