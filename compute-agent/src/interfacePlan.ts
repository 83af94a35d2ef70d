// Which interfaces a running guest must get and give up. Pure: a repeated or interrupted command plans the rest.
import { interfaceName, type ServerEnsure } from '@cumulet/common';
import type { DomainAction } from './domainPlan';

export type DesiredInterface = ServerEnsure['interfaces'][number];

/** An interface that a running guest has. */
export interface LiveInterface {
  /** Its tap on the host. */
  readonly device: string;
  /** libvirt's name for it within the domain. */
  readonly alias: string;
}

export interface InterfacePlan {
  readonly unplug: readonly LiveInterface[];
  readonly plug: readonly DesiredInterface[];
}

const tapOf = (one: DesiredInterface): string => interfaceName('tap', one.port_id);

export function interfacePlan(desired: readonly DesiredInterface[], live: readonly LiveInterface[]): InterfacePlan {
  const wanted = new Set(desired.map(tapOf));
  const present = new Set(live.map(({ device }) => device));
  return {
    unplug: live.filter(({ device }) => !wanted.has(device)),
    plug: desired.filter((one) => !present.has(tapOf(one))),
  };
}

const KEEPS_RUNNING = new Set<DomainAction>(['define', 'pause', 'resume']);

/** Whether a guest is the same one after these actions: one that starts anew gets its interfaces from its definition. */
export const keepsRunning = (actions: readonly DomainAction[]): boolean =>
  actions.every((action) => KEEPS_RUNNING.has(action));
