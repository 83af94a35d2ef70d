// What was applied last, on disk: an agent that was away when a rule was removed still ends the flows that the rule let in.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { messageOf, type Logger, type NetworkObject } from '@cumulet/common';
import { applyChanges, nothingDesired, type Desired } from './desired';
import { merged } from './serial';

export interface AppliedState {
  readonly desired: Desired;
  /** Conntrack zones by bridge. */
  readonly zones: ReadonlyMap<string, number>;
}

export interface AppliedFile {
  /** Undefined when nothing was applied yet, or the file can't be used. */
  read(): Promise<AppliedState | undefined>;
  /** Remembers it at once; the file follows. */
  write(state: AppliedState): void;
  remove(): Promise<void>;
}

interface Stored {
  readonly objects: readonly NetworkObject[];
  readonly zones: readonly (readonly [string, number])[];
}

export function encodeApplied({ desired, zones }: AppliedState): string {
  const { networks, ports, groups, routers } = desired;
  // Only what conntrack entries can depend on: the DHCP tables would make the file long.
  const slim = [...networks.values()].map((network) => ({ ...network, dhcp_hosts: [] }));
  const objects = [...slim, ...ports.values(), ...groups.values(), ...routers.values()];
  return JSON.stringify({ objects, zones: [...zones] } satisfies Stored);
}

/** @throws SyntaxError for a damaged text */
export function decodeApplied(text: string): AppliedState {
  const { objects, zones } = JSON.parse(text) as Stored;
  return {
    desired: applyChanges(nothingDesired, { sequence: 0, reload: true, objects: [...objects], gone: [] }),
    zones: new Map(zones),
  };
}

export function createAppliedFile(path: string, log: Logger): AppliedFile {
  let state: AppliedState | undefined;
  const save = merged(async () => {
    if (state === undefined) return;
    await writeFile(`${path}.new`, encodeApplied(state), { mode: 0o600 });
    await rename(`${path}.new`, path);
  });
  return {
    read: async () => {
      if (state !== undefined) return state;
      try {
        state = decodeApplied(await readFile(path, 'utf8'));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
          log.warn(
            { path, error: messageOf(error) },
            'what was applied last can not be read: flows of removed rules may go on',
          );
        }
      }
      return state;
    },
    write: (next) => {
      state = next;
      save().catch((error: unknown) =>
        log.warn({ path, error: messageOf(error) }, 'what was applied was not written down'),
      );
    },
    remove: async () => {
      await save().catch(() => undefined);
      state = undefined;
      await rm(path, { force: true });
    },
  };
}
