// The root disk of a running guest as it is at one moment, copied by QEMU's backup job while the guest runs on.
import { access, rename, rm } from 'node:fs/promises';
import { HostError, type CommandContext, type DiskCopy } from '@cumulet/common';
import { ErrorCode, hasCode, LibvirtError } from '@cumulet/libvirt';
import { findDomain, type ServerContext } from './ensureServer';
import { doing } from './faults';
import { escapeXml } from './xml';

const POLL_MS = 250;
const PROGRESS_MS = 5_000;

/** The config drive is no part of it. Follows libvirt's "Backup XML". */
const backupXml = (path: string): string =>
  "<domainbackup mode='push'><disks><disk name='vda' backup='yes' type='file'>" +
  `<driver type='qcow2'/><target file='${escapeXml(path)}'/></disk></disks></domainbackup>`;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * A libvirtd that dies as a backup begins comes back with a job that it knows nothing of and can't end: it goes with the guest's power.
 * QEMU copies nothing by then.
 */
const isLost = (error: unknown): boolean =>
  hasCode(error, ErrorCode.INTERNAL_ERROR) && error instanceof LibvirtError && /job data missing/.test(error.reason);

async function jobType({ hypervisor }: ServerContext, uuid: string): Promise<string> {
  try {
    return (await hypervisor.jobStats(uuid)).type;
  } catch (error) {
    if (isLost(error)) return 'lost';
    throw error;
  }
}

/**
 * Ends a copy that nobody waits for any more: of a command before, or of an agent before this one.
 * @returns whether there can be another one
 */
async function endJob(context: ServerContext, uuid: string): Promise<boolean> {
  const { hypervisor, clock } = context;
  for (;;) {
    const type = await jobType(context, uuid);
    if (type === 'none' || type === 'lost') return type === 'none';
    try {
      await hypervisor.abortJob(uuid);
    } catch (error) {
      // It ended this moment.
      if (!hasCode(error, ErrorCode.OPERATION_INVALID)) throw error;
    }
    await clock.sleep(POLL_MS);
  }
}

async function followJob(context: ServerContext, uuid: string, { signal, progress }: CommandContext): Promise<void> {
  const { hypervisor, clock } = context;
  for (let told = clock.now(); ;) {
    const { type, statistics } = await hypervisor.jobStats(uuid);
    if (type === 'none') break;
    if (signal.aborted) {
      await endJob(context, uuid);
      throw new HostError('aborted', 'a newer command took over', { retryable: true });
    }
    if (clock.now() - told >= PROGRESS_MS) {
      told = clock.now();
      const { disk_processed: copied, disk_total: total } = statistics;
      await progress({ copied_bytes: Number(copied ?? 0), disk_bytes: Number(total ?? 0) });
    }
    await clock.sleep(POLL_MS, signal);
  }
  const { type } = await hypervisor.jobStats(uuid, { completed: true });
  if (type === 'completed') return;
  throw new HostError('copy_failed', 'the disk of the running server could not be copied to its end', {
    retryable: true,
    facts: { type },
  });
}

/**
 * Carries out `disk.copy`. The file has its name only when it is whole, so repeating the command makes no second copy.
 * @returns whether there is a copy; false when the server is off or `path` is null
 * @throws HostError
 */
export async function copyDisk(
  context: ServerContext,
  { server_id: id, path }: DiskCopy,
  command: CommandContext,
): Promise<boolean> {
  const { hypervisor } = context;
  return doing('copying the disk of the server', async () => {
    if (path !== null && (await exists(path))) return true;
    const state = (await findDomain(context, id)) ? (await hypervisor.domainState(id))?.state : undefined;
    if (state === undefined || state === 'shut-off') return false;
    const isFree = await endJob(context, id);
    if (path === null) return false;
    if (!isFree) {
      const words = 'the hypervisor lost track of an earlier copy; it can make another one after a hard reboot';
      throw new HostError('copy_lost', `copying the disk of the server failed: ${words}`, { retryable: false });
    }
    const partial = `${path}.part`;
    await rm(partial, { force: true });
    await hypervisor.beginBackup(id, backupXml(partial));
    await followJob(context, id, command);
    await rename(partial, path);
    return true;
  });
}
