// Files of ssh on this machine: the key that a keypair belongs to, and what is known of the host keys of each server.
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { removeEmpty } from './emptyDirectories';
import { CliError } from './errors';

/** Kind and body of a public key, without its comment. */
const material = (line: string): string => line.trim().split(/\s+/).slice(0, 2).join(' ');

/** The file in ~/.ssh whose public half, beside it, is this key. @throws CliError when ~/.ssh can't be read */
export function privateKeyOf(publicKey: string): string | undefined {
  const directory = path.join(homedir(), '.ssh');
  try {
    const halves = readdirSync(directory).filter((name) => /^id_.*\.pub$/.test(name));
    const half = halves.find(
      (name) => material(readFileSync(path.join(directory, name), 'utf8')) === material(publicKey),
    );
    return half && path.join(directory, half.replace(/\.pub$/, ''));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliError(`no key could be looked for: ${(error as Error).message}`);
  }
}

/** The file with the host keys of one server; its directory is there afterwards.
 * @param disk - what tells the server's disk from those it had before
 * @param forget - whether what is known of the server is thrown away
 * @throws CliError when there is no place for it */
export function knownHostsOf(serverId: string, disk: string | undefined, forget: boolean): string {
  const state = process.env['XDG_STATE_HOME'] || path.join(homedir(), '.local/state');
  const directory = path.join(state, 'cumulet/known_hosts');
  // It is a word of the cloud's, which does not choose files here.
  const name = disk === undefined ? serverId : `${serverId}.${disk.replace(/[^\w-]/g, '_')}`;
  const file = path.join(directory, name);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (forget) rmSync(file, { force: true });
    return file;
  } catch (error) {
    throw new CliError(`host keys could not be kept: ${(error as Error).message}`);
  }
}

/** Removes what {@link knownHostsOf} keeps in this home, and the directories that are empty then. The caller has its owner's rights. */
export function forgetHostKeys(home: string): void {
  const directory = path.join(home, '.local/state/cumulet');
  rmSync(path.join(directory, 'known_hosts'), { recursive: true, force: true });
  removeEmpty(directory, 3);
}
