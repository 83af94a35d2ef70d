// cumulet server ssh: into a server, with the address, user and key that fit it.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { flag, text, type Command, type Context, type Row } from '../command';
import { CliError, HttpError } from '../errors';
import { find, get, idOf } from '../resource';
import { knownHostsOf, privateKeyOf } from '../sshFiles';
import { attempt } from '../sshProbe';
import { isComing, isYoung, untilLogin, untilThere } from '../sshWait';
import { failureOf } from '../wait';
import { image, keypair, server } from './resources';

/** The user that stock images of a system let in, by the image's os_distro. */
const USERS: ReadonlyMap<unknown, string> = new Map([
  ['almalinux', 'almalinux'],
  ['debian', 'debian'],
  ['fedora', 'fedora'],
  ['rocky', 'rocky'],
  ['tiny', 'root'],
  ['ubuntu', 'ubuntu'],
]);
/** What brings a server back that does not run. */
const REMEDY: ReadonlyMap<unknown, string> = new Map([
  ['SHUTOFF', 'start'],
  ['PAUSED', 'unpause'],
  ['SUSPENDED', 'resume'],
  ['SHELVED', 'unshelve'],
  ['SHELVED_OFFLOADED', 'unshelve'],
]);
/** In these it runs. */
const RUNNING: readonly unknown[] = ['ACTIVE', 'VERIFY_RESIZE', 'RESCUE', 'PASSWORD', 'REBOOT', 'MIGRATING'];
/** Guests under emulation, on a machine with others, boot in one minute or two. */
const WAIT_SECONDS = 180;

interface Address {
  readonly addr: string;
  readonly version: number;
  readonly 'OS-EXT-IPS:type': string;
}

/** The sentence for a server without floating IP, with the command that gives it one. */
async function withoutFloating({ api }: Context, row: Row): Promise<string> {
  const [ports, outside] = await Promise.all([
    api.list('network', '/ports', 'ports', { device_id: row['id'] }),
    api.list('network', '/networks', 'networks', { 'router:external': 'True' }),
  ]);
  const said = `server ${String(row['name'])} has no floating IP`;
  const [port, network] = [ports[0], outside[0]];
  if (!port || !network) return `${said}, and there is ${port ? 'no external network' : 'no port'} for one`;
  const create = `cumulet floating ip create --port ${String(port['id'])} ${String(network['name'])}`;
  return `${said}: make one with "${create}", or give --fixed if this machine reaches its fixed address`;
}

async function addressOf(context: Context, row: Row): Promise<string> {
  const all = Object.values(row['addresses'] as Record<string, readonly Address[]>).flat();
  const floating = all.find((each) => each['OS-EXT-IPS:type'] === 'floating');
  if (context.input.flag('fixed')) {
    const fixed = all.filter((each) => each['OS-EXT-IPS:type'] === 'fixed');
    const chosen = fixed.find(({ version }) => version === 4) ?? fixed[0];
    if (!chosen) throw new CliError(`server ${String(row['name'])} has no address`);
    return chosen.addr;
  }
  if (!floating) throw new CliError(await withoutFloating(context, row));
  return floating.addr;
}

/** The image a server was made of, if it has one that is still there. */
async function imageOf({ api }: Context, row: Row): Promise<Row> {
  // A server that boots from a volume has an empty text here.
  const { id } = Object(row['image']) as { readonly id?: string };
  if (id === undefined) return {};
  try {
    return await get(api, image, id);
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) return {};
    throw error;
  }
}

async function userOf(context: Context, row: Row): Promise<string> {
  const given = context.input.text('user');
  if (given !== undefined) return given;
  const made = await imageOf(context, row);
  const named = made['os_admin_user'];
  const user = typeof named === 'string' ? named : USERS.get(made['os_distro']);
  if (user !== undefined) return user;
  const name = typeof made['name'] === 'string' ? made['name'] : 'IMAGE';
  throw new CliError(
    `the image of server ${String(row['name'])} does not say which user it lets in: give --user, or tell it to the image with "cumulet image set --property os_admin_user=USER ${name}"`,
  );
}

async function keyOf({ api, input }: Context, row: Row): Promise<string> {
  const given = input.text('identity');
  if (given !== undefined) return given;
  const [server, name] = [String(row['name']), row['key_name']];
  const give = 'name the file of a private key with --identity';
  if (typeof name !== 'string') throw new CliError(`server ${server} was made without a keypair: ${give}`);
  const owner = new URLSearchParams({ user_id: String(row['user_id']) }).toString();
  const { user } = await api.token();
  const query = user.id === row['user_id'] ? '' : `?${owner}`;
  let pair: Row;
  try {
    const answer = await api.json('compute', 'GET', `${keypair.path}/${encodeURIComponent(name)}${query}`);
    pair = answer['keypair'] as Row;
  } catch (error) {
    if (!(error instanceof HttpError) || ![403, 404].includes(error.status)) throw error;
    throw new CliError(`keypair ${name} of server ${server} is not there or not yours: ${give}`);
  }
  const file = privateKeyOf(String(pair['public_key']));
  if (file !== undefined) return file;
  throw new CliError(
    `no key in ~/.ssh fits keypair ${name} (${String(pair['fingerprint'])}) of server ${server}: ${give}`,
  );
}

function checkRuns(row: Row): void {
  if (RUNNING.includes(row['status'])) return;
  if (row['status'] === 'ERROR') throw failureOf(row);
  const [name, status] = [String(row['name']), String(row['status'])];
  const verb = REMEDY.get(status);
  throw new CliError(
    `server ${name} is ${status}${verb === undefined ? `; "cumulet server why ${name}" tells more` : `: cumulet server ${verb} ${name}`}`,
  );
}

/** What tells the disk that a server runs from apart from those it had before, whose host keys say nothing about this one: the request
 * that made it. @returns undefined for the first one */
function diskOf(actions: readonly Row[]): string | undefined {
  const made = actions
    .filter(({ action }) => action === 'rebuild' || action === 'evacuate')
    .sort((one, other) => String(other['start_time']).localeCompare(String(one['start_time'])));
  return made[0] && String(made[0]['request_id']);
}

/** The seconds of --wait. @throws CliError with status 2 when it says none */
function secondsOf({ input }: Context): number | undefined {
  const seconds = input.number('wait');
  if (seconds !== undefined && seconds < 0) throw new CliError('--wait takes seconds, 0 or more', 2);
  return seconds;
}

/** What the clock of the cloud is ahead of this machine's, in milliseconds; asked when it has just signed in. */
const clockAhead = async ({ api }: Context): Promise<number> => Date.parse((await api.token()).issued_at) - Date.now();

/** Runs ssh on this terminal. @returns its exit status; as a shell's when a signal ended it */
function runSsh(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh', args, { stdio: 'inherit' });
    child.once('error', (error) => reject(new CliError(`ssh could not be run (is it installed?): ${error.message}`)));
    child.once('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : Number(code)));
  });
}

/** The words of ssh up to the address. After -- nothing of the command is an option of ssh's own. */
function wordsOf(id: string, address: string, user: string, key: string, hostKeys: string): readonly string[] {
  const settings = [
    `HostKeyAlias=${id}`,
    `UserKnownHostsFile=${hostKeys}`,
    'StrictHostKeyChecking=accept-new',
    'CheckHostIP=no',
    'IdentitiesOnly=yes',
  ].flatMap((setting) => ['-o', setting]);
  return [...settings, '-i', key, '-l', user, '--', address];
}

/** The server as it is, or as it is when what brings it up now is done. What is missing for the login is told before that. */
async function arrived(context: Context, id: string, end: number): Promise<Row> {
  const row = await get(context.api, server, id);
  if (performance.now() >= end || !isComing(row)) return row;
  await Promise.all([userOf(context, row), keyOf(context, row)]);
  return untilThere(context, id, end);
}

const ssh: Command = {
  name: 'server ssh',
  summary: 'Log in to a server, or run a command in it; one that still boots is waited for',
  example: 'hello -- uname -a',
  args: ['server', '[-- command...]'],
  options: {
    user: text("who to log in as; the image's os_admin_user or that of its os_distro unless said", 'USER'),
    identity: text("private key; the one of ~/.ssh that fits the server's keypair unless said", 'FILE'),
    fixed: flag('use its fixed address, which this machine must reach'),
    'forget-host-key': flag('take its new host key, when its owner has changed it'),
    wait: text(
      `longest wait for a login, 0 for none; unless said ${WAIT_SECONDS} when it was started less than 3 minutes ago, else none`,
      'SECONDS',
    ),
  },
  async run(context) {
    const { api, input, progress } = context;
    const wanted = secondsOf(context);
    const seconds = wanted ?? WAIT_SECONDS;
    const end = performance.now() + seconds * 1000;
    const id = idOf(server, await find(api, server, input.arg(0)));
    const ahead = await clockAhead(context);
    const row = await arrived(context, id, end);
    checkRuns(row);
    const address = await addressOf(context, row);
    const [user, key, actions] = await Promise.all([
      userOf(context, row),
      keyOf(context, row),
      api.list('compute', `${server.path}/${id}/os-instance-actions`, 'instanceActions'),
    ]);
    // ssh replaces words with % in the name of a file, and splits it at spaces outside of quotes.
    const known = `"${knownHostsOf(id, diskOf(actions), input.flag('forget-host-key')).replaceAll('%', '%%')}"`;
    const young = (): boolean => isYoung(row, actions, Date.now() + ahead, seconds);
    // A guest that boots may make its host keys anew: those of an attempt must fit what is known, but only those of the login are kept.
    const trial = wordsOf(id, address, user, key, `/dev/null ${known}`);
    if (wanted === undefined ? young() : wanted > 0)
      await untilLogin({
        ...{ name: String(row['name']), address, user, seconds, end, young, progress },
        attempt: (milliseconds) => attempt(trial, milliseconds),
      });
    return { text: '', exit: await runSsh([...wordsOf(id, address, user, key, known), ...input.args.slice(1)]) };
  },
};

export const commands: readonly Command[] = [ssh];
