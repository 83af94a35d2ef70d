// Commands of the controller: bring ports on or off this host, and say what was observed.
import { messageOf, type Command, type PortsEnsure, type Reply } from '@cumulet/common';
import type { Applied } from './dataplane';

export interface CommandContext {
  readonly host: string;
  /** Applies the feed at least up to this sequence. @throws when the controller or the host stand in the way */
  readonly sync: (sequence: number) => Promise<Applied>;
  /** Ports that the feed names for this host. */
  readonly known: (portId: string) => boolean;
}

type Outcome = Pick<Reply, 'outcome' | 'observed' | 'fault'>;

const failed = (code: string, message: string, retryable: boolean): Outcome => ({
  outcome: 'failed',
  observed: {},
  fault: { code, message, retryable },
});

function ensured(ids: readonly string[], applied: Applied, known: (id: string) => boolean): Outcome {
  const missing = ids.filter((id) => !known(id));
  if (missing.length > 0) {
    return failed('port_not_here', `the change feed names no port ${missing.join(', ')} for this host`, true);
  }
  const faults = ids
    .filter((id) => !applied.wired.has(id))
    .map((id) => applied.faults.get(id) ?? `port ${id} is not wired`);
  if (faults.length > 0) return failed('port_not_wired', faults.join('; '), true);
  return { outcome: 'done', observed: { wired: true }, fault: null };
}

function removed(ids: readonly string[], applied: Applied, known: (id: string) => boolean): Outcome {
  const left = ids.filter(known);
  if (left.length > 0)
    return failed('port_still_here', `the change feed still names port ${left.join(', ')} for this host`, true);
  const faults = ids.flatMap((id) => applied.faults.get(id) ?? []);
  if (faults.length > 0) return failed('port_not_removed', faults.join('; '), true);
  return { outcome: 'done', observed: { wired: false }, fault: null };
}

/** Carries out one command and makes its reply. */
export async function carryOut(command: Command, context: CommandContext): Promise<Reply> {
  const { task, step, send, kind } = command;
  const body = command.body as PortsEnsure;
  let outcome: Outcome;
  try {
    const applied = await context.sync(body.sequence);
    outcome = (kind === 'ports.remove' ? removed : ensured)(body.port_ids, applied, context.known);
  } catch (error) {
    outcome = failed('network_failed', messageOf(error), true);
  }
  return { task, step, send, host: context.host, kind, ...outcome };
}
