// A domain's state as the cloud speaks of it.
import type { ObservedServer } from '@cumulet/common';

/** virDomainShutoffReason: the guest or its QEMU crashed. */
const SHUTOFF_CRASHED = 3;

const SHUTOFF_WORDS: Readonly<Record<number, string>> = {
  1: 'the guest shut itself down',
  2: 'it was switched off on its host, not by this cloud',
  3: 'the guest or its emulator crashed',
  6: 'it could not be started',
  8: 'the hypervisor of its host ended it',
};

/** Why a domain is shut off, in words for its owner. @param reason - virDomainShutoffReason */
export const whyOff = (reason: number): string | undefined => SHUTOFF_WORDS[reason];

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
