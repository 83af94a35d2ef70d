// What must happen so that a server has exactly the disk it should have. Pure.
import { HostError } from '@cumulet/common';
import { baseName, diskName, parseName } from './layout';

export interface DesiredDisk {
  readonly revision: number;
  /** Bytes of the virtual disk. */
  readonly size: number;
  /** Other revisions that stay as they are. */
  readonly keep?: readonly number[];
}

export interface ObservedFile {
  readonly name: string;
  /** Bytes of the virtual disk by the overlay's own header; undefined when there is no header. */
  readonly virtualSize?: number | undefined;
  /** Bytes of the file. */
  readonly fileSize: number;
}

export type DiskAction =
  | { readonly kind: 'create'; readonly revision: number; readonly size: number }
  | { readonly kind: 'grow'; readonly name: string; readonly size: number }
  | { readonly kind: 'remove'; readonly name: string };

/**
 * The actions in their order: make the wanted disk first, then remove what other revisions and broken attempts left.
 * @throws HostError disk_cannot_shrink, disk_damaged
 */
export function diskPlan(desired: DesiredDisk, observed: readonly ObservedFile[]): readonly DiskAction[] {
  const wanted = diskName(desired.revision);
  const current = observed.find(({ name }) => name === wanted);
  const kept = new Set([desired.revision, ...(desired.keep ?? [])]);
  const removals = observed
    .filter(({ name }) => !kept.has(parseName(name)?.revision ?? NaN))
    .map(({ name }): DiskAction => ({ kind: 'remove', name }));
  return [...currentActions(desired, current, observed), ...removals];
}

function currentActions(
  desired: DesiredDisk,
  current: ObservedFile | undefined,
  observed: readonly ObservedFile[],
): readonly DiskAction[] {
  const { revision, size } = desired;
  const create: DiskAction = { kind: 'create', revision, size };
  if (!current) return [create];
  // The host lost power before the overlay's first bytes were written: there never was data on it.
  if (current.fileSize === 0) return [{ kind: 'remove', name: current.name }, create];
  if (current.virtualSize === undefined || !observed.some(({ name }) => name === baseName(revision))) {
    throw new HostError('disk_damaged', "the server's disk is damaged: its file is not what this cloud made", {
      retryable: false,
      facts: { file: current.name },
    });
  }
  if (current.virtualSize > size) {
    throw new HostError(
      'disk_cannot_shrink',
      `the disk has ${current.virtualSize} bytes and can't shrink to ${size}: data would be lost`,
      { retryable: false, facts: { from: current.virtualSize, to: size } },
    );
  }
  return current.virtualSize < size ? [{ kind: 'grow', name: current.name, size }] : [];
}
