// What must happen so that a server's domain is as it should be. Pure: a repeated or interrupted command plans the rest.
import { HostError, type PowerTarget, type ServerEnsure } from '@cumulet/common';
import type { DomainStateName } from '@cumulet/libvirt';
import type { Mark } from './domainMark';

export interface DesiredDomain {
  readonly power: PowerTarget;
  readonly reboot: ServerEnsure['reboot'];
  readonly redefine: boolean;
  readonly generation: number;
  /** See `definitionDigest`. */
  readonly definition: string;
}

export interface ObservedDomain {
  readonly state: DomainStateName;
  /** Whether libvirt holds its memory in a file. */
  readonly managedSave: boolean;
  /** The mark of the definition that the next start uses. */
  readonly config: Mark | undefined;
  /** The mark of the definition that the running guest was started with; undefined when it does not run. */
  readonly live: Mark | undefined;
}

/**
 * `shutdown` asks the guest, waits and cuts the power in the end; `destroy` cuts it at once; `save` writes the memory to a file
 * and stops; `discard-saved` throws that file away.
 */
export type DomainAction =
  'define' | 'start' | 'start-paused' | 'shutdown' | 'destroy' | 'pause' | 'resume' | 'save' | 'discard-saved';

/** Whether a definition is not yet the one that must be used. */
function outdated(desired: DesiredDomain, mark: Mark | undefined): boolean {
  if (mark?.definition !== desired.definition) return true;
  return desired.redefine && mark.generation < desired.generation;
}

/** Whether a definition does not stand for the wanted reboot yet. */
const unrebooted = ({ reboot }: DesiredDomain, mark: Mark | undefined): boolean =>
  reboot !== null && mark?.reboot !== reboot.nonce;

/** How a running guest must be restarted, if at all. The guest keeps the mark it was started with, so it happens once. */
function restart(desired: DesiredDomain, { live, state }: ObservedDomain): 'shutdown' | 'destroy' | undefined {
  if (desired.redefine && outdated(desired, live)) return 'destroy';
  if (!unrebooted(desired, live)) return undefined;
  return desired.reboot?.type === 'soft' && isAwake(state) ? 'shutdown' : 'destroy';
}

const isAwake = (state: DomainStateName): boolean => state === 'running' || state === 'blocked';
const isOff = (state: DomainStateName): boolean => state === 'shut-off' || state === 'none';

function toRunning(desired: DesiredDomain, observed: ObservedDomain): readonly DomainAction[] {
  const { state, managedSave, config } = observed;
  if (isOff(state)) {
    const stale = (desired.redefine && outdated(desired, config)) || unrebooted(desired, config);
    return managedSave && stale ? ['discard-saved', 'start'] : ['start'];
  }
  const how = restart(desired, observed);
  if (how) return [how, 'start'];
  if (isAwake(state)) return [];
  if (state === 'paused') return ['resume'];
  return [state === 'shutting-down' ? 'shutdown' : 'destroy', 'start'];
}

function toPaused({ state }: ObservedDomain): readonly DomainAction[] {
  if (state === 'paused') return [];
  if (isAwake(state)) return ['pause'];
  return isOff(state) ? ['start-paused'] : ['destroy', 'start-paused'];
}

function toShutdown({ state, managedSave }: ObservedDomain): readonly DomainAction[] {
  if (isOff(state)) return managedSave ? ['discard-saved'] : [];
  return isAwake(state) || state === 'shutting-down' ? ['shutdown'] : ['destroy'];
}

function toSuspended({ state, managedSave }: ObservedDomain): readonly DomainAction[] {
  if (isOff(state) && managedSave) return [];
  if (isAwake(state) || state === 'paused' || state === 'pm-suspended') return ['save'];
  throw new HostError('not_running', 'the server is not running, so there is no memory to suspend', {
    retryable: false,
    facts: { state },
  });
}

const NOTHING_THERE: ObservedDomain = { state: 'shut-off', managedSave: false, config: undefined, live: undefined };

/** The actions in their order. `observed` is undefined when there is no domain. @throws HostError not_running */
export function domainPlan(desired: DesiredDomain, observed: ObservedDomain | undefined): readonly DomainAction[] {
  const domain = observed ?? NOTHING_THERE;
  const actions = {
    running: () => toRunning(desired, domain),
    paused: () => toPaused(domain),
    shutdown: () => toShutdown(domain),
    suspended: () => toSuspended(domain),
    unchanged: () => [],
  }[desired.power]();
  if (!outdated(desired, domain.config) && !unrebooted(desired, domain.config)) return actions;
  // What is saved goes first: were it lost between the two, the old memory would come back under the new definition.
  return actions[0] === 'discard-saved' ? ['discard-saved', 'define', ...actions.slice(1)] : ['define', ...actions];
}
