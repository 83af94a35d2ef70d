// Whose a disk is that several hosts have: libvirt is told to leave that alone, so QEMU's user gets it here.
import { chown } from 'node:fs/promises';
import type { ServerEnsure } from '@cumulet/common';
import type { Hypervisor } from './hypervisor';
import { qemuOwner } from './migrationSockets';

/** Gives the disk to the user that QEMU runs as, which all hosts know by the same number. Nothing happens to a disk of this host alone. */
export async function ownSharedDisk(hypervisor: Hypervisor, { disk }: Pick<ServerEnsure, 'disk'>): Promise<void> {
  if (disk.shared !== true) return;
  const owner = qemuOwner(await hypervisor.capabilities());
  if (owner) await chown(disk.path, owner.uid, owner.gid);
}
