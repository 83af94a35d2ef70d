// The user who called sudo: their files are read and written with their rights, not with root's.
import { spawnSync } from 'node:child_process';

export interface CallingUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Looks a user up in the system's database; undefined when there is none of that name. */
export function findUser(name: string): CallingUser | undefined {
  const { stdout, error } = spawnSync('getent', ['passwd', name], { encoding: 'utf8' });
  if (error) throw error;
  const [, , uid, gid, , home] = stdout.trim().split(':');
  if (uid === undefined || gid === undefined || home === undefined) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** The same. @throws Error when there is none of that name */
export function callingUser(name: string): CallingUser {
  const user = findUser(name);
  if (!user) throw new Error(`there is no user ${name}`);
  return user;
}

/** Runs synchronous file work with the rights of the user, so that a link in their home can't lead root elsewhere. */
export function asUser<T>(user: CallingUser, work: () => T): T {
  if (process.getuid?.() !== 0 || user.uid === 0) return work();
  process.setegid?.(user.gid);
  process.seteuid?.(user.uid);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}
