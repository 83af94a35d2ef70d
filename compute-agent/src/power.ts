// A domain's state as the cloud speaks of it.
import type { ObservedServer } from '@cumulet/common';

/** virDomainShutoffReason: the guest or its QEMU crashed. */
const SHUTOFF_CRASHED = 3;

/** @param reason - libvirt's number that says why it is in this state */
export function powerOf(state: string, reason: number, managedSave: boolean): ObservedServer['power'] {
  switch (state) {
    case 'paused':
      return 'paused';
    case 'crashed':
      return 'crashed';
    case 'shut-off':
    case 'none':
      if (managedSave) return 'suspended';
      return reason === SHUTOFF_CRASHED ? 'crashed' : 'shutdown';
    default:
      // Also while it shuts down, and when the guest sleeps by itself: its memory is there.
      return 'running';
  }
}
