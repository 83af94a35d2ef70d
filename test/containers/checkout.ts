// This checkout's history on a machine, and the commits that matter there: the last one, and one before the last change of the database.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { root } from '../support/checkout';
import type { Machine } from './machine';

/** Where the database's tables are told; the commit before its last change has older data. */
const SCHEMA = 'controller/src/db/migrations';

export interface Commits {
  readonly newest: string;
  /** Of what the user had before. */
  readonly previous: string;
}

const git = async (...argv: string[]): Promise<string> => (await exec(['git', '-C', root, ...argv])).stdout.trim();

export const lastCommit = (): Promise<string> => git('rev-parse', 'HEAD');

/** @param previous a commit instead of the one that is found. @throws CommandError in a checkout without history */
export async function commitsOf(previous?: string): Promise<Commits> {
  const newest = await lastCommit();
  return {
    newest,
    previous: await git('rev-parse', previous ?? `${await git('rev-list', '-1', 'HEAD', '--', SCHEMA)}^`),
  };
}

/** Puts the history on the machine as /srv/cumulet.git, from where it can be cloned. @returns which commit, in words */
export async function offerHistory(machine: Machine, newest: string): Promise<string> {
  const changed = await git('status', '--porcelain', '--untracked-files=no');
  await exec(['git', 'clone', '-q', '--bare', '--no-hardlinks', root, join(machine.root, 'srv/cumulet.git')], {
    timeout: 300_000,
  });
  // HEAD may be on no branch, as in a checkout of CI.
  writeFileSync(join(machine.root, 'srv/cumulet.git/HEAD'), 'ref: refs/heads/main\n');
  await machine.asRoot(`cd /srv/cumulet.git && git update-ref refs/heads/main ${newest}`);
  return `commit ${newest.slice(0, 7)}${changed === '' ? '' : '; what is not committed is not in it'}`;
}
