// The part of `cumulet up` that talks to the running cloud: the first configuration, the demo content, the last screen.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { forgetHostKeys } from '../sshFiles';
import { asUser, callingUser, findUser, type CallingUser } from './callingUser';
import { cloudEntry, cloudsPath, writeClouds } from './cloudsFile';
import { adminPassword, configure, demoState, knownUsers, saveDemoState } from './configure';
import {
  ensureDemoNetwork,
  ensureFloatingIp,
  ensureHello,
  ensureKeypair,
  ensureOpenDoors,
  helloAddress,
} from './firstServer';
import { pingable, sshLine, sshOpens } from './reach';
import { ensureLanAddresses, withLanAddresses, type LanAddresses } from './lanAddresses';
import { withRemote } from './remote';
import { lastScreen } from './screen';
import { ApiError, signIn, type Session } from './session';
import { sshKey, type SshKey } from './sshKey';
import { step } from './steps';
import { ensureFlavors, ensureImage, ensurePublic, ensureQuota, ensureTenant, hostUp } from './tenancy';

const OPTIONS = {
  url: { type: 'string', default: 'http://127.0.0.1:5000' },
  config: { type: 'string', default: '/etc/cumulet' },
  data: { type: 'string', default: '/var/lib/cumulet' },
  logs: { type: 'string', default: '/var/log/cumulet' },
  image: { type: 'string', default: '' },
  user: { type: 'string', default: 'root' },
  command: { type: 'string', default: 'cumulet' },
  warnings: { type: 'string', default: '' },
  listen: { type: 'string', default: '' },
  cert: { type: 'string', default: '' },
  key: { type: 'string', default: '' },
  'floating-range': { type: 'string', default: '' },
  'floating-interface': { type: 'string', default: '' },
} as const;

/** The options of a run, all with a value. */
type Options = Readonly<Record<keyof typeof OPTIONS, string>>;

async function admin(options: Options): Promise<Session> {
  try {
    return await signIn(options.url, 'admin', adminPassword(options.config), 'admin');
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    throw new Error(
      `the administrator's password in ${options.config}/bootstrap.json is refused; if it was changed, put the new one there`,
      { cause: error },
    );
  }
}

/** What matters here of the configuration in use. */
interface Config {
  readonly external_address?: string;
  readonly remote_api?: object | null;
  readonly floating?: LanAddresses | null;
}

const configIn = (directory: string): Config =>
  (parse(readFileSync(path.join(directory, 'cumulet.yaml'), 'utf8')) as Config | null) ?? {};

/** First three numbers of the external network. */
const externalPrefix = ({ external_address = '172.24.4.1/24' }: Config): string =>
  external_address.split('.').slice(0, 3).join('.');

/** Floating IPs of the LAN, as the options of this run want them. */
async function lanAddresses(options: Options, root: Session, warn: (text: string) => void): Promise<void> {
  const lost = await ensureLanAddresses(root, configIn(options.config).floating ?? undefined);
  if (lost !== undefined) warn(lost);
}

/** Makes everything once; ends with a server that answers. */
async function demoContent(options: Options, warn: (text: string) => void): Promise<SshKey> {
  const state = demoState(options.config);
  const user = callingUser(options.user);
  const root = await admin(options);
  let projectId = '';
  let publicId = '';
  await step('Image', () => ensureImage(root, options.image));
  await step('Flavors', () => ensureFlavors(root));
  await step('Project demo', async () => {
    projectId = await ensureTenant(root, state.password);
    return ensureQuota(root, projectId);
  });
  const demo = await signIn(options.url, 'demo', state.password, 'demo');
  await step('Host', () => hostUp(root));
  let networkId = '';
  await step('Networks', async () => {
    publicId = await ensurePublic(root, externalPrefix(configIn(options.config)));
    await lanAddresses(options, root, warn);
    networkId = await ensureDemoNetwork(demo, publicId);
    await ensureOpenDoors(demo);
    return 'public, demo and a router';
  });
  const key = sshKey(user);
  const foreign = await ensureKeypair(demo, key.publicKey);
  if (foreign !== undefined) warn(foreign);
  let address = '';
  await step('Server hello', async (progress) => {
    const server = await ensureHello(demo, networkId, progress);
    address = await ensureFloatingIp(demo, server, publicId);
    return `${server.status}, ${address}`;
  });
  await step('Answers', async (progress) => {
    progress(`ping ${address}`);
    await pingable(address, 90);
    progress(`ssh ${address}`);
    const locked = await sshOpens(address, key, user, 60);
    if (locked !== undefined) warn(locked);
    return 'ping and ssh';
  });
  saveDemoState(options.config, { ...demoState(options.config), finished: true });
  return key;
}

/** After a reboot the servers are started again: waits for the first one, and warns when it stays silent. */
async function stillAnswers(demo: Session, warn: (text: string) => void): Promise<void> {
  const hello = await helloAddress(demo);
  if (hello?.status !== 'ACTIVE' || hello.address === undefined) return;
  const { address } = hello;
  await step('Server hello', async (progress) => {
    progress(`ping ${address}`);
    try {
      await pingable(address, 60);
      return `answers on ${address}`;
    } catch (error) {
      warn((error as Error).message);
      return 'no answer';
    }
  });
}

/** The line for logging in, as things are now; never a failure. */
async function loginLine(demo: Session, key: SshKey): Promise<string> {
  const hello = await helloAddress(demo);
  if (!hello) return '(the server hello was deleted: boot another one)';
  if (hello.address === undefined) return '(the server hello has no floating IP any more)';
  if (hello.status !== 'ACTIVE') return `${sshLine(hello.address, key)}   (hello is ${hello.status})`;
  return sshLine(hello.address, key);
}

/** Where other machines reach the cloud, if they are meant to. */
async function remoteAccess(options: Options, demo: Session): Promise<{ endpoint?: string; problem?: string }> {
  if (!configIn(options.config).remote_api) return {};
  const { access } = await demo.request<{ access: { endpoint: string | null } }>('cumulet', 'GET', '/access');
  if (access.endpoint !== null) return { endpoint: access.endpoint };
  return { problem: `the API is not open to other machines yet: ${options.logs}/cumulet.log says why` };
}

/** What the script warned of, and what is warned of here; all of it is in the log, as the last screen may have no room. */
function warnings(options: Options): { readonly all: readonly string[]; readonly warn: (text: string) => void } {
  const all: string[] = [];
  const warn = (text: string): void => {
    all.push(text);
    appendFileSync(path.join(options.logs, 'install.log'), `warning: ${text}\n`);
  };
  if (existsSync(options.warnings)) readFileSync(options.warnings, 'utf8').split('\n').filter(Boolean).forEach(warn);
  return { all, warn };
}

async function run(options: Options): Promise<void> {
  const { all, warn } = warnings(options);
  const before = demoState(options.config);
  const user = callingUser(options.user);
  const key = before.finished ? sshKey(user) : await demoContent(options, warn);
  const state = demoState(options.config);
  const { password } = state;
  if (!state.users.includes(user.name)) saveDemoState(options.config, { ...state, users: [...state.users, user.name] });
  const cloudsFile = writeClouds(user, {
    cumulet: cloudEntry(options.url, 'admin', adminPassword(options.config), 'admin'),
    'cumulet-demo': cloudEntry(options.url, 'demo', password, 'demo'),
  });
  if (key.made) warn(`an ssh key was made for you: ${key.privateFile}`);
  const demo = await signIn(options.url, 'demo', password, 'demo');
  if (before.finished) {
    await lanAddresses(options, await admin(options), warn);
    await stillAnswers(demo, warn);
  }
  const { endpoint, problem } = await remoteAccess(options, demo);
  if (problem !== undefined) warn(problem);
  const ssh = await loginLine(demo, key);
  const { url, data, logs, command } = options;
  console.log(lastScreen({ url, endpoint, ssh, cloudsFile, data, logs, command, warnings: all }).join('\n'));
}

/** Who has our entries. An account that was removed since has no file any more. */
const entryHolders = (directory: string): CallingUser[] =>
  knownUsers(directory).flatMap((name) => findUser(name) ?? []);

/** Takes our entries out of the user's files. Without any other cloud there, the host keys that they keep are of our servers. */
function leave(user: CallingUser): void {
  const file = writeClouds(user, { cumulet: undefined, 'cumulet-demo': undefined });
  asUser(user, () => {
    if (!existsSync(file)) forgetHostKeys(user.home);
  });
}

/** The configuration as the options want it, beside the one in use: it is checked before it takes that one's place. */
async function draftSettings(options: Options): Promise<void> {
  const file = path.join(options.config, 'cumulet.yaml');
  const before = readFileSync(file, 'utf8');
  const lan = { interface: options['floating-interface'], range: options['floating-range'] };
  const after = withLanAddresses(await withRemote(before, options), lan);
  if (after !== before) writeFileSync(`${file}.draft`, after);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [task = 'content'] = positionals;
  if (task === 'configure') {
    const warnings = configure(values.config, values.data);
    await draftSettings(values);
    if (values.warnings !== '') appendFileSync(values.warnings, warnings.map((text) => `${text}\n`).join(''));
  } else if (task === 'entries') {
    for (const { home } of entryHolders(values.config))
      console.log(`the entries cumulet and cumulet-demo in ${cloudsPath(home)}`);
  } else if (task === 'forget') {
    for (const user of entryHolders(values.config)) leave(user);
  } else {
    await run(values);
  }
}

main().catch((error: unknown) => {
  console.error(`cumulet: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
