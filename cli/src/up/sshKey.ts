// The caller's ssh key: an existing one, else one made for them.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { asUser, type CallingUser } from './callingUser';

export interface SshKey {
  /** The line of the .pub file. */
  readonly publicKey: string;
  readonly privateFile: string;
  /** Whether ssh finds it without -i. */
  readonly usual: boolean;
  /** Whether up made it. */
  readonly made: boolean;
}

/** Kinds in the order they are wanted; keys on hardware tokens are left out, as they ask to be touched. */
const KINDS = ['ed25519', 'ecdsa', 'rsa'];

function existing(user: CallingUser): SshKey | undefined {
  for (const kind of KINDS) {
    const privateFile = path.join(user.home, '.ssh', `id_${kind}`);
    if (!existsSync(`${privateFile}.pub`)) continue;
    const publicKey = readFileSync(`${privateFile}.pub`, 'utf8').trim();
    if (/^(ssh|ecdsa)-\S+ \S+/.test(publicKey)) return { publicKey, privateFile, usual: true, made: false };
  }
  return undefined;
}

function make(user: CallingUser): SshKey {
  const directory = path.join(user.home, '.ssh');
  const { name, missing } = asUser(user, () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const chosen = existsSync(path.join(directory, 'id_ed25519')) ? 'id_cumulet' : 'id_ed25519';
    return { name: chosen, missing: !existsSync(path.join(directory, chosen)) };
  });
  const privateFile = path.join(directory, name);
  if (missing) {
    const args = ['-q', '-t', 'ed25519', '-N', '', '-C', `${user.name}@cumulet`, '-f', privateFile];
    const rights = process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {};
    execFileSync('ssh-keygen', args, { ...rights, stdio: ['ignore', 'ignore', 'pipe'] });
  }
  const publicKey = asUser(user, () => readFileSync(`${privateFile}.pub`, 'utf8').trim());
  return { publicKey, privateFile, usual: name === 'id_ed25519', made: missing };
}

/** The caller's key from ~/.ssh/id_*.pub; without one, an ed25519 key without passphrase is made there, as the caller. */
export function sshKey(user: CallingUser): SshKey {
  return asUser(user, () => existing(user)) ?? make(user);
}
