// Taking an interface from a running guest: the guest must let it go, so it is asked, asked again, and watched.
import { HostError, type Clock } from '@cumulet/common';
import { Affect, LibvirtError } from '@cumulet/libvirt';
import type { Hypervisor } from './hypervisor';
import type { LiveInterface } from './interfacePlan';
import { parseLiveDomain } from './liveDomain';

/** The event of the removal is lost when the connection breaks, so the domain itself is looked at. */
const POLL_MS = 200;
/** A guest that is still booting does not hear the request, so it is made again. */
const ASK_AGAIN_MS = 8_000;
const LIMIT_MS = 60_000;

export interface UnplugOptions {
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Whether the guest still has it; one that is off has nothing. */
async function isThere(hypervisor: Hypervisor, uuid: string, gone: LiveInterface): Promise<boolean> {
  if ((await hypervisor.domainState(uuid))?.state === 'shut-off') return false;
  return parseLiveDomain(await hypervisor.domainXml(uuid)).interfaces.some(({ device }) => device === gone.device);
}

async function ask(hypervisor: Hypervisor, uuid: string, gone: LiveInterface, again: boolean): Promise<void> {
  try {
    await hypervisor.detachDeviceByAlias(uuid, gone.alias, Affect.LIVE);
  } catch (error) {
    // While the first request is pending QEMU refuses another one; whether the guest obeys shows in the domain.
    if (!again || !(error instanceof LibvirtError)) throw error;
  }
}

/** Resolves when the guest has let the interface go. @throws HostError interface_in_use, aborted; libvirt's errors */
export async function unplugInterface(uuid: string, gone: LiveInterface, options: UnplugOptions): Promise<void> {
  const { hypervisor, clock, signal } = options;
  const begin = clock.now();
  for (let asked: number | undefined; await isThere(hypervisor, uuid, gone);) {
    if (signal.aborted) throw new HostError('aborted', 'waiting for the guest was given up', { retryable: true });
    const waited = clock.now() - begin;
    if (waited >= LIMIT_MS) {
      const words = `the guest did not let the interface go within ${LIMIT_MS / 1000} s`;
      throw new HostError('interface_in_use', words, { retryable: false, facts: { ...gone } });
    }
    if (asked === undefined || waited - asked >= ASK_AGAIN_MS) {
      await ask(hypervisor, uuid, gone, asked !== undefined);
      asked = waited;
    }
    await clock.sleep(POLL_MS, signal);
  }
}
