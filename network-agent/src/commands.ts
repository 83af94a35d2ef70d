// What the controller asks of ports: on or off this host, after the change feed was applied at least as far as it says.
import { HostError, type PortsEnsure, type PortsRemove } from '@cumulet/common';
import type { Applied } from './dataplane';

export interface PortContext {
  /**
   * Applies the feed at least up to this sequence. Until `made` it resolves as soon as the interfaces exist, and nothing counts as
   * wired yet. @throws when the controller or the host stand in the way
   */
  readonly sync: (sequence: number, until: PortsEnsure['until']) => Promise<Applied>;
  /** Whether the feed names a port for this host. */
  readonly known: (portId: string) => boolean;
}

/** Why a port is not wired, as its owner may read it. */
export function ownerWords(portId: string, applied: Applied): string {
  return applied.closed.get(portId) ?? `port ${portId} could not be connected to its network on its host`;
}

async function applied(
  { port_ids: ids, sequence }: PortsRemove,
  until: PortsEnsure['until'],
  { sync }: PortContext,
): Promise<Applied> {
  try {
    return await sync(sequence, until);
  } catch (error) {
    const what = `the network of port ${ids.join(', ')} could not be set up on its host`;
    throw error instanceof HostError ? error : new HostError('network_failed', what, { retryable: true, cause: error });
  }
}

/** Makes ports, and wires them when asked to. @throws HostError port_not_here, port_not_wired, network_failed */
export async function ensurePorts(body: PortsEnsure, context: PortContext): Promise<Record<string, unknown>> {
  const state = await applied(body, body.until, context);
  const missing = body.port_ids.filter((id) => !context.known(id));
  if (missing.length > 0) {
    throw new HostError('port_not_here', `port ${missing.join(', ')} does not belong on its host`, { retryable: true });
  }
  const fine = (id: string): boolean => (body.until === 'made' ? !state.faults.has(id) : state.wired.has(id));
  const broken = body.port_ids.filter((id) => !fine(id));
  if (broken.length > 0) {
    const details = broken.map((id) => state.faults.get(id) ?? '');
    const message = broken.map((id) => ownerWords(id, state)).join('; ');
    throw new HostError('port_not_wired', message, { retryable: true, facts: { details } });
  }
  return { wired: body.until === 'wired' };
}

/** Takes ports off. @throws HostError port_still_here, port_not_removed, network_failed */
export async function removePorts(body: PortsRemove, context: PortContext): Promise<Record<string, unknown>> {
  const state = await applied(body, 'wired', context);
  const left = body.port_ids.filter(context.known);
  if (left.length > 0) {
    throw new HostError('port_still_here', `port ${left.join(', ')} still belongs on its host`, { retryable: true });
  }
  const details = body.port_ids.flatMap((id) => state.faults.get(id) ?? []);
  if (details.length > 0) {
    const message = `port ${body.port_ids.join(', ')} could not be taken off its host`;
    throw new HostError('port_not_removed', message, { retryable: true, facts: { details } });
  }
  return { wired: false };
}
