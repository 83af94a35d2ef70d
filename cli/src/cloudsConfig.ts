// Which cloud is meant and who asks: options of the command line, then OS_* variables, then clouds.yaml.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CliError } from './errors';
import { didYouMean } from './suggest';

/** The settings, named as in clouds.yaml; `--os-auth-url` and OS_AUTH_URL are `auth_url`. */
export const SETTINGS = {
  auth_url: 'where identity is, as http://127.0.0.1:5000/v3',
  username: 'name of the user',
  user_id: 'id of the user',
  password: 'password of the user',
  token: 'a token instead of a password',
  project_name: 'name of the project',
  project_id: 'id of the project',
  user_domain_name: 'domain of the user (Default)',
  user_domain_id: 'id of the domain of the user',
  project_domain_name: 'domain of the project (Default)',
  project_domain_id: 'id of the domain of the project',
  system_scope: '"all" for a token of the whole system',
  region_name: 'region of the endpoints',
  interface: 'kind of endpoint (public)',
} as const;

export type Setting = keyof typeof SETTINGS;
export type Settings = Partial<Readonly<Record<Setting, string>>>;

/** Where clouds.yaml is looked for, in this order: OS_CLIENT_CONFIG_FILE, here, the user's, the machine's. */
function cloudsFiles(env: NodeJS.ProcessEnv, directory: string): string[] {
  const home = env['XDG_CONFIG_HOME'] ?? path.join(env['HOME'] ?? '/root', '.config');
  const places = [directory, path.join(home, 'openstack'), '/etc/openstack'];
  const named = env['OS_CLIENT_CONFIG_FILE'];
  return [
    ...(named === undefined ? [] : [named]),
    ...places.flatMap((place) => [path.join(place, 'clouds.yaml'), path.join(place, 'clouds.yml')]),
  ];
}

type Entry = Readonly<Record<string, unknown>>;

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

async function cloudsOf(file: string): Promise<Readonly<Record<string, unknown>>> {
  let content: unknown;
  try {
    content = (await import('yaml')).parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(`${file} could not be read: ${(error as Error).message.split('\n')[0] ?? ''}`);
  }
  const clouds = isEntry(content) ? content['clouds'] : undefined;
  return isEntry(clouds) ? clouds : {};
}

/** The entry's settings, those below `auth` first. */
function settingsOf(entry: unknown): Settings {
  if (!isEntry(entry)) return {};
  const auth = isEntry(entry['auth']) ? entry['auth'] : {};
  const found: Partial<Record<Setting, string>> = {};
  for (const name of Object.keys(SETTINGS) as Setting[]) {
    const value = auth[name] ?? entry[name];
    if (typeof value === 'string' || typeof value === 'number') found[name] = String(value);
  }
  return found;
}

/** A more specific statement replaces the other way to say the same. */
const ALTERNATIVES: readonly (readonly Setting[])[] = [
  ['username', 'user_id'],
  ['password', 'token'],
  ['project_name', 'project_id', 'system_scope'],
  ['user_domain_name', 'user_domain_id'],
  ['project_domain_name', 'project_domain_id'],
];

function over(base: Settings, more: Settings): Settings {
  const kept: Partial<Record<Setting, string>> = { ...base };
  for (const group of ALTERNATIVES)
    if (group.some((name) => more[name] !== undefined)) for (const name of group) delete kept[name];
  return { ...kept, ...more };
}

async function fromFile(name: string | undefined, files: readonly string[]): Promise<Settings> {
  const file = files.find((each) => existsSync(each));
  if (file === undefined) {
    if (name === undefined) return {};
    throw new CliError(`cloud "${name}" is not known: there is no clouds.yaml (looked for ${files.join(', ')})`);
  }
  const clouds = await cloudsOf(file);
  const names = Object.keys(clouds);
  if (name === undefined) {
    if (names.length > 1)
      throw new CliError(`which cloud? Give --os-cloud or OS_CLOUD; ${file} has ${names.join(', ')}`);
    return settingsOf(clouds[names[0] ?? '']);
  }
  if (!(name in clouds))
    throw new CliError(
      `${file} has no cloud "${name}"${didYouMean(name, names) || (names.length > 0 ? ` (it has ${names.join(', ')})` : '')}`,
    );
  return settingsOf(clouds[name]);
}

/** The settings in force. @throws CliError in words when no cloud is named, or the named one is not there */
export async function settings(
  options: Settings,
  cloud: string | undefined,
  env: NodeJS.ProcessEnv,
  directory: string,
): Promise<Settings> {
  const fromEnv: Partial<Record<Setting, string>> = {};
  for (const name of Object.keys(SETTINGS) as Setting[]) {
    const value = env[`OS_${name.toUpperCase()}`];
    if (value !== undefined && value !== '') fromEnv[name] = value;
  }
  const name = cloud ?? (env['OS_CLOUD'] || undefined);
  const direct = over(fromEnv, options);
  const base =
    name === undefined && direct.auth_url !== undefined ? {} : await fromFile(name, cloudsFiles(env, directory));
  const found = over(over(base, fromEnv), options);
  if (found.auth_url === undefined)
    throw new CliError('no cloud is named: give --os-cloud, set OS_CLOUD or OS_AUTH_URL, or write a clouds.yaml');
  return found;
}
