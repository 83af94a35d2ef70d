// The first configuration: written once, an existing one is the administrator's.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { freeNetwork, usedNetworks, type Route } from './freeNetwork';

/** The first three numbers of the external network, and why they are not the usual ones.
 * @throws Error in words when no network is free */
export function externalPrefix(used: readonly Route[]): { prefix: string; reason?: string } {
  try {
    const { prefix, instead } = freeNetwork('172.24.4', used);
    if (!instead) return { prefix };
    const reason = `floating IPs are in ${prefix}.0/24, as 172.24.4.0/24 meets the route ${instead.dst} of ${instead.dev ?? 'this machine'}`;
    return { prefix, reason };
  } catch (error) {
    throw new Error(`${(error as Error).message}: set external_address in the configuration`, { cause: error });
  }
}

function replaceFile(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode });
  renameSync(`${file}.new`, file);
}

/** Writes bootstrap.json (the administrator's first password) and cumulet.yaml where they are missing.
 * @returns warnings for the last screen */
export function configure(directory: string, data: string): string[] {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const bootstrap = path.join(directory, 'bootstrap.json');
  if (!existsSync(bootstrap)) {
    replaceFile(bootstrap, `${JSON.stringify({ admin_password: randomBytes(18).toString('base64url') })}\n`, 0o600);
  }
  const file = path.join(directory, 'cumulet.yaml');
  if (existsSync(file)) return [];
  const { prefix, reason } = externalPrefix(usedNetworks());
  const text = stringify({
    listen: '127.0.0.1:5000',
    data_dir: data,
    bootstrap_file: bootstrap,
    external_address: `${prefix}.1/24`,
  });
  replaceFile(
    file,
    `# Configuration of the cloud on this machine; docs/operations.md explains every key.\n${text}`,
    0o644,
  );
  return reason === undefined ? [] : [reason];
}

/** The administrator's first password. @throws Error naming the file */
export function adminPassword(directory: string): string {
  const file = path.join(directory, 'bootstrap.json');
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const password = (content as { admin_password?: unknown } | null)?.admin_password;
  if (typeof password !== 'string') throw new Error(`${file} holds no admin_password`);
  return password;
}

/** What the demo content needs to be repeated: its user's password, whether it was finished once, and who has it in
 * their clouds.yaml. */
export interface DemoState {
  readonly password: string;
  readonly finished: boolean;
  readonly users: readonly string[];
}

const demoFile = (directory: string): string => path.join(directory, 'demo.json');

/** Who has our entries in their clouds.yaml. */
export function knownUsers(directory: string): readonly string[] {
  return existsSync(demoFile(directory)) ? demoState(directory).users : [];
}

/** Reads demo.json, or makes it with a random password. */
export function demoState(directory: string): DemoState {
  const file = demoFile(directory);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as DemoState;
  const state = { password: randomBytes(18).toString('base64url'), finished: false, users: [] };
  saveDemoState(directory, state);
  return state;
}

/** Replaces demo.json, readable by root only. */
export function saveDemoState(directory: string, state: DemoState): void {
  replaceFile(demoFile(directory), `${JSON.stringify(state)}\n`, 0o600);
}
