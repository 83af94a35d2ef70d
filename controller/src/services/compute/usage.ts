// How much projects used in a period: hours of servers times what their flavors have.
import { list, type Condition, type ReadSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { InvalidError } from '../../errors';

const HOUR = 3_600_000;

export interface ServerUsage {
  readonly server: Server;
  readonly hours: number;
  /** Seconds since it was launched, to its end or now. */
  readonly uptime: number;
}

export interface Period {
  readonly start: number;
  readonly end: number;
}

/** Hours of a period in which a server existed and had been launched. */
export function hoursIn(server: Pick<Server, 'launched_at' | 'terminated_at'>, { start, end }: Period): number {
  const { launched_at: launched, terminated_at: terminated } = server;
  if (launched === null) return 0;
  return Math.max(0, Math.min(end, terminated ?? end) - Math.max(start, launched)) / HOUR;
}

/** Servers that were there in a period, oldest first. @throws InvalidError for an unknown marker */
export async function usageOf(
  session: ReadSession,
  period: Period,
  projectId: string | null,
  page: { readonly limit: number; readonly marker: string | undefined },
  now: number,
): Promise<ServerUsage[]> {
  const marker = page.marker === undefined ? undefined : await session.findOne(servers, { id: page.marker });
  if (page.marker !== undefined && !marker)
    throw new InvalidError(`marker [${page.marker}] not found`, 'MarkerNotFound');
  const conditions: (Condition<typeof servers> | Condition<typeof servers>[])[] = [
    { column: 'launched_at', op: '<', value: period.end },
    [
      { column: 'terminated_at', op: 'is null' },
      { column: 'terminated_at', op: '>', value: period.start },
    ],
    ...(projectId === null ? [] : [{ column: 'project_id', op: '=', value: projectId } as const]),
  ];
  const rows = await list(session, servers, {
    conditions,
    sort: [{ column: 'created_at', direction: 'asc' }],
    limit: page.limit,
    omit: ['key', 'user_data'],
    ...(marker ? { marker } : {}),
  });
  return rows.map((server) => ({
    server,
    hours: hoursIn(server, period),
    uptime: Math.max(0, Math.floor(((server.terminated_at ?? now) - (server.launched_at ?? now)) / 1000)),
  }));
}
