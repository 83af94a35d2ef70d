// cumulet cloud export: the entry of clouds.yaml with which another machine, as a laptop, reaches this cloud.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Token } from '../api';
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError } from '../errors';
import { find, get } from '../resource';
import { cloudEntry, mergeClouds, type CloudEntry } from '../up/cloudsFile';
import { domain, project, user } from './resources';

/** Where clients look for clouds.yaml on the other machine. */
const PLACE = '~/.config/openstack';

interface Access {
  readonly endpoint: string | null;
  readonly ca: string | null;
}

/** A name and its domain, as clouds.yaml has them. */
interface Named {
  readonly name: string;
  readonly domain: string;
}

export interface Login {
  readonly user: Named;
  readonly project: Named;
  readonly password?: string;
}

/** Where other machines reach the cloud, if they do, and the CA they need. */
export const readAccess = async ({ api }: Context): Promise<Access> =>
  ((await api.json('cumulet', 'GET', '/access')) as unknown as { access: Access }).access;

async function accessOf(context: Context): Promise<Access & { readonly endpoint: string }> {
  const access = await readAccess(context);
  const { endpoint } = access;
  if (endpoint === null)
    throw new CliError(
      'the cloud listens on its own machine only: run "sudo cumulet up --listen ADDRESS" there, or leave its clouds.yaml as it is and use a tunnel, "ssh -N -L 5000:127.0.0.1:5000 MACHINE"',
    );
  return { ...access, endpoint };
}

/** Who asks, with the password that is in use. */
function ownLogin({ api }: Context, token: Token): Login {
  const { user: caller, project: scope } = token;
  if (!scope) throw new CliError('you are signed in to no project: name one with --os-project-name');
  const named = ({ name, domain: of }: { readonly name: string; readonly domain?: { readonly name: string } }) => ({
    name,
    domain: of?.name ?? 'Default',
  });
  const { password } = api.settings;
  return { user: named(caller), project: named(scope), ...(password === undefined ? {} : { password }) };
}

/** Another user, in the project named or the first one of theirs. Nobody knows their password. */
async function loginOf({ api, input }: Context, name: string): Promise<Login> {
  const named = async (row: Row): Promise<Named> => ({
    name: String(row['name']),
    domain: String((await get(api, domain, String(row['domain_id'])))['name']),
  });
  const who = await find(api, user, name);
  const wanted = input.text('project');
  if (wanted !== undefined) return { user: await named(who), project: await named(await find(api, project, wanted)) };
  const rows = await api.list('identity', '/role_assignments', 'role_assignments', {
    'user.id': who['id'],
    effective: '',
  });
  const first = rows
    .map((row) => (row['scope'] as { readonly project?: { readonly id: string } }).project?.id)
    .find((id) => id !== undefined);
  const id = typeof who['default_project_id'] === 'string' ? who['default_project_id'] : first;
  if (id === undefined)
    throw new CliError(`user ${name} has a role in no project: give one, or name it with --project`);
  return { user: await named(who), project: await named(await get(api, project, id)) };
}

async function wantedLogin(context: Context): Promise<Login> {
  const other = context.input.text('user');
  return other === undefined ? ownLogin(context, await context.api.token()) : loginOf(context, other);
}

async function entryOf({ api }: Context, login: Login, endpoint: string, cacert?: string): Promise<CloudEntry> {
  const token = await api.token();
  const { auth, ...entry } = cloudEntry(endpoint, login.user.name, login.password, login.project.name);
  const region = api.settings.region_name ?? token.catalog[0]?.endpoints[0]?.region ?? entry.region_name;
  const domains = { user_domain_name: login.user.domain, project_domain_name: login.project.domain };
  return { auth: { ...auth, ...domains }, ...entry, region_name: region, ...(cacert === undefined ? {} : { cacert }) };
}

/** Writes what belongs on the other machine; entries that are in a file of the directory stay. */
function writeTo(
  directory: string,
  name: string,
  entry: CloudEntry,
  authority: { file: string; ca: string } | undefined,
): string {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const clouds = path.join(directory, 'clouds.yaml');
    const before = existsSync(clouds) ? readFileSync(clouds, 'utf8') : '';
    writeFileSync(clouds, mergeClouds(before, { [name]: entry }, clouds), { mode: 0o600 });
    const written = [clouds];
    if (authority) {
      written.push(path.join(directory, authority.file));
      writeFileSync(path.join(directory, authority.file), authority.ca, { mode: 0o644 });
    }
    return `Written: ${written.join(', ')}. On the other machine they belong into ${PLACE}.`;
  } catch (error) {
    throw new CliError(`${directory}: nothing could be written: ${(error as Error).message}`);
  }
}

/** What a login needs on another machine: files in the directory that --directory names, else the entry as text. */
export async function handOver(
  context: Context,
  login: Login,
  { endpoint, ca }: { readonly endpoint: string; readonly ca: string | null },
  name: string,
): Promise<string> {
  const authority = ca === null ? undefined : { file: `${name}-ca.pem`, ca };
  const cacert = authority && `${PLACE}/${authority.file}`;
  const entry = await entryOf(context, login, endpoint, cacert);
  const directory = context.input.text('directory');
  if (directory !== undefined) return writeTo(directory, name, entry, authority);
  const notes = [
    `# For ${PLACE}/clouds.yaml of the other machine.`,
    ...(cacert === undefined ? [] : [`# Its CA: cumulet cloud export --cacert > ${cacert}`]),
    ...(entry.auth.password === undefined ? ['# The password is asked for.'] : []),
  ];
  return [...notes, mergeClouds('', { [name]: entry }).trimEnd()].join('\n');
}

const cloudExport: Command = {
  name: 'cloud export',
  summary: 'Show the entry of clouds.yaml with which another machine reaches this cloud',
  example: '--directory laptop',
  options: {
    user: text('administrators: for this user instead of yourself, without password', 'USER'),
    project: text('with --user: the project to work in instead of the first one', 'PROJECT'),
    name: text('what the cloud is called there (cumulet)', 'NAME'),
    directory: text('write clouds.yaml and the file of the CA into this directory', 'DIRECTORY'),
    cacert: flag('show the CA instead, as a PEM file'),
  },
  async run(context) {
    const { input } = context;
    const { endpoint, ca } = await accessOf(context);
    if (input.flag('cacert')) {
      if (ca !== null) return { text: ca.trimEnd() };
      throw new CliError(
        "the cloud's certificate is by an authority that other machines know: there is no CA to take along",
      );
    }
    const name = input.text('name') ?? 'cumulet';
    if (!/^[\w.-]+$/.test(name)) throw new CliError(`--name takes letters, digits, dots and dashes, not "${name}"`, 2);
    return { text: await handOver(context, await wantedLogin(context), { endpoint, ca }, name) };
  },
};

export const commands: readonly Command[] = [cloudExport];
