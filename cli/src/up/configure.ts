// The first configuration: written once, an existing one is the administrator's.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';

/** The external network's bridge, which the cloud makes: its own route is no collision. */
const EXTERNAL_BRIDGE = 'cml-ext';

/** An IPv4 address as a number. */
export const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

function range(cidr: string): readonly [number, number] {
  const [address = '', length = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(toNumber(address) / size) * size;
  return [first, first + size - 1];
}

/** Whether an IPv4 address is in a network. */
export function contains(cidr: string, address: string): boolean {
  const [first, last] = range(cidr);
  const value = toNumber(address);
  return value >= first && value <= last;
}

/** A route of this machine: its destination and the interface it leads to. */
export interface Route {
  readonly dst: string;
  readonly dev?: string;
}

/** The first three numbers of the external /24: 172.24.4, or the next one that no route of this machine touches.
 * @returns the prefix, and why it is not the usual one */
export function externalPrefix(routes: readonly Route[]): { prefix: string; reason?: string } {
  const others = routes.filter(({ dst, dev }) => dst !== 'default' && dst.includes('.') && dev !== EXTERNAL_BRIDGE);
  const collision = (prefix: string): Route | undefined => {
    const [first, last] = range(`${prefix}.0/24`);
    return others.find(({ dst }) => {
      const [from, to] = range(dst);
      return from <= last && to >= first;
    });
  };
  const usual = collision('172.24.4');
  if (!usual) return { prefix: '172.24.4' };
  for (let third = 5; third < 256; third += 1) {
    const prefix = `172.24.${third}`;
    if (!collision(prefix)) {
      return {
        prefix,
        reason: `floating IPs are in ${prefix}.0/24, as 172.24.4.0/24 meets the route ${usual.dst} of ${usual.dev ?? 'this machine'}`,
      };
    }
  }
  throw new Error(
    'every network from 172.24.4.0/24 to 172.24.255.0/24 meets a route of this machine: set external_address in the configuration',
  );
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
  const routes = JSON.parse(execFileSync('ip', ['-json', '-4', 'route'], { encoding: 'utf8' })) as Route[];
  const { prefix, reason } = externalPrefix(routes);
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
