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

/** The caller's key from ~/.ssh/id_*.pub; without one, an ed25519 key without passphrase is made there. */
export function sshKey(user: CallingUser): SshKey {
  return asUser(user, () => {
    const found = existing(user);
    if (found) return found;
    const directory = path.join(user.home, '.ssh');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const name = existsSync(path.join(directory, 'id_ed25519')) ? 'id_cumulet' : 'id_ed25519';
    const privateFile = path.join(directory, name);
    if (!existsSync(privateFile)) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', `${user.name}@cumulet`, '-f', privateFile], {
        uid: process.geteuid?.() ?? user.uid,
        gid: process.getegid?.() ?? user.gid,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    }
    const publicKey = readFileSync(`${privateFile}.pub`, 'utf8').trim();
    return { publicKey, privateFile, usual: name === 'id_ed25519', made: true };
  });
}
