// What both hypervisors of a migration are told alike. Each agent finds it by what the controller told it, not by the other one's word.
import { MigrateFlag, type ManagedMigration } from '@cumulet/libvirt';

export interface MigrationChoice {
  readonly sharedDisk: boolean;
  /** The guest stays paused on the host that gets it. */
  readonly paused?: boolean;
  readonly autoConverge?: boolean;
  /** MiB per second; 0 for no limit. */
  readonly bandwidth?: number;
}

export function migrationOptions(choice: MigrationChoice): ManagedMigration {
  const { sharedDisk, paused = false, autoConverge = false, bandwidth = 0 } = choice;
  const { LIVE, PERSIST_DEST, PAUSED, AUTO_CONVERGE, NON_SHARED_INC, UNSAFE } = MigrateFlag;
  const flags = [
    ...[LIVE, PERSIST_DEST],
    ...(paused ? [PAUSED] : []),
    ...(autoConverge ? [AUTO_CONVERGE] : []),
    // That both hosts have the same disks is known by their mark, whatever file system libvirt takes them for.
    sharedDisk ? UNSAFE : NON_SHARED_INC,
  ];
  return {
    flags: flags.reduce((all, flag) => all | flag, 0),
    ...(sharedDisk ? {} : { disks: ['vda'] }),
    ...(bandwidth > 0 ? { bandwidth } : {}),
  };
}
