// Switching a guest off: ask, ask again, wait, and cut the power in the end.
import { HostError, type Clock } from '@cumulet/common';
import { ErrorCode, hasCode } from '@cumulet/libvirt';
import type { Hypervisor } from './hypervisor';

const POLL_MS = 250;
/** A guest that is still booting misses the button, so it is pressed again. */
const ASK_AGAIN_MS = 10_000;

export interface ShutDownOptions {
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  /** Milliseconds until the power is cut. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly progress: (observed: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** Presses the power button. A guest that is off meanwhile is no error. */
async function ask(hypervisor: Hypervisor, uuid: string): Promise<void> {
  try {
    await hypervisor.shutdownDomain(uuid, 'acpi');
  } catch (error) {
    if (!hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN)) throw error;
  }
}

/** @returns who switched it off. @throws HostError aborted; libvirt's errors */
export async function shutDown(uuid: string, options: ShutDownOptions): Promise<'guest' | 'power'> {
  const { hypervisor, clock, signal } = options;
  const begin = clock.now();
  for (let asked: number | undefined; ;) {
    const domain = await hypervisor.domainState(uuid);
    if (!domain || domain.state === 'shut-off') return 'guest';
    if (signal.aborted) throw new HostError('aborted', 'waiting for the guest was given up', { retryable: true });
    const waited = clock.now() - begin;
    if (waited >= options.limitMs) {
      await hypervisor.destroyDomain(uuid);
      return 'power';
    }
    if (asked === undefined || waited - asked >= ASK_AGAIN_MS) {
      const again = asked !== undefined;
      asked = waited;
      await ask(hypervisor, uuid);
      if (again) await options.progress({ waiting_for_guest_seconds: Math.round(waited / 1000) });
    }
    await clock.sleep(Math.min(POLL_MS, options.limitMs - waited), signal);
  }
}
