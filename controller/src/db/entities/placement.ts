// Tables of what steers placement: host aggregates, server groups, and names that administrators add to the placement API's.
import {
  id,
  integer,
  json,
  nullable,
  sequence,
  table,
  text,
  time,
  type Column,
  type Row,
  type Table,
} from '../columns';

/** Hosts under a common name. The metadata key `availability_zone` makes it a zone. */
export const aggregates = table(
  'aggregate',
  {
    sequence: sequence(),
    uuid: id(),
    name: text(255),
    metadata: json<Record<string, string>>(),
    created_at: time(),
    updated_at: nullable(time()),
  },
  { primary: ['sequence'], unique: [['name'], ['uuid']] },
);
export type Aggregate = Row<typeof aggregates>;

export const aggregateHosts = table(
  'aggregate_host',
  { aggregate: integer(), host: text(255) },
  { primary: ['aggregate', 'host'], indices: [['host']] },
);

export type GroupPolicy = 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity';

/** Servers that shall run together or apart. Members name their group themselves (`server.server_group_id`). */
export const serverGroups = table(
  'server_group',
  {
    id: id(),
    project_id: id(),
    user_id: id(),
    name: text(255),
    policy: text(32) as Column<GroupPolicy>,
    /** With anti-affinity: how many members one host may have; null is 1. */
    max_server_per_host: nullable(integer()),
    /** Plus one at every placement of a member, so that two placements of one group come one after the other. */
    generation: integer(),
    created_at: time(),
  },
  { indices: [['project_id', 'created_at']] },
);
export type ServerGroup = Row<typeof serverGroups>;

/** Traits that an administrator made. Hosts that have one name it themselves (`host.traits`). */
export const customTraits = table('custom_trait', { name: text(255), created_at: time() }, { primary: ['name'] });

/** Resource classes that an administrator made. */
export const customResourceClasses = table(
  'custom_resource_class',
  { name: text(255), created_at: time() },
  { primary: ['name'] },
);

export const placementTables: readonly Table[] = [
  aggregates,
  aggregateHosts,
  serverGroups,
  customTraits,
  customResourceClasses,
];
