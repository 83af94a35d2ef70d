// Flag values of the libvirt API that the calls of this package take, by libvirt's names.

/** virDomainXMLFlags */
export const XmlFlag = { SECURE: 1, INACTIVE: 2, UPDATE_CPU: 4, MIGRATABLE: 8 } as const;
/** virDomainUndefineFlagsValues */
export const UndefineFlag = {
  MANAGED_SAVE: 1,
  SNAPSHOTS_METADATA: 2,
  NVRAM: 4,
  KEEP_NVRAM: 8,
  CHECKPOINTS_METADATA: 16,
  /** Since libvirt 8.9. */
  TPM: 32,
} as const;
/** virDomainModificationImpact: what a change of devices, vCPUs or memory affects. Both may be given. */
export const Affect = { CURRENT: 0, LIVE: 1, CONFIG: 2 } as const;
/** virConnectListAllDomainsFlags, the useful ones */
export const ListFlag = { ACTIVE: 1, INACTIVE: 2, PERSISTENT: 4, TRANSIENT: 8 } as const;
/** virDomainStatsTypes */
export const Stats = {
  STATE: 1,
  CPU_TOTAL: 2,
  BALLOON: 4,
  VCPU: 8,
  INTERFACE: 16,
  BLOCK: 32,
  PERF: 64,
  IOTHREAD: 128,
  MEMORY: 256,
  DIRTYRATE: 512,
  VM: 1024,
} as const;
/** virDomainBlockCopyFlags */
export const BlockCopyFlag = { SHALLOW: 1, REUSE_EXT: 2, TRANSIENT_JOB: 4 } as const;
/** virDomainSnapshotCreateFlags, the useful ones */
export const SnapshotFlag = { DISK_ONLY: 16, REUSE_EXT: 32, QUIESCE: 64, NO_METADATA: 4, ATOMIC: 128 } as const;
/** virDomainMigrateFlags */
export const MigrateFlag = {
  LIVE: 1,
  PEER2PEER: 2,
  TUNNELLED: 4,
  PERSIST_DEST: 8,
  UNDEFINE_SOURCE: 16,
  PAUSED: 32,
  NON_SHARED_DISK: 64,
  NON_SHARED_INC: 128,
  UNSAFE: 512,
  ABORT_ON_ERROR: 4096,
  AUTO_CONVERGE: 8192,
  POSTCOPY: 32768,
  TLS: 65536,
} as const;
/** virDomainConsoleFlags */
export const ConsoleFlag = { FORCE: 1, SAFE: 2 } as const;
