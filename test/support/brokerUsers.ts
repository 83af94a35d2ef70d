// The broker's users of a test: a password file for the controllers and for each host, and the definitions that a broker begins with.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controllerDefinitions, hostDefinitions, type BrokerDefinitions } from '@cumulet/common';

export const VIRTUAL_HOST = 'cumulet';

/** Everything that the broker knows when it starts, in one file. */
function allDefinitions(passwords: ReadonlyMap<string, string>): BrokerDefinitions {
  const all = [...passwords].map(([host, password]) =>
    host === '' ? controllerDefinitions(VIRTUAL_HOST, password) : hostDefinitions(VIRTUAL_HOST, host, password),
  );
  return {
    vhosts: [{ name: VIRTUAL_HOST }],
    users: all.flatMap(({ users }) => users),
    permissions: all.flatMap(({ permissions }) => permissions),
  };
}

/** The file with the password of a host, or of the controllers. */
export const passwordFile = (directory: string, host = ''): string => join(directory, `password-${host}`);

/** Writes password files and definitions into a directory; returns the path of the definitions. */
export function writeBrokerUsers(directory: string, hosts: readonly string[]): string {
  const passwords = new Map(['', ...hosts].map((host) => [host, `password-of-${host}`]));
  for (const [host, password] of passwords) writeFileSync(passwordFile(directory, host), password, { mode: 0o600 });
  const definitions = join(directory, 'definitions.json');
  writeFileSync(definitions, JSON.stringify(allDefinitions(passwords)));
  return definitions;
}
