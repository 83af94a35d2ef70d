// What is told of a lab that runs.

/** The option with which all hosts have one directory of disks. */
export const SHARED_DISKS = '--shared-disks';
export interface ProcessState {
  readonly name: string;
  /** The host that it is on; null for what all hosts share. */
  readonly host: string | null;
  readonly runs: boolean;
  /** Its process id, where one is known. */
  readonly pid?: number;
}

export interface LabState {
  /** What is being started; null when nothing is. */
  readonly doing: string | null;
  /** Why the last start failed. */
  readonly failure: string | null;
  readonly hosts: readonly { readonly name: string; readonly on: boolean; readonly directory: string }[];
  readonly processes: readonly ProcessState[];
}
