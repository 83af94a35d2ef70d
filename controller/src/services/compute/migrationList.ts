// The list of resizes and migrations, for administrators.
import { list, type Condition, type ReadSession } from '../../db';
import { serverMigrations, type ServerMigration } from '../../db/entities/compute';
import { InvalidError } from '../../errors';

export interface MigrationFilters {
  /** Of either side. */
  readonly host?: string;
  readonly sourceHost?: string;
  readonly serverId?: string;
  readonly status?: string;
  readonly type?: string;
  readonly userId?: string;
  readonly projectId?: string;
  /** When it last changed, in milliseconds since the epoch. */
  readonly since?: number;
  readonly before?: number;
}

export interface MigrationPage {
  readonly limit: number;
  /** Uuid of the last one of the page before. */
  readonly marker: string | undefined;
  readonly newestFirst: boolean;
}

type Clause = Condition<typeof serverMigrations> | Condition<typeof serverMigrations>[];

function conditionsOf(filters: MigrationFilters): Clause[] {
  const { host } = filters;
  const equal: [Condition<typeof serverMigrations>['column'], string | undefined][] = [
    ['source_host', filters.sourceHost],
    ['server_id', filters.serverId],
    ['status', filters.status],
    ['type', filters.type],
    ['user_id', filters.userId],
    ['project_id', filters.projectId],
  ];
  return [
    ...equal.flatMap(([column, value]): Clause[] => (value === undefined ? [] : [{ column, op: '=', value }])),
    ...(host === undefined
      ? []
      : [(['source_host', 'dest_host'] as const).map((column) => ({ column, op: '=' as const, value: host }))]),
    ...(filters.since === undefined ? [] : [{ column: 'updated_at', op: '>=', value: filters.since } as const]),
    ...(filters.before === undefined ? [] : [{ column: 'updated_at', op: '<=', value: filters.before } as const]),
  ];
}

/** A page of them. @throws InvalidError for an unknown marker */
export async function listMigrations(
  session: ReadSession,
  filters: MigrationFilters,
  page: MigrationPage,
): Promise<ServerMigration[]> {
  const marker = page.marker === undefined ? undefined : await session.findOne(serverMigrations, { uuid: page.marker });
  if (page.marker !== undefined && !marker)
    throw new InvalidError(`Marker ${page.marker} could not be found.`, 'MarkerNotFound');
  return list(session, serverMigrations, {
    conditions: conditionsOf(filters),
    sort: [{ column: 'sequence', direction: page.newestFirst ? 'desc' : 'asc' }],
    limit: page.limit,
    ...(marker ? { marker } : {}),
  });
}
