// Tables of the task engine, of hosts and of what their agents must know.
import {
  addedJson,
  flag,
  id,
  integer,
  json,
  longText,
  nullable,
  real,
  sequence,
  table,
  text,
  time,
  type Row,
  type Table,
} from '../columns';

/** A running or finished operation; see docs/architecture.md. `active` is 1 while it runs and null afterwards. */
export const tasks = table(
  'task',
  {
    id: id(),
    kind: text(64),
    resource_type: text(32),
    resource_id: id(),
    active: nullable(integer()),
    step: text(64),
    params: json<Record<string, unknown>>(),
    state: json<Record<string, unknown>>(),
    /** Failures of the current step. */
    attempt: integer(),
    /** Which round of commands of the current step this is, from 1; replies to another round are late. */
    send: integer(),
    run_at: time(),
    lease_owner: nullable(id()),
    lease_until: nullable(time()),
    deadline_at: nullable(time()),
    delete_requested_at: nullable(time()),
    request_id: text(64),
    project_id: nullable(id()),
    user_id: nullable(id()),
    error: nullable(longText()),
    created_at: time(),
    finished_at: nullable(time()),
  },
  {
    unique: [['resource_type', 'resource_id', 'active']],
    indices: [
      ['active', 'run_at'],
      ['resource_type', 'resource_id', 'created_at'],
    ],
  },
);
export type Task = Row<typeof tasks>;

/** Every resource a task holds, so that an operation on two resources excludes others on both. */
export const taskResources = table(
  'task_resource',
  { task_id: id(), resource_type: text(32), resource_id: id(), active: nullable(integer()) },
  { primary: ['task_id', 'resource_type', 'resource_id'], unique: [['resource_type', 'resource_id', 'active']] },
);

/** What hosts answered to the current step of a task. */
export const taskReplies = table(
  'task_reply',
  {
    sequence: sequence(),
    task_id: id(),
    step: text(64),
    send: integer(),
    host: text(255),
    kind: text(64),
    outcome: text(16),
    observed: json<Record<string, unknown>>(),
    fault: nullable(json<{ code: string; message: string; retryable: boolean }>()),
    created_at: time(),
  },
  { primary: ['sequence'], indices: [['task_id']] },
);
export type TaskReply = Row<typeof taskReplies>;

/** The timeline of a task: one row a step's run. */
export const taskEvents = table(
  'task_event',
  {
    sequence: sequence(),
    task_id: id(),
    resource_id: id(),
    step: text(64),
    started_at: time(),
    ended_at: time(),
    /** next, wait, done, fail, retry, reply, late */
    outcome: text(16),
    message: longText(),
  },
  { primary: ['sequence'], indices: [['task_id'], ['resource_id']] },
);
export type TaskEvent = Row<typeof taskEvents>;

/** What a server takes of a host: memory in MiB, disk in GiB. */
export interface Resources {
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly diskGib: number;
}

/** What of a host is given out, under the names of the placement API. */
export type HostResourceClass = 'VCPU' | 'MEMORY_MB' | 'DISK_GB';

/** How much of a resource is given out, and in which portions. */
export interface InventorySetting {
  readonly allocation_ratio: number;
  readonly reserved: number;
  readonly min_unit: number;
  readonly max_unit: number;
  readonly step_size: number;
}
export type InventorySettings = Readonly<Partial<Record<HostResourceClass, InventorySetting>>>;

/** A machine with agents: capacity and what is claimed of it. Liveness is in `agent`. */
export const hosts = table(
  'host',
  {
    id: id(),
    name: text(255),
    enabled: flag(),
    disabled_reason: nullable(text(255)),
    availability_zone: text(64),
    cap_vcpus: real(),
    cap_memory_mib: real(),
    cap_disk_gib: real(),
    used_vcpus: integer(),
    used_memory_mib: integer(),
    used_disk_gib: integer(),
    generation: integer(),
    /** Servers that could not be built here since the last one that could. */
    failed_builds: integer(),
    inventory: json<Record<string, unknown>>(),
    /** Traits that the administrator gave it, besides those that its agent found. */
    traits: addedJson<readonly string[]>([]),
    /** What the administrator set of its inventory. A class that is not there has the configuration's ratio and nothing reserved. */
    inventory_settings: addedJson<InventorySettings>({}),
    created_at: time(),
    updated_at: time(),
  },
  { unique: [['name']] },
);
export type Host = Row<typeof hosts>;

/** An agent of a host: its session and when it was last heard. */
export const agents = table(
  'agent',
  {
    id: id(),
    host: text(255),
    role: text(16),
    session: integer(),
    started_at: time(),
    heard_at: time(),
    inventory: json<Record<string, unknown>>(),
    /** "address:port" where controllers reach the agent; null when it is in our own process. */
    listener: nullable(text(128)),
  },
  { unique: [['host', 'role']] },
);
export type Agent = Row<typeof agents>;

/** What a server claims of a host. What a server that is being resized came from is claimed under the migration's uuid. */
export const allocations = table(
  'allocation',
  {
    server_id: id(),
    host: text(255),
    vcpus: integer(),
    memory_mib: integer(),
    disk_gib: integer(),
    created_at: time(),
  },
  { primary: ['server_id', 'host'], indices: [['host']] },
);

/** Something left on a host that could not be reached when its resource was deleted. */
export const residues = table(
  'host_residue',
  {
    id: id(),
    host: text(255),
    resource_type: text(32),
    resource_id: id(),
    generation: integer(),
    facts: json<Record<string, unknown>>(),
    created_at: time(),
  },
  { indices: [['host']] },
);

/** The change feed of network agents: which object changed. Later rows have larger numbers. */
export const changes = table(
  'network_change',
  { sequence: sequence(), kind: text(32), object_id: id(), network_id: nullable(id()), created_at: time() },
  { primary: ['sequence'], indices: [['kind', 'object_id']] },
);
export type Change = Row<typeof changes>;

export const taskTables: readonly Table[] = [
  tasks,
  taskResources,
  taskReplies,
  taskEvents,
  hosts,
  agents,
  allocations,
  residues,
  changes,
];
