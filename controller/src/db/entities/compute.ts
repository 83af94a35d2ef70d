// Tables of the compute service: flavors, keypairs, quotas, servers and their moves.
import type { ConsoleKind } from '@cumulet/common';
import {
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
  type Column,
  type Row,
  type Table,
} from '../columns';

/** A size of servers. Memory and swap in MiB, disks in GiB. */
export const flavors = table(
  'flavor',
  {
    flavorid: text(255),
    name: text(255),
    vcpus: integer(),
    ram: integer(),
    disk: integer(),
    ephemeral: integer(),
    swap: integer(),
    rxtx_factor: real(),
    is_public: flag(),
    disabled: flag(),
    description: nullable(longText()),
    created_at: time(),
    updated_at: time(),
  },
  { primary: ['flavorid'], unique: [['name']] },
);
export type Flavor = Row<typeof flavors>;

export const flavorExtraSpecs = table(
  'flavor_extra_spec',
  { flavorid: text(255), key: text(255), value: text(255) },
  { primary: ['flavorid', 'key'] },
);

/** Projects that may use a flavor that is not public. */
export const flavorAccess = table(
  'flavor_access',
  { flavorid: text(255), project_id: text(255) },
  { primary: ['flavorid', 'project_id'], indices: [['project_id']] },
);

/** A public key of a user. The private part of a generated one is given out once and never stored. */
export const keypairs = table(
  'keypair',
  {
    sequence: sequence(),
    user_id: id(),
    name: text(255),
    type: text(16),
    fingerprint: text(255),
    public_key: longText(),
    created_at: time(),
  },
  { primary: ['sequence'], unique: [['user_id', 'name']] },
);
export type Keypair = Row<typeof keypairs>;

/**
 * A project's own limit (or the class "default"'s, as project "class:default"), or that of one user in it; '' is no user in
 * particular. -1 is unlimited.
 */
export const computeQuotas = table(
  'compute_quota',
  { project_id: id(), user_id: id(), resource: text(64), hard_limit: integer() },
  { primary: ['project_id', 'user_id', 'resource'] },
);

/** What a project uses now of a counted resource: instances, cores, ram (MiB). Changed by conditional statements only. */
export const computeUsages = table(
  'compute_usage',
  { project_id: id(), resource: text(64), used: integer() },
  { primary: ['project_id', 'resource'] },
);

/** The flavor as it was when the server was made. */
export interface ServerFlavor {
  readonly id: string;
  readonly name: string;
  readonly vcpus: number;
  /** MiB. */
  readonly ram: number;
  /** GiB; 0 means as large as the image. */
  readonly disk: number;
  /** GiB. */
  readonly ephemeral: number;
  /** MiB. */
  readonly swap: number;
  readonly rxtx_factor: number;
  readonly extra_specs: Readonly<Record<string, string>>;
}

/** The image as it was when the server was made or rebuilt: what its root disk is an overlay of. */
export interface ServerImage {
  readonly id: string;
  readonly name: string | null;
  /** SHA-512 of the bytes. */
  readonly digest: string;
  readonly format: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes. */
  readonly virtual_size: number;
  /** GiB. */
  readonly min_disk: number;
  /** MiB. */
  readonly min_ram: number;
  /** Further properties of the image, such as os_distro. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface ServerKey {
  readonly name: string;
  readonly type: string;
  readonly public_key: string;
  readonly fingerprint: string;
}

/** Who made a server, as its snapshots name it. */
export interface ServerCreator {
  readonly user_name: string;
  readonly project_name: string;
  readonly roles: readonly string[];
}

/** Why a server is in ERROR, for its owner: without details of hosts that a tenant must not see. */
export interface ServerFault {
  readonly code: number;
  readonly message: string;
  /** For administrators only. */
  readonly details: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
}

export type VmState =
  | 'building'
  | 'active'
  | 'stopped'
  | 'paused'
  | 'suspended'
  | 'resized'
  | 'shelved'
  | 'shelved_offloaded'
  | 'error'
  | 'deleted';
export type TaskState =
  | 'scheduling'
  | 'spawning'
  | 'powering-off'
  | 'powering-on'
  | 'rebooting'
  | 'rebooting_hard'
  | 'pausing'
  | 'unpausing'
  | 'suspending'
  | 'resuming'
  | 'rebuilding'
  | 'image_snapshot'
  | 'image_backup'
  | 'image_pending_upload'
  | 'image_uploading'
  | 'resize_prep'
  | 'resize_migrating'
  | 'resize_migrated'
  | 'resize_finish'
  | 'resize_confirming'
  | 'resize_reverting'
  | 'migrating'
  | 'shelving'
  | 'shelving_image_pending_upload'
  | 'shelving_image_uploading'
  | 'shelving_offloading'
  | 'unshelving'
  | 'deleting';

/** The API's numbers of what a domain does. */
export const PowerState = { nostate: 0, running: 1, paused: 3, shutdown: 4, crashed: 6, suspended: 7 } as const;

/** A file that the caller put into the server (personality), contents in base64. */
export interface ServerFile {
  readonly path: string;
  readonly contents: string;
}

export const servers = table(
  'server',
  {
    id: id(),
    project_id: id(),
    user_id: id(),
    creator: json<ServerCreator>(),
    name: text(255),
    description: nullable(text(255)),
    hostname: text(255),
    /** Null until a host was claimed. */
    host: nullable(text(255)),
    /** The zone that was asked for; null: any. */
    availability_zone: nullable(text(255)),
    /** The only host the server may be placed on; null: the scheduler chooses. */
    requested_host: nullable(text(255)),
    flavor: json<ServerFlavor>(),
    image_id: nullable(id()),
    image: nullable(json<ServerImage>()),
    key_name: nullable(text(255)),
    key: nullable(json<ServerKey>()),
    /** Base64, as the caller sent it. */
    user_data: nullable(longText()),
    config_drive: flag(),
    personality: json<readonly ServerFile[]>(),
    metadata: json<Record<string, string>>(),
    /** Names or ids as requested at creation. */
    security_groups: json<readonly string[]>(),
    scheduler_hints: json<Record<string, unknown>>(),
    server_group_id: nullable(id()),
    access_ip_v4: text(64),
    access_ip_v6: text(64),
    disk_config: text(16),
    root_device_name: text(64),
    vm_state: text(32) as Column<VmState>,
    task_state: nullable(text(32) as Column<TaskState>),
    power_state: integer(),
    /** Plus one whenever what a host must make changes. */
    generation: integer(),
    /** Plus one whenever the root disk must be made anew. */
    disk_revision: integer(),
    locked: flag(),
    /** "owner" or "admin" while locked. */
    locked_by: nullable(text(16)),
    locked_reason: nullable(text(255)),
    fault: nullable(json<ServerFault>()),
    reservation_id: text(64),
    launch_index: integer(),
    launched_at: nullable(time()),
    terminated_at: nullable(time()),
    created_at: time(),
    updated_at: time(),
    /** Null while the server exists; administrators may list deleted rows. */
    deleted_at: nullable(time()),
  },
  {
    indices: [
      ['project_id', 'deleted_at', 'created_at'],
      ['project_id', 'deleted_at', 'vm_state', 'created_at', 'id'],
      ['host'],
      ['deleted_at', 'created_at'],
      ['reservation_id'],
      ['server_group_id'],
      ['image_id', 'host'],
    ],
  },
);
export type Server = Row<typeof servers>;

export const serverTags = table(
  'server_tag',
  { server_id: id(), tag: text(64) },
  { primary: ['server_id', 'tag'], indices: [['tag']] },
);

/** Servers that are shelved, or are being shelved, with the image that their disk is kept in. */
export const shelvedServers = table(
  'shelved_server',
  {
    server_id: id(),
    image_id: id(),
    /** Since when it is shelved and still on its host; null before and after. */
    waits_since: nullable(time()),
  },
  { primary: ['server_id'], indices: [['waits_since']] },
);
export type ShelvedServer = Row<typeof shelvedServers>;

export type MigrationStatus =
  | 'pre-migrating'
  | 'migrating'
  | 'post-migrating'
  | 'finished'
  | 'confirming'
  | 'confirmed'
  | 'reverting'
  | 'reverted'
  | 'error'
  /** The two ends of an evacuation. */
  | 'done'
  | 'failed'
  /** Of live migrations besides. */
  | 'queued'
  | 'preparing'
  | 'running'
  | 'completed'
  | 'cancelled';

/** How far a live migration has come, in bytes, as its host tells. */
export interface MigrationProgress {
  readonly memory_total_bytes: number;
  readonly memory_processed_bytes: number;
  readonly memory_remaining_bytes: number;
  readonly disk_total_bytes: number;
  readonly disk_processed_bytes: number;
  readonly disk_remaining_bytes: number;
}

/**
 * A resize, or a cold migration: the same with the flavor it had. While it is open the server holds room and disk on both sides: what
 * it left is claimed under `uuid`, what it goes to under the server's own id. A live migration has one flavor and two hosts, and ends by
 * itself. An evacuation is only recorded here, never open.
 */
export const serverMigrations = table(
  'server_migration',
  {
    sequence: sequence(),
    uuid: id(),
    server_id: id(),
    project_id: id(),
    user_id: id(),
    type: text(16) as Column<'resize' | 'migration' | 'live-migration' | 'evacuation'>,
    status: text(16) as Column<MigrationStatus>,
    /** 1 until it is confirmed, reverted or given up, null afterwards: a server has one at a time. */
    open: nullable(integer()),
    source_host: text(255),
    /** Null until a host was chosen. */
    dest_host: nullable(text(255)),
    old_flavor: json<ServerFlavor>(),
    new_flavor: json<ServerFlavor>(),
    old_revision: integer(),
    new_revision: integer(),
    /** What the server was before. */
    vm_state: text(16) as Column<VmState>,
    /** Both hosts have the same disks, so none is copied. */
    shared_disk: flag(),
    /** What its administrator wants of one that runs; null: that it goes on. */
    wish: nullable(text(16) as Column<'abort' | 'force'>),
    progress: nullable(json<MigrationProgress>()),
    created_at: time(),
    updated_at: time(),
  },
  {
    primary: ['sequence'],
    unique: [['uuid'], ['server_id', 'open']],
    indices: [
      ['source_host', 'open'],
      ['dest_host', 'open'],
      ['project_id', 'open'],
    ],
  },
);
export type ServerMigration = Row<typeof serverMigrations>;

/** Leave to open one console of one server once. The ticket itself is not kept: the id is its SHA-256. */
export const consoleTickets = table(
  'console_ticket',
  {
    id: id(),
    server_id: id(),
    kind: text(16) as Column<ConsoleKind>,
    user_id: id(),
    expires_at: time(),
    used_at: nullable(time()),
  },
  { indices: [['server_id'], ['expires_at']] },
);

export const computeTables: readonly Table[] = [
  flavors,
  flavorExtraSpecs,
  flavorAccess,
  keypairs,
  computeQuotas,
  computeUsages,
  servers,
  serverTags,
  serverMigrations,
  shelvedServers,
  consoleTickets,
];
