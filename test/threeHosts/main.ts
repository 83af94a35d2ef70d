// npm run lab up [--shared-disks]|status|off HOST|count|down: three hosts on this machine. CUMULET_LAB names one of several labs.
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '@cumulet/common';
import { root } from '../support/checkout';
import { connect, PASSWORD } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';
import { ensureContent } from './content';
import { ask, hold, lives, outerIds, placeOf, remove, type Place } from './place';
import { SHARED_DISKS, type LabState } from './state';

const USAGE = `usage: npm run lab COMMAND   (as root)

  up         start the lab, or what does not run of it; with -- --shared-disks, when it is made, all hosts have one directory of disks
  status     hosts, processes and servers
  off HOST   cut a host's power; "up" boots it again
  count      look for things that no server, port or network has, with a script that shares no code with the cloud
  down       end everything and remove it`;

/** What its caller needs to be the administrator. */
interface Access {
  readonly net: string;
  readonly url: string;
}

const accessOf = (net: string): Access => ({ net, url: `http://${net}.254:5000` });
const openrc = ({ url }: Access): string =>
  [
    `export OS_AUTH_URL=${url}/v3 OS_IDENTITY_API_VERSION=3`,
    `export OS_USERNAME=admin OS_PASSWORD=${PASSWORD} OS_PROJECT_NAME=admin`,
    'export OS_USER_DOMAIN_ID=default OS_PROJECT_DOMAIN_ID=default OS_REGION_NAME=RegionOne',
    '',
  ].join('\n');

const readAccess = (place: Place): Access => accessOf(readFileSync(place.file('net'), 'utf8'));

/** What to try, in the order of a story. */
const screen = (place: Place, { url }: Access): string => `
The lab is up: ${url}/v3 (second controller: port 5001), user admin, password ${PASSWORD}
  . ${place.file('openrc')}      # for cumulet, openstack and others

Try, from ${root}:
  for n in 1 2 3; do ./cumulet server create --image tiny --flavor m1.nano --network demo \\
    --key-name lab --availability-zone nova:host-$n --wait server-$n; done
  ./cumulet floating ip create public; ./cumulet server add floating ip server-1 ADDRESS; ping ADDRESS
  ssh -i ${place.file('key')} root@ADDRESS        # from there ping the other servers' addresses
  ./cumulet server migrate --live-migration --wait server-1
  ./cumulet host drain host-1; ./cumulet host undrain host-1
  npm run lab off host-2                    # as a power cut; then, when it is known to be down:
  ./cumulet server evacuate server-2        # the lab's fencing command makes sure that host-2 is off
  ./cumulet audit; npm run lab count

  npm run lab status     what runs where, with process ids to kill
  npm run lab up         starts again what does not run
  npm run lab down       ends and removes everything
Logs: ${place.directory}`;

/** Keeps others out for as long as this process lives: the name is gone with it. */
async function lock({ link }: Place): Promise<void> {
  await new Promise<void>((done, fail) => {
    const server = createServer().once('error', () => fail(new Error('another "npm run lab" is at work')));
    server.listen(`\0cumulet-${link}`, done).unref();
  });
}

/** Follows the start, and tells each part. @throws Error with the reason when it failed */
async function started(place: Place): Promise<void> {
  let ended = false;
  const work = ask(place, 'POST', '/up').finally(() => (ended = true));
  work.catch(() => undefined);
  for (let told = ''; !ended; await pause(300)) {
    const { doing } = await ask<LabState>(place, 'GET', '/state');
    if (doing !== null && doing !== '' && doing !== told) console.log(`starting ${(told = doing)}`);
  }
  await work;
}

async function up(place: Place, options: readonly string[]): Promise<void> {
  // Outside: inside there is no way to the distribution's packages.
  const image = tinyImage();
  if (!lives(place) || !existsSync(place.file('net'))) {
    await remove(place);
    const net = `198.${18 + randomInt(2)}.${randomInt(256)}`;
    await hold(place, net, options);
    writeFileSync(place.file('net'), net);
  }
  const access = readAccess(place);
  await started(place);
  writeFileSync(place.file('openrc'), openrc(access), { mode: 0o600 });
  await ensureContent(await connect(access.url), image, access.net, place.file('key'));
  console.log(screen(place, access));
}

interface Shown {
  readonly name: string;
  readonly status: string;
  readonly addresses: Record<string, { readonly addr: string }[]>;
  readonly 'OS-EXT-SRV-ATTR:host': string | null;
}

async function servers(place: Place): Promise<readonly Shown[]> {
  const client = await connect(readAccess(place).url);
  return (await client.call<{ servers: Shown[] }>('GET', '/compute/v2.1/servers/detail?all_tenants=1')).servers;
}

async function status(place: Place): Promise<void> {
  if (!lives(place)) throw new Error('the lab does not run: "npm run lab up" starts it');
  const { doing, failure, hosts, processes } = await ask<LabState>(place, 'GET', '/state');
  const ids = outerIds(place);
  const line = (...words: string[]): void =>
    console.log(
      words
        .map((word) => word.padEnd(14))
        .join(' ')
        .trimEnd(),
    );
  if (doing !== null) console.log(`being started: ${doing}`);
  if (failure !== null) console.log(`the last start failed: ${failure}`);
  for (const { name, on, directory } of hosts) line('host', name, on ? 'on' : 'off', directory);
  for (const { name, host, runs, pid } of processes)
    line('process', name, runs ? 'runs' : 'ended', host ?? '-', pid === undefined ? '' : `pid ${ids.get(pid) ?? '?'}`);
  const shown = await servers(place).catch((error: unknown) => {
    line('servers', 'unknown:', `controller-1 does not answer (${messageOf(error)})`);
    return [];
  });
  for (const { name, status: is, addresses, 'OS-EXT-SRV-ATTR:host': host } of shown) {
    const all = Object.values(addresses).flat();
    line('server', name, is, host ?? '-', all.map(({ addr }) => addr).join(' '));
  }
}

async function count(place: Place): Promise<void> {
  const found = await ask<string[]>(place, 'GET', '/orphans');
  for (const each of found) console.log(each);
  console.log(`${found.length} found`);
  if (found.length > 0) process.exitCode = 1;
}

async function main([command = '', ...args]: readonly string[]): Promise<void> {
  const place = placeOf(process.env['CUMULET_LAB'] ?? 'own');
  if (process.getuid?.() !== 0) throw new Error('a lab needs root');
  if (command === 'status') return status(place);
  if (command === 'count') return count(place);
  if (command === 'off') return void (await ask(place, 'POST', `/off/${args[0] ?? ''}`));
  await lock(place);
  if (command === 'up' && args.every((arg) => arg === SHARED_DISKS)) return up(place, args);
  if (command === 'down') return remove(place);
  throw new Error(USAGE);
}

main(process.argv.slice(2)).then(
  () => process.exit(),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
