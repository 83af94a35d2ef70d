// A silent host may still run its guests: nothing of it runs elsewhere before the administrator's command has said that it is off.
import { CommandError, exec, messageOf } from '@cumulet/common';
import type { WriteSession } from '../db';
import { residues } from '../db/entities/tasks';
import { anyAgentAlive } from '../services/hosts';
import type { StepContext } from './task';

/** Of what a fencing command printed, this many characters are told. */
const SAID = 500;

/** What a timeline says of a host that was turned off. */
export const TURNED_OFF = 'the fencing command said that the host is off';

/** What came of the fencing command. Its arguments may be secret; what it prints is what its author wants to be read. */
function told(error: unknown): string {
  const words = 'the fencing command did not say that the host is off:';
  if (!(error instanceof CommandError)) return `${words} ${messageOf(error)}`;
  const { reason, exitCode, stderr, stdout } = error;
  const said = (stderr.trim() || stdout.trim() || 'it printed nothing').slice(0, SAID);
  return `${words} ${reason ?? `it exited with ${exitCode}`}: ${said}`;
}

/**
 * Has `fence_command` turn a host off that is not heard.
 * @returns why it is not certain that the host is off, in words; undefined when it is
 */
export async function turnOff(
  { cloud, signal }: Pick<StepContext, 'cloud' | 'signal'>,
  host: string,
): Promise<string | undefined> {
  const { fence_command: command, fence_timeout: seconds } = cloud.config;
  const heard = () => cloud.db.read((session) => anyAgentAlive(session, host, cloud.clock.now()));
  if (command === null) return 'no fencing command is configured.';
  if (await heard()) return 'its host is heard again.';
  try {
    await exec([...command, host], { timeout: seconds * 1000, signal });
  } catch (error) {
    return told(error);
  }
  // A command that says yes to everything is found out here, if the host was only slow.
  return (await heard()) ? 'the fencing command said that the host is off, but the host is heard.' : undefined;
}

/** A host that is off uses no addresses: what it still has of deleted servers holds none any more. */
export async function releaseHeld(session: WriteSession, host: string): Promise<void> {
  await session.update(residues, { host }, { facts: { fenced: true } });
}
