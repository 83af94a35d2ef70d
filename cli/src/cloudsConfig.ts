// Which cloud is meant and who asks: options of the command line, then OS_* variables, then clouds.yaml.
/* eslint-disable @typescript-eslint/no-require-imports -- loaded when needed; import() is slower */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CliError } from './errors';
import { didYouMean } from './suggest';

/** The settings, named as in clouds.yaml; `--os-auth-url` and OS_AUTH_URL are `auth_url`. */
export const SETTINGS = {
  auth_url: 'where identity is, as http://127.0.0.1:5000/v3',
  username: 'name of the user',
  user_id: 'id of the user',
  password: 'password of the user; asked for on a terminal',
  token: 'a token instead of a password',
  project_name: 'name of the project',
  project_id: 'id of the project',
  domain_name: 'name of a domain for a token of that domain',
  domain_id: 'id of a domain for a token of that domain',
  user_domain_name: 'domain of the user (Default)',
  user_domain_id: 'id of the domain of the user',
  project_domain_name: 'domain of the project (Default)',
  project_domain_id: 'id of the domain of the project',
  system_scope: '"all" for a token of the whole system',
  region_name: 'region of the endpoints',
  interface: 'kind of endpoint (public)',
  compute_api_version: 'microversion of compute (2.79)',
  cacert: "file with the authorities that are trusted instead of the system's",
  verify: 'no: take any certificate',
  insecure: 'yes: take any certificate',
} as const;

export type Setting = keyof typeof SETTINGS;
export type Settings = Partial<Readonly<Record<Setting, string>>>;
export const settingNames = Object.keys(SETTINGS) as Setting[];

/** What else people write for a setting. */
const ALIASES: Partial<Record<Setting, string>> = {
  project_name: 'tenant_name',
  project_id: 'tenant_id',
  interface: 'endpoint_type',
};

type Env = Readonly<Record<string, string | undefined>>;

/** Where clouds.yaml (or secure.yaml) is looked for, in this order: as the variable says, here, the user's, the machine's. */
function places(name: string, variable: string, env: Env, directory: string): string[] {
  const home = env['XDG_CONFIG_HOME'] || path.join(env['HOME'] || '/root', '.config');
  const site = (env['XDG_CONFIG_DIRS'] || '/etc/xdg').split(':');
  const directories = [directory, ...[home, ...site, '/etc'].map((place) => path.join(place, 'openstack'))];
  const named = env[variable];
  return [
    ...(named ? [named] : []),
    ...directories.flatMap((place) => ['yaml', 'yml', 'json'].map((ending) => path.join(place, `${name}.${ending}`))),
  ];
}

type Entry = Readonly<Record<string, unknown>>;

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function cloudsOf(file: string): Entry {
  let content: unknown;
  try {
    content = (require('yaml') as typeof import('yaml')).parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(`${file} could not be read: ${(error as Error).message.replace(/\n.*/s, '')}`);
  }
  const clouds = isEntry(content) ? content['clouds'] : undefined;
  return isEntry(clouds) ? clouds : {};
}

/** The settings that `valueOf` knows by their names, or by what else they are called. */
function pick(valueOf: (name: string) => unknown): Settings {
  const found: Partial<Record<Setting, string>> = {};
  for (const name of settingNames) {
    const alias = ALIASES[name];
    const value = valueOf(name) ?? (alias === undefined ? undefined : valueOf(alias));
    if (['string', 'number', 'boolean'].includes(typeof value) && value !== '') found[name] = String(value);
  }
  // They stand for both domains of names.
  const domainId = valueOf('default_domain_id');
  const domainName = valueOf('default_domain_name') ?? valueOf('default_domain');
  for (const owner of ['user_domain', 'project_domain'] as const) {
    if (found[`${owner}_id`] !== undefined || found[`${owner}_name`] !== undefined) continue;
    if (typeof domainId === 'string' && domainId !== '') found[`${owner}_id`] = domainId;
    else if (typeof domainName === 'string' && domainName !== '') found[`${owner}_name`] = domainName;
  }
  return found;
}

/** The entry's settings, those below `auth` first. */
function settingsOf(entry: unknown): Settings {
  if (!isEntry(entry)) return {};
  const auth = isEntry(entry['auth']) ? entry['auth'] : {};
  return pick((name) => auth[name] ?? entry[name]);
}

/** A more specific statement replaces the other ways to say the same. */
const ALTERNATIVES: readonly (readonly Setting[])[] = [
  ['username', 'user_id'],
  ['password', 'token'],
  ['project_name', 'project_id', 'domain_name', 'domain_id', 'system_scope'],
  ['user_domain_name', 'user_domain_id'],
  ['project_domain_name', 'project_domain_id'],
  ['verify', 'insecure'],
];

function over(base: Settings, more: Settings): Settings {
  const kept: Partial<Record<Setting, string>> = { ...base };
  for (const group of ALTERNATIVES)
    if (group.some((name) => more[name] !== undefined)) for (const name of group) delete kept[name];
  return { ...kept, ...more };
}

function fromFile(name: string | undefined, env: Env, directory: string): Settings {
  const files = places('clouds', 'OS_CLIENT_CONFIG_FILE', env, directory);
  const file = files.find((each) => existsSync(each));
  if (file === undefined) {
    if (name === undefined) return {};
    throw new CliError(`cloud "${name}" is not known: there is no clouds.yaml (looked for ${files.join(', ')})`);
  }
  const clouds = cloudsOf(file);
  const names = Object.keys(clouds);
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  if (chosen === undefined) {
    if (names.length === 0) return {};
    throw new CliError(`which cloud? Give --os-cloud or OS_CLOUD; ${file} has ${names.join(', ')}`);
  }
  if (!(chosen in clouds))
    throw new CliError(
      `${file} has no cloud "${chosen}"${didYouMean(chosen, names) || (names.length > 0 ? ` (it has ${names.join(', ')})` : '')}`,
    );
  const secret = places('secure', 'OS_CLIENT_SECURE_FILE', env, directory).find((each) => existsSync(each));
  const secrets = secret === undefined ? {} : settingsOf(cloudsOf(secret)[chosen]);
  return over(settingsOf(clouds[chosen]), secrets);
}

/** The settings in force; `otherwise` says them where neither options nor variables name a cloud. @throws CliError in words when no cloud is named, or the named one is not there */
export function settings(
  options: Settings,
  cloud: string | undefined,
  env: Env,
  directory: string,
  otherwise: () => Settings | undefined = () => undefined,
): Settings {
  const fromEnv = pick((name) => env[`OS_${name.toUpperCase()}`] || undefined);
  const name = cloud ?? (env['OS_CLOUD'] || undefined);
  const direct = over(fromEnv, options);
  const unnamed = name === undefined && direct.auth_url === undefined ? otherwise() : undefined;
  if (unnamed) return unnamed;
  const base = name === undefined && direct.auth_url !== undefined ? {} : fromFile(name, env, directory);
  const found = over(over(base, fromEnv), options);
  if (found.auth_url !== undefined) return found;
  throw new CliError(
    name === undefined
      ? 'no cloud is named: give --os-cloud, set OS_CLOUD or OS_AUTH_URL, or write a clouds.yaml'
      : `cloud "${name}" has no auth_url`,
  );
}
