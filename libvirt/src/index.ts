// Node.js bindings for libvirt in pure TypeScript: the public API of the package.
export { LibvirtClient } from './client';
export { CallTimeoutError, ConnectionLostError, ErrorCode, LibvirtError, hasCode, isNotFound } from './errors';
export type { DomainState, DomainStateName } from './domains';
export { eventNames } from './events';
export type { EventMap, EventName, LibvirtEvent } from './events';
export * from './flags';
export { HandshakeError } from './handshake';
export type { CpuComparison, EmulatorChoice } from './host';
export type { GuestInterface } from './guestAgent';
export type { BlockJob, MigrationOptions } from './jobs';
export type { Cookie, IncomingMigration, ManagedMigration, MigrationSockets, OutgoingMigration } from './migration';
export { ProtocolError } from './packet';
export { procedures } from './procedures';
export type { Procedure } from './procedures';
export type { CallSettings, SessionEvents, SessionOptions } from './session';
export type { SecretUsage } from './secrets';
export { VirStream } from './stream';
export type { VolumeRange } from './storage';
export type { DomainStats } from './statistics';
export { parametersOf } from './types';
export type {
  DomainReference,
  NetworkReference,
  Parameters,
  PoolReference,
  SecretReference,
  SnapshotReference,
  TypedParameter,
  VolumeReference,
} from './types';
export { XdrError } from './xdr';
