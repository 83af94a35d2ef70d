// Commands from the controller to a host's agents, and what the agents answer.
import { Type, type Static } from '@sinclair/typebox';

const Id = Type.String({ minLength: 1, maxLength: 64 });

/** A server's root disk: an overlay on a cached image. */
export const DiskEnsure = Type.Object({
  server_id: Id,
  /** The image's bytes by SHA-512, so a cached copy can never be another image's. */
  image: Type.Object({
    id: Id,
    digest: Type.String(),
    format: Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]),
    size: Type.Integer(),
  }),
  /** Bytes of the virtual disk. */
  size: Type.Integer(),
  /** Changes when the disk must be made anew (rebuild): the old overlay is replaced. */
  revision: Type.Integer(),
  /** Other revisions that stay as they are. Absent: none does. */
  keep: Type.Optional(Type.Array(Type.Integer())),
});
export type DiskEnsure = Static<typeof DiskEnsure>;

/** A disk with the contents of another revision of the same server's, which does not run; that one stays as it is. */
export const DiskAdopt = Type.Object({
  server_id: Id,
  /** What both stand on. */
  image: DiskEnsure.properties.image,
  /** Of the new disk. */
  revision: Type.Integer(),
  from: Type.Object({
    revision: Type.Integer(),
    /** On another host: the controller knows which, and hands over its bytes. */
    elsewhere: Type.Boolean(),
  }),
});
export type DiskAdopt = Static<typeof DiskAdopt>;

/**
 * A disk that is there because another host has made it in a directory that both have: looked for, never made. Only who sees what the
 * other host left there for this purpose has the same directory.
 */
export const DiskFind = Type.Object({
  server_id: Id,
  /** Of the image that it stands on. */
  base_format: DiskEnsure.properties.image.properties.format,
  revision: Type.Integer(),
  from: Type.Object({ host: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }), card: Type.String() }),
  /** The disk is this host's from now on: what other hosts were told before does not touch it any more. */
  take: Type.Boolean(),
});
export type DiskFind = Static<typeof DiskFind>;

/** Everything of the server, or one revision of its disk. */
export const DiskRemove = Type.Object({ server_id: Id, revision: Type.Optional(Type.Integer()) });
export type DiskRemove = Static<typeof DiskRemove>;

/**
 * The port's tap, rules and bridge follow the change feed; this asks to have applied it at least up to `sequence`, and how far the
 * ports must have come: `made` is a tap on which a domain can start, `wired` has its rules, is on its bridge and has DHCP.
 */
export const PortsEnsure = Type.Object({
  port_ids: Type.Array(Id),
  sequence: Type.Integer(),
  until: Type.Union([Type.Literal('made'), Type.Literal('wired')]),
});
export type PortsEnsure = Static<typeof PortsEnsure>;

export const PortsRemove = Type.Object({ port_ids: Type.Array(Id), sequence: Type.Integer() });
export type PortsRemove = Static<typeof PortsRemove>;

export const PowerTarget = Type.Union([
  Type.Literal('running'),
  Type.Literal('shutdown'),
  Type.Literal('paused'),
  Type.Literal('suspended'),
  /** As it is found: only what the server consists of is brought in line. */
  Type.Literal('unchanged'),
]);
export type PowerTarget = Static<typeof PowerTarget>;

/** The whole desired state of one domain. */
export const ServerEnsure = Type.Object({
  server_id: Id,
  name: Type.String(),
  project_id: Id,
  vcpus: Type.Integer(),
  memory_mib: Type.Integer(),
  /** As `disk.ensure` answered it. With `backing`, nobody has to look into the overlay's header. */
  disk: Type.Object({
    path: Type.String(),
    format: Type.Literal('qcow2'),
    backing: Type.Optional(
      Type.Object({ path: Type.String(), format: Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]) }),
    ),
    /** In a directory that several hosts have: libvirt must not change whose it is when a guest ends. Absent: it is not. */
    shared: Type.Optional(Type.Boolean()),
  }),
  interfaces: Type.Array(Type.Object({ port_id: Id, mac: Type.String(), mtu: Type.Integer() })),
  /** Files of the config drive by path, base64; null for none. */
  config_drive: Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()]),
  /** Whether the guest gets a channel for an agent in it. Absent: it does not. */
  guest_agent: Type.Optional(Type.Boolean()),
  power: PowerTarget,
  /** A new value makes a running guest restart once: `soft` asks the guest, `hard` cuts the power. */
  reboot: Type.Union([
    Type.Object({ nonce: Type.String(), type: Type.Union([Type.Literal('soft'), Type.Literal('hard')]) }),
    Type.Null(),
  ]),
  /** Define the domain anew from this state even if one exists (rebuild, hard reboot). */
  redefine: Type.Boolean(),
});
export type ServerEnsure = Static<typeof ServerEnsure>;

export const ServerRemove = Type.Object({ server_id: Id });
export type ServerRemove = Static<typeof ServerRemove>;

/** A server that runs elsewhere may come here once, from one host, and brings its memory. */
export const MigrationExpect = Type.Object({
  migration_id: Id,
  /** The host that has it: nobody else is listened to. */
  from: Type.String(),
  /** The server as it shall be here. */
  server: ServerEnsure,
  /** Both hosts have the same disks: none comes along. */
  shared_disk: Type.Boolean(),
});
export type MigrationExpect = Static<typeof MigrationExpect>;

/** Sends a running server to a host that expects it. It is over when the guest runs there; here it waits to be removed. */
export const MigrationSend = Type.Object({
  server_id: Id,
  migration_id: Id,
  to: Type.Object({
    host: Type.String(),
    /** Where that host's compute agent listens. */
    address: Type.Union([Type.String(), Type.Null()]),
  }),
  shared_disk: Type.Boolean(),
  /** Slow the guest down while it writes faster than its memory can be sent. */
  auto_converge: Type.Boolean(),
  /** MiB per second; 0 for no limit. */
  bandwidth: Type.Integer(),
});
export type MigrationSend = Static<typeof MigrationSend>;

/** `migration.abort`, `migration.force` and `migration.conclude`: of a server's migration. */
export const MigrationOf = Type.Object({ server_id: Id, migration_id: Id });
export type MigrationOf = Static<typeof MigrationOf>;

/**
 * What the host that sends knows of the guest: it runs there, it stays here, or neither is certain because the word of the other host
 * was lost.
 */
export type MigrationOutcome = 'moved' | 'stayed' | 'unknown';

/**
 * Copies the root disk of a running guest, as it is at one moment, into a flat qcow2 file; the guest runs on. Null: no copy may be
 * under way. A server that is off needs no copy, its disk does not change.
 */
export const DiskCopy = Type.Object({ server_id: Id, path: Type.Union([Type.String(), Type.Null()]) });
export type DiskCopy = Static<typeof DiskCopy>;

/** A server's root disk on its way into the image of the same id. */
export const Snapshot = Type.Object({
  server_id: Id,
  image_id: Id,
  /** Of the disk. */
  revision: Type.Integer(),
  /** Of the image that the disk stands on. */
  base_format: Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]),
});
export type Snapshot = Static<typeof Snapshot>;

/** Which body each kind of command carries. */
export const commandBodies = {
  'disk.adopt': DiskAdopt,
  'disk.copy': DiskCopy,
  'disk.ensure': DiskEnsure,
  'disk.find': DiskFind,
  'disk.remove': DiskRemove,
  /** On the host that sends: ends the sending, and says what became of the guest. */
  'migration.abort': MigrationOf,
  /** On the host that gets: whether the guest runs there. From then on it never will if it does not. */
  'migration.conclude': MigrationOf,
  'migration.expect': MigrationExpect,
  /** On the host that sends: stops the guest until it is there, so that it writes nothing meanwhile. */
  'migration.force': MigrationOf,
  'migration.send': MigrationSend,
  'ports.ensure': PortsEnsure,
  'ports.remove': PortsRemove,
  'server.ensure': ServerEnsure,
  'server.remove': ServerRemove,
  'snapshot.prepare': Snapshot,
  'snapshot.flatten': Snapshot,
  'snapshot.upload': Snapshot,
  'snapshot.remove': Snapshot,
} as const;
export type CommandKind = keyof typeof commandBodies;
export type CommandBody<K extends CommandKind> = Static<(typeof commandBodies)[K]>;

export type AgentRole = 'compute' | 'network' | 'storage';

/** Which agent carries out which kind. */
export const commandRole: Readonly<Record<CommandKind, AgentRole>> = {
  'disk.adopt': 'storage',
  'disk.copy': 'compute',
  'disk.ensure': 'storage',
  'disk.find': 'storage',
  'disk.remove': 'storage',
  'migration.abort': 'compute',
  'migration.conclude': 'compute',
  'migration.expect': 'compute',
  'migration.force': 'compute',
  'migration.send': 'compute',
  'ports.ensure': 'network',
  'ports.remove': 'network',
  'server.ensure': 'compute',
  'server.remove': 'compute',
  'snapshot.prepare': 'storage',
  'snapshot.flatten': 'storage',
  'snapshot.upload': 'storage',
  'snapshot.remove': 'storage',
};

export interface Command<K extends CommandKind = CommandKind> {
  readonly task: string;
  readonly step: string;
  /** How often this step has sent, never less than before within a generation; a reply names it. */
  readonly send: number;
  readonly host: string;
  /** The agent session that the command is meant for; another session drops it. */
  readonly session: number;
  /** The resource's generation on that host; older ones than the newest seen are dropped. */
  readonly generation: number;
  /** The resource that generation belongs to. */
  readonly resource: string;
  readonly kind: K;
  /** The request that the work was asked by, for logs. */
  readonly request_id?: string;
  readonly body: CommandBody<K>;
}

export const CommandSchema = Type.Object({
  request_id: Type.Optional(Type.String()),
  task: Id,
  step: Type.String(),
  send: Type.Integer(),
  host: Type.String(),
  session: Type.Integer(),
  generation: Type.Integer(),
  resource: Id,
  kind: Type.String(),
  body: Type.Unknown(),
});

/** What a host said about a command. `retryable` tells a fault that another try or host could avoid. */
export const Reply = Type.Object({
  task: Id,
  step: Type.String(),
  send: Type.Integer(),
  host: Type.String(),
  kind: Type.String(),
  outcome: Type.Union([Type.Literal('done'), Type.Literal('progress'), Type.Literal('failed')]),
  /** What the agent observed after the work: facts for the task. */
  observed: Type.Record(Type.String(), Type.Unknown()),
  fault: Type.Union([
    Type.Object({ code: Type.String(), message: Type.String(), retryable: Type.Boolean() }),
    Type.Null(),
  ]),
});
export type Reply = Static<typeof Reply>;
