// The machines of the play, and how its administrator speaks to them.
import type { Lan } from '../containers/lan';
import type { Machine } from '../containers/machine';

export interface Stage {
  readonly lan: Lan;
  /** Database, broker and controller; the administrator sits here. */
  readonly ctl: Machine;
  readonly hosts: readonly [Machine, Machine];
}

export const AGENTS = ['compute', 'network', 'storage'] as const;
export const agentUnits = AGENTS.map((agent) => `cumulet-${agent}-agent`);
export const CONTROLLER_UNIT = 'cumulet-controller';

/** What takes longer than this has failed: packages, the build, emulated servers. */
export const LONG_SECONDS = 900;
/** An agent that was away is taken for up within this. */
export const PATIENCE_SECONDS = 60;

/** A command of the client. */
export const cloud = ({ ctl }: Stage, command: string, seconds = 180): Promise<string> =>
  ctl.asAdministrator(`export OS_CLOUD=cumulet\ncumulet ${command}`, seconds);

export const cloudJson = async <T>(stage: Stage, command: string): Promise<T> =>
  JSON.parse(await cloud(stage, `${command} -f json`)) as T;

/** Every unit of the cloud with its machine. */
export const unitsOf = ({ ctl, hosts }: Stage): readonly (readonly [Machine, string])[] => [
  [ctl, CONTROLLER_UNIT],
  ...hosts.flatMap((host) => agentUnits.map((unit) => [host, unit] as const)),
];
