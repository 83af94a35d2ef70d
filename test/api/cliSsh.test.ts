// cumulet server ssh: the real ssh says what it would do with the words it is given; and what it refuses to begin with.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApi, type Api } from '../../cli/src/api';
import { inputOf } from '../../cli/src/command';
import { HttpError } from '../../cli/src/errors';
import { commands } from '../../cli/src/nouns/serverSsh';
import { servers } from '../../controller/src/db/entities/compute';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';
import { ADMIN_PASSWORD } from '../support/identity';
import type { Run } from '../support/programs';

let all: CommandCloud;
let id = '';
const at = (...names: string[]): string => join(all.directory, ...names);
/** `ssh` with the directory of a stand-in before all others: the real ssh explains the line, the stand-in tells the command and its end. */
const ssh = (words: readonly string[], env: Record<string, string> = {}): Promise<Run> =>
  all.spawn(['server', 'ssh', ...words], { OS_CLOUD: 'test', PATH: `${at('bin')}:${process.env['PATH']}`, ...env });

beforeAll(async () => {
  all = await startCommandCloud();
  mkdirSync(at('.ssh'));
  mkdirSync(at('bin'));
  writeFileSync(at('bin/ssh'), '#!/bin/sh\n/usr/bin/ssh -G "$@"\nprintf "<%s>\\n" "$@"\neval "${ENDING:-exit 7}"\n');
  chmodSync(at('bin/ssh'), 0o755);
  for (const name of ['id_other', 'id_mine', 'elsewhere'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('.ssh', name)]);
  await all.ok(`keypair create --public-key ${at('.ssh/id_mine.pub')} mine`);
  await all.ok(`keypair create --public-key ${at('.ssh/elsewhere.pub')} lost`);
  const create = 'server create --image tiny --flavor m1.tiny --network demo --wait';
  await all.ok(`${create} --key-name mine hello`);
  await all.ok(`${create} --key-name lost locked`);
  await all.ok(`${create} bare`);
  ({ id } = await all.json('server show hello'));
});
afterAll(() => all.stop());

test('without an external network there is no command that makes a floating IP', async () => {
  expect((await ssh(['hello'])).err).toContain('hello has no floating IP, and there is no external network for one');
});

test('without a floating IP the command that makes one is told, and does', async () => {
  await all.ok('network create --external outside');
  await all.ok('subnet create --network outside --subnet-range 203.0.113.0/24 outside');
  await all.ok('router create --external-gateway outside gate');
  await all.ok('router add subnet gate demo-subnet');
  const { exit, err } = await ssh(['hello']);
  expect(exit).toBe(1);
  const [, command = ''] =
    /server hello has no floating IP: make one with "cumulet ([^"]+)", or give --fixed/.exec(err) ?? [];
  await all.ok(command);
  expect(await all.ok('server show -c addresses -f value hello')).toContain('203.0.113.');
});

test('an image that does not name its user is told how it would', async () => {
  const { exit, err } = await ssh(['hello']);
  expect(exit).toBe(1);
  expect(err).toContain(
    'give --user, or tell it to the image with "cumulet image set --property os_admin_user=USER tiny"',
  );
});

test('address, user, key and host keys are those of the server, and the end is that of ssh', async () => {
  await all.ok('image set --property os_distro=ubuntu tiny');
  const { exit, out, err } = await ssh(['hello', '--', 'ls', '-l', 'a b']);
  expect({ exit, err }).toEqual({ exit: 7, err: '' });
  expect(out).toMatch(/^user ubuntu$/m);
  expect(out).toMatch(/^hostname 203\.0\.113\.\d+$/m);
  expect(out).toContain(`\nhostkeyalias ${id}\n`);
  expect(out).toContain(`\nuserknownhostsfile ${at('.local/state/cumulet/known_hosts', id)}\n`);
  expect(out).toMatch(/^stricthostkeychecking accept-new$/m);
  expect(out.match(/^identityfile .*$/gm)).toEqual([`identityfile ${at('.ssh/id_mine')}`]);
  expect(out).toMatch(/<203[\d.]+>\n<ls>\n<-l>\n<a b>\n$/);
});

test('what is said wins; a signal is an end too', async () => {
  await all.ok('image set --property os_admin_user=boss tiny');
  expect((await ssh(['hello'])).out).toMatch(/^user boss$/m);
  const words = ['--user', 'anna', '--identity', at('.ssh/elsewhere'), '--fixed', 'hello'];
  const { exit, out } = await ssh(words, { ENDING: 'kill -9 $$', XDG_STATE_HOME: at('50% state') });
  expect(exit).toBe(137);
  expect(out).toMatch(/^user anna$/m);
  expect(out).toMatch(/^hostname 10\.0\.0\.\d+$/m);
  expect(out).toContain(`identityfile ${at('.ssh/elsewhere')}\n`);
  expect(out).toContain(`${at('50% state/cumulet/known_hosts', id)}`);
});

test('host keys are kept until they shall be forgotten', async () => {
  const file = at('.local/state/cumulet/known_hosts', id);
  writeFileSync(file, 'old');
  await ssh(['hello']);
  expect(readFileSync(file, 'utf8')).toBe('old');
  await ssh(['--forget-host-key', 'hello']);
  expect(existsSync(file)).toBe(false);
});

test('a disk that was made anew has host keys of its own', async () => {
  const place = at('.local/state/cumulet/known_hosts/');
  const known = async (): Promise<string> => /^userknownhostsfile (.*)$/m.exec((await ssh(['hello'])).out)?.[1] ?? '';
  const seen = [await known()];
  expect(seen).toEqual([`${place}${id}`]);
  for (const _ of [1, 2]) {
    await all.ok('server rebuild --image tiny --wait hello');
    const next = await known();
    expect(next).toMatch(new RegExp(`^${place}${id}\\.req-[0-9a-f-]+$`));
    expect(seen).not.toContain(next);
    seen.push(next);
  }
  await all.ok('server reboot --wait hello');
  expect(await known()).toBe(seen.at(-1));
});

test.each([
  ['locked', /no key in ~\/\.ssh fits keypair lost \([0-9a-f:]+\) of server locked: name the file/],
  ['bare', /server bare was made without a keypair: name the file of a private key with --identity/],
  ['nobody', /no server is called "nobody"/],
])('server %s can not be entered, and why is told', async (name, told) => {
  expect(await ssh(['--fixed', name])).toMatchObject({ exit: 1, out: '', err: expect.stringMatching(told) as string });
});

test.each([
  ['no ssh', { PATH: '/nonexistent' }, 'ssh could not be run (is it installed?)'],
  ['no place for host keys', { XDG_STATE_HOME: '/dev/null' }, 'host keys could not be kept'],
  ['no ~/.ssh', { HOME: '/nonexistent', XDG_STATE_HOME: '/tmp' }, 'no key in ~/.ssh fits keypair mine'],
  ['a ~/.ssh that is none', { HOME: '/dev/null', XDG_STATE_HOME: '/tmp' }, 'no key could be looked for'],
])('with %s it says so', async (_what, env, told) => {
  const places = { OS_CLIENT_CONFIG_FILE: at('clouds.yaml') };
  expect(await ssh(['hello'], { ...places, ...env })).toMatchObject({ exit: 1, err: expect.stringContaining(told) });
});

test("an administrator enters another user's server with the key of its owner", async () => {
  const demo = { OS_CLOUD: 'demo' };
  expect((await all.run(`keypair create --public-key ${at('.ssh/id_other.pub')} theirs`, demo)).exit).toBe(0);
  const create = 'server create --image tiny --flavor m1.tiny --network demo --wait --key-name theirs far';
  expect((await all.run('network set --share demo')).exit).toBe(0);
  expect(await all.run(create, demo)).toMatchObject({ exit: 0, err: '' });
  const far = (JSON.parse((await all.run('server show far -f json', demo)).out) as { readonly id: string }).id;
  expect((await ssh(['--fixed', far])).out).toContain(`identityfile ${at('.ssh/id_other')}\n`);
});

test.each(['image', 'compute'])('a failure of the %s service is told as it is', async (service) => {
  const { test: cloud } = all.cloud;
  const auth = { username: 'admin', password: ADMIN_PASSWORD, project_name: 'admin' };
  const api = createApi({ auth_url: `${cloud.url}/v3`, ...auth });
  const down = new HttpError('down (HTTP 503)', 503);
  const broken: Api = {
    ...api,
    json: (asked, method, path, ...rest) =>
      asked === service && /^.(images|os-keypairs)/.test(path)
        ? Promise.reject(down)
        : api.json(asked, method, path, ...rest),
  };
  const input = inputOf(['hello'], {});
  const [command] = commands;
  await expect(command?.run({ api: broken, input, progress: () => undefined })).rejects.toBe(down);
});

test('a keypair that was deleted leaves --identity', async () => {
  await all.ok('keypair delete lost');
  expect((await ssh(['--fixed', 'locked'])).err).toContain('keypair lost of server locked is not there or not yours');
});

test('without an external network, port or address there is nothing to tell a command for', async () => {
  await all.ok('server create --image tiny --flavor m1.tiny --network none --wait alone');
  expect((await ssh(['alone'])).err).toContain('server alone has no floating IP, and there is no port for one');
  expect((await ssh(['--fixed', 'alone'])).err).toContain('server alone has no address');
});

test('a server whose image is gone needs --user', async () => {
  await all.ok('image delete tiny');
  expect((await ssh(['hello'])).err).toContain('the image of server hello does not say which user it lets in');
  expect((await ssh(['--user', 'anna', 'hello'])).exit).toBe(7);
});

test('a server that boots from a volume needs --user', async () => {
  await all.cloud.test.cloud.db.write((session) => session.update(servers, { id }, { image_id: null }));
  expect((await ssh(['hello'])).err).toContain('does not say which user it lets in');
});

test('a server that is off is not entered, and how it is started is told', async () => {
  await all.ok('server stop hello');
  const { exit, err } = await ssh(['hello']);
  expect({ exit, err }).toEqual({ exit: 1, err: 'cumulet: server hello is SHUTOFF: cumulet server start hello\n' });
});

test('a server in ERROR is not entered, and where the reason is is told', async () => {
  await all.cloud.test.cloud.db.write((session) => session.update(servers, { id }, { vm_state: 'error' }));
  expect((await ssh(['hello'])).err).toContain(
    'server "hello" went into ERROR: no cause is known (see: cumulet server why hello)',
  );
});

test('a machine without ssh is told so', async () => {
  await all.cloud.test.cloud.db.write((session) => session.update(servers, { id }, { vm_state: 'active' }));
  const { exit, err } = await ssh(['--user', 'anna', 'hello'], { PATH: at('nothing') });
  expect(exit).toBe(1);
  expect(err).toContain('ssh could not be run (is it installed?)');
});
