// Long work on a domain: block jobs, migration, snapshots, backups; and limits on its disks, interfaces and processors.
import { domainReference } from './domains';
import { MigrateFlag } from './flags';
import { procedures } from './procedures';
import type { Session } from './session';
import { parametersOf, textParameter } from './types';
import type { Parameters, SnapshotReference, TypedParameter } from './types';

const jobTypes = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;
const blockJobTypes = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'];
const ABORT_ASYNC = 1;
const ABORT_PIVOT = 2;
const SHARED_STORAGE_MOVE =
  MigrateFlag.LIVE | MigrateFlag.PEER2PEER | MigrateFlag.PERSIST_DEST | MigrateFlag.UNDEFINE_SOURCE;

export interface BlockJob {
  type: string;
  /** Bytes per second; 0 for no limit. */
  bandwidth: number;
  /** Done when `current` reaches `end`; a copy then waits for {@link abortBlockJob} with `pivot`. */
  current: number;
  end: number;
}

export interface MigrationOptions {
  /** Where the source daemon finds the destination daemon, for example `qemu+tls://host/system`. */
  destination: string;
  /** {@link MigrateFlag} values; unless told a live move with shared storage that leaves nothing on the source. */
  flags?: number;
  /** Where the memory goes, for example `tcp://10.0.0.2`. */
  migrateUri?: string;
  /** XML of the domain as it shall be on the destination. */
  destinationXml?: string;
  /** The definition that shall stay on the destination. */
  persistentXml?: string;
  /** MiB per second. */
  bandwidth?: number;
  /** Targets of the disks to copy, with NON_SHARED_DISK or NON_SHARED_INC. */
  disks?: string[];
}

/** The typed parameters of a migration (VIR_MIGRATE_PARAM_*). */
function migrationParameters(options: MigrationOptions): TypedParameter[] {
  const { migrateUri, destinationXml, persistentXml, bandwidth, disks = [] } = options;
  return [
    ...textParameter('migrate_uri', migrateUri),
    ...textParameter('destination_xml', destinationXml),
    ...textParameter('persistent_xml', persistentXml),
    ...(bandwidth === undefined
      ? []
      : [{ field: 'bandwidth', value: { type: 'ullong' as const, value: BigInt(bandwidth) } }]),
    ...disks.flatMap((disk) => textParameter('migrate_disks', disk)),
  ];
}

export function jobOperations(session: Session) {
  return {
    /** Copies a disk to where the XML says while the guest runs; `blockJob` tells when it is ready to be pivoted to. */
    async copyBlock(uuid: string, disk: string, destinationXml: string, flags = 0, params: TypedParameter[] = []) {
      const args = { dom: domainReference(uuid), path: disk, destxml: destinationXml, params, flags };
      await session.callAlone(procedures.domainBlockCopy, args);
    },

    /** Fills an overlay with the data of its backing files. Bandwidth in MiB/s, 0 for no limit. */
    async pullBlock(uuid: string, disk: string, bandwidth = 0, flags = 0): Promise<void> {
      const args = { dom: domainReference(uuid), path: disk, bandwidth: BigInt(bandwidth), flags };
      await session.call(procedures.domainBlockPull, args);
    },

    /** Moves the data of an overlay into its backing file. */
    async commitBlock(
      uuid: string,
      disk: string,
      { base, top, bandwidth = 0, flags = 0 }: { base?: string; top?: string; bandwidth?: number; flags?: number } = {},
    ): Promise<void> {
      const args = { dom: domainReference(uuid), disk, base, top, bandwidth: BigInt(bandwidth), flags };
      await session.call(procedures.domainBlockCommit, args);
    },

    /** The job on a disk; undefined when there is none. */
    async blockJob(uuid: string, disk: string): Promise<BlockJob | undefined> {
      const args = { dom: domainReference(uuid), path: disk, flags: 0 };
      const { found, type, bandwidth, cur, end } = await session.call(procedures.domainGetBlockJobInfo, args);
      if (!found) return undefined;
      const name = blockJobTypes[type] ?? `type-${type}`;
      return { type: name, bandwidth: Number(bandwidth), current: Number(cur), end: Number(end) };
    },

    /** Ends a disk's job; `pivot` makes the guest go on with the copy, `async` does not wait for the end. */
    async abortBlockJob(uuid: string, disk: string, { pivot = false, async: noWait = false } = {}): Promise<void> {
      const flags = (pivot ? ABORT_PIVOT : 0) | (noWait ? ABORT_ASYNC : 0);
      await session.callAlone(procedures.domainBlockJobAbort, { dom: domainReference(uuid), path: disk, flags });
    },

    /** Moves a running domain to another host, peer to peer; ends when it runs there. {@link jobStats} shows progress. */
    async migrate(uuid: string, options: MigrationOptions): Promise<void> {
      // The source tells the destination the domain's name, so the reference must be the daemon's own.
      const { dom } = await session.call(procedures.domainLookupByUuid, { uuid });
      const params = migrationParameters(options);
      const { destination: dconnuri, flags = SHARED_STORAGE_MOVE } = options;
      const args = { dom, dconnuri, params, cookieIn: Buffer.alloc(0), flags };
      await session.callAlone(procedures.domainMigratePerform3Params, args);
    },

    /** The guest may be stopped for so many milliseconds at the end of a migration. */
    async setMigrationDowntime(uuid: string, ms: number): Promise<void> {
      const args = { dom: domainReference(uuid), downtime: BigInt(ms), flags: 0 };
      await session.call(procedures.domainMigrateSetMaxDowntime, args);
    },

    /** Limits a migration, in MiB per second. */
    async setMigrationSpeed(uuid: string, bandwidth: number): Promise<void> {
      const args = { dom: domainReference(uuid), bandwidth: BigInt(bandwidth), flags: 0 };
      await session.call(procedures.domainMigrateSetMaxSpeed, args);
    },

    /** Lets the guest run on the destination at once and fetch its memory as needed. */
    async startPostCopy(uuid: string): Promise<void> {
      await session.call(procedures.domainMigrateStartPostCopy, { dom: domainReference(uuid), flags: 0 });
    },

    /** Progress of the domain's job (migration, save, backup): times in ms, sizes in bytes. */
    async jobInfo(uuid: string) {
      const { type, ...progress } = await session.call(procedures.domainGetJobInfo, { dom: domainReference(uuid) });
      const numbers = Object.entries(progress).map(([key, value]) => [key, Number(value)]);
      return {
        type: jobTypes[type] ?? 'none',
        ...(Object.fromEntries(numbers) as Record<keyof typeof progress, number>),
      };
    },

    /** All figures of the domain's job, or of the last one when `completed`. */
    async jobStats(uuid: string, { completed = false } = {}): Promise<{ type: string; statistics: Parameters }> {
      const args = { dom: domainReference(uuid), flags: completed ? 1 : 0 };
      const { type, params } = await session.call(procedures.domainGetJobStats, args);
      return { type: jobTypes[type] ?? 'none', statistics: parametersOf(params) };
    },

    /** Gives the domain's job up: the domain stays as and where it is. */
    async abortJob(uuid: string): Promise<void> {
      await session.call(procedures.domainAbortJob, { dom: domainReference(uuid) });
    },

    /** Makes a snapshot; `flags` are {@link SnapshotFlag} values. */
    async createSnapshot(uuid: string, xml: string, flags = 0): Promise<SnapshotReference> {
      const args = { dom: domainReference(uuid), xmlDesc: xml, flags };
      return (await session.callAlone(procedures.domainSnapshotCreateXml, args)).snap;
    },

    async snapshots(uuid: string): Promise<SnapshotReference[]> {
      const args = { dom: domainReference(uuid), needResults: 1, flags: 0 };
      return (await session.call(procedures.domainListAllSnapshots, args)).snapshots;
    },

    async deleteSnapshot(snap: SnapshotReference, flags = 0): Promise<void> {
      await session.callAlone(procedures.domainSnapshotDelete, { snap, flags });
    },

    /** Starts a backup of disks to files or over NBD, as the XML says. */
    async beginBackup(uuid: string, backupXml: string, checkpointXml?: string, flags = 0): Promise<void> {
      await session.call(procedures.domainBackupBegin, { dom: domainReference(uuid), backupXml, checkpointXml, flags });
    },

    /** Limits a disk: for example `total_bytes_sec`, `write_iops_sec`; 0 lifts a limit. */
    async setBlockLimits(uuid: string, disk: string, limits: Record<string, number>, affect = 0): Promise<void> {
      const params = Object.entries(limits).map(([field, value]) => ({
        field,
        value: { type: 'ullong' as const, value: BigInt(value) },
      }));
      await session.call(procedures.domainSetBlockIoTune, { dom: domainReference(uuid), disk, params, flags: affect });
    },

    /** Limits an interface, by its target device or MAC: for example `inbound.average` (KiB/s). */
    async setInterfaceLimits(uuid: string, device: string, limits: Record<string, number>, affect = 0): Promise<void> {
      const params = Object.entries(limits).map(([field, value]) => ({
        field,
        value: { type: 'uint' as const, value },
      }));
      const args = { dom: domainReference(uuid), device, params, flags: affect };
      await session.call(procedures.domainSetInterfaceParameters, args);
    },

    /** Shares and quotas of processor time, for example `cpu_shares`, `vcpu_quota` (microseconds, -1 for none). */
    async setCpuLimits(uuid: string, limits: Record<string, number>, affect = 0): Promise<void> {
      const params = Object.entries(limits).map(([field, value]) => ({
        field,
        // Quotas may be negative and are signed; shares and periods are not.
        value: { type: field.endsWith('_quota') ? ('llong' as const) : ('ullong' as const), value: BigInt(value) },
      }));
      const args = { dom: domainReference(uuid), params, flags: affect };
      await session.call(procedures.domainSetSchedulerParametersFlags, args);
    },
  };
}
