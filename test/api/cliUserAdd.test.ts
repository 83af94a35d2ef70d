// cumulet user add: what a newcomer gets works with what is handed over; it goes on after a failure, and takes nobody's things.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { RemoteApiConfig } from '@cumulet/controller';
import type { Context } from '../../cli/src/command';
import { ensureNewcomer } from '../../cli/src/newcomer';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

const remote_api = parseConfig(RemoteApiConfig, '{address: 127.0.0.1, port: 0}', 'test');
let all: CommandCloud;
const at = (...names: string[]): string => join(all.directory, ...names);
const passwordIn = (text: string): string => /^ +password: (\S+)$/m.exec(text)?.[1] ?? '';
const as = (name: string, password: string): Record<string, string> => ({
  OS_AUTH_URL: `${all.cloud.test.url}/v3`,
  OS_USERNAME: name,
  OS_PASSWORD: password,
  OS_PROJECT_NAME: name,
});

beforeAll(async () => void (all = await startCommandCloud({ remote_api })));
afterAll(() => all.stop());

test('without an external network nothing is made', async () => {
  expect(await all.fails(1, 'user add anna')).toContain('no network is called "public"');
  expect(await all.ok('project list -f value -c Name')).not.toContain('anna');
});

test('a newcomer boots a server with a floating IP with what was written for them', async () => {
  await all.ok('network create --external public');
  await all.ok('subnet create --network public --subnet-range 203.0.113.0/24 public');
  const home = at('home/.config/openstack');
  const out = await all.ok(
    `user add --cores 3 --ram 1024 --instances 2 --subnet-range 10.24.0.0/24 --directory ${home} anna`,
  );
  expect(out).toBe(
    `# Made: project anna, quota, network anna, subnet anna, router anna, interface of router anna, rule for ICMP, rule for ssh, user anna.\nWritten: ${home}/clouds.yaml, ${home}/cumulet-ca.pem. On the other machine they belong into ~/.config/openstack.`,
  );
  expect(statSync(join(home, 'clouds.yaml')).mode & 0o777).toBe(0o600);
  const env = { HOME: at('home'), OS_CLOUD: 'cumulet', OS_CLIENT_CONFIG_FILE: join(home, 'clouds.yaml') };
  const must = async (...words: string[]): Promise<string> => {
    const { exit, out: said, err } = await all.spawn(words, env);
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    return said;
  };
  await must('server', 'create', '--image', 'tiny', '--flavor', 'm1.tiny', '--network', 'anna', '--wait', 'first');
  const port = (await must('port', 'list', '--server', 'first', '-f', 'value', '-c', 'ID')).trim();
  expect(await must('floating', 'ip', 'create', '--port', port, 'public')).toContain('203.0.113.');
  const limits = await must('limits', 'show', '-f', 'value');
  expect(limits).toContain('maxTotalCores 3\n');
  expect(limits).toContain('maxTotalRAMSize 1024\n');
  expect(limits).toContain('maxTotalInstances 2\n');
  const rules = JSON.parse(await must('security', 'group', 'rule', 'list', '--ingress', '-f', 'json')) as object[];
  expect(JSON.stringify(rules)).toMatch(/"icmp".*22:22|22:22.*"icmp"/);
});

test('run again it makes what is missing, and keeps the password and what was handed over', async () => {
  const file = at('home/.config/openstack/clouds.yaml');
  const before = readFileSync(file, 'utf8');
  const again = await all.ok('user add anna');
  expect(again).toMatch(/^# Everything was there\.\n# The password of anna is as before, and not known here: --new-/);
  expect(again).toContain('# The password is asked for.');
  expect(await all.ok(`user add --directory ${at('home/.config/openstack')} anna`)).toContain('# Nothing was written.');
  expect(readFileSync(file, 'utf8')).toBe(before);
  expect((await all.run('token issue', as('anna', passwordIn(before)))).exit).toBe(0);
  const renewed = await all.ok('user add --new-password anna');
  expect(renewed).toMatch(/^# Made: a new password\.\n/);
  expect((await all.run('token issue', as('anna', passwordIn(before)))).exit).toBe(1);
  expect((await all.run('token issue', as('anna', passwordIn(renewed)))).exit).toBe(0);
});

test('a failure tells what was made, and the next run goes on', async () => {
  const told = await all.fails(1, 'user add --subnet-range nonsense bert');
  expect(told).toMatch(/; made until then: project bert, network bert; running it again goes on from there$/);
  const bert = String((await all.json('project show bert')).id);
  await all.ok(`router create --project ${bert} bert`);
  const out = await all.ok('user add bert');
  expect(out).toMatch(/^# Made: subnet bert, gateway of router bert, interface of router bert, rule .*, user bert\.\n/);
  expect((await all.run('network show bert', as('bert', passwordIn(out)))).exit).toBe(0);
});

test('an error of ours is not dressed up as a refusal', async () => {
  const shown: string[] = [];
  const bug = new TypeError('a bug');
  const api = { list: () => Promise.resolve([]), json: () => Promise.reject(bug) } as unknown as Context['api'];
  const context = { api, progress: (text: string) => void shown.push(text) } as unknown as Context;
  const wanted = { name: 'f', password: '', renew: false, quota: {}, outside: '', range: '' };
  await expect(ensureNewcomer(context, wanted)).rejects.toBe(bug);
  expect(shown.at(-1)).toBe('');
});

test('rules that the quota does not allow are told, not left out', async () => {
  await all.ok('project create tight');
  const { id } = await all.json('project show tight');
  const { test: cloud, admin } = all.cloud;
  const limit = (count: number) =>
    cloud.call('PUT', `/network/v2.0/quotas/${id}`, { token: admin, body: { quota: { security_group_rule: count } } });
  expect((await limit(4)).status).toBe(200);
  expect(await all.fails(1, 'user add tight')).toMatch(/[Qq]uota.*security_group_rule.*running it again goes on/);
  expect((await limit(-1)).status).toBe(200);
  expect(await all.ok('user add tight')).toMatch(/^# Made: rule for ICMP, rule for ssh, user tight\.\n/);
});

test('a failure that made nothing says so', async () => {
  await all.ok('project create empty');
  expect(await all.fails(1, 'user add --cores -5 empty')).toMatch(/; nothing was made; running it again goes on/);
});

test("a project or user of the name that is somebody else's is refused", async () => {
  await all.ok('project create taken');
  await all.ok('role add --user demo --project taken member');
  expect(await all.fails(1, 'user add taken')).toBe(
    "project taken is there already, and somebody else's: choose another name",
  );
  await all.ok('user create --project taken carl');
  expect(await all.fails(1, 'user add carl')).toBe(
    'user carl is there already, with another project: choose another name',
  );
  expect(await all.fails(2, 'user add "a b"')).toContain('letters, digits, dots and dashes');
});

test('no administrator is a newcomer', async () => {
  expect(await all.fails(1, 'user add --new-password admin')).toBe(
    'user admin is an administrator: choose another name for a newcomer',
  );
  await all.ok('group create chiefs');
  await all.ok('user create nora');
  await all.ok('group add user chiefs nora');
  await all.ok('role add --group chiefs --project demo admin');
  expect(await all.fails(1, 'user add nora')).toContain('user nora is an administrator');
  expect((await all.run('token issue')).exit).toBe(0);
});

describe('the range of a newcomer', () => {
  /** `ip` that knows these routes, or fails. */
  const add = async (name: string, ip: string | undefined): Promise<string> => {
    const bin = at(`bin-${name}`);
    mkdirSync(bin);
    if (ip !== undefined) writeFileSync(join(bin, 'ip'), `#!/bin/sh\n${ip}\n`, { mode: 0o755 });
    const { out, err } = await all.spawn(['user', 'add', name], { OS_CLOUD: 'test', PATH: bin });
    return out + err;
  };
  const routes = (...list: string[]): string => {
    const rows = JSON.stringify(list.map((dst) => ({ dst, dev: 'lab0' })));
    return `case "$*" in *route*) echo '${rows}' ;; *) echo '[]' ;; esac`;
  };
  const cidrOf = (name: string): Promise<string> => all.ok(`subnet show -f value -c cidr ${name}`);

  test('leaves out what this machine reaches and what is outside', async () => {
    await all.ok('subnet create --network public --subnet-range 10.24.1.0/24 --no-dhcp more');
    expect(await add('fay', routes('10.24.0.128/25'))).toContain(
      '# The subnet is 10.24.2.0/24, as 10.24.0.0/24 meets 10.24.0.128/25 of lab0.\n',
    );
    expect(await cidrOf('fay')).toBe('10.24.2.0/24');
    expect(await add('gus', routes('192.168.7.0/24'))).not.toContain('The subnet is');
    expect(await cidrOf('gus')).toBe('10.24.0.0/24');
  });

  test('is the usual one where nobody tells routes', async () => {
    expect(await add('hal', undefined)).toContain('Made: project hal');
    expect(await cidrOf('hal')).toBe('10.24.0.0/24');
  });

  test('must be given when routes can not be read, or leave nothing', async () => {
    expect(await add('ida', 'echo no such table >&2; exit 1')).toMatch(
      /routes of this machine could not be read: .*no such/,
    );
    const whole = routes('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16');
    expect(await add('joe', whole)).toMatch(
      /every network .* meets a route of this machine: give one with --subnet-range/,
    );
    expect(await all.ok('project list -f value -c Name')).not.toMatch(/ida|joe/);
  });
});

test('members may not', async () => {
  const { exit, out } = await all.run('user add dora', { OS_CLOUD: 'demo' });
  expect({ exit, out }).toEqual({ exit: 1, out: '' });
});

test('a cloud that listens on its own machine only is reached from there', async () => {
  const closed = await startCommandCloud();
  try {
    await closed.ok('network create --external outer');
    await closed.ok('subnet create --network outer --subnet-range 203.0.113.0/24 outer');
    const out = await closed.ok('user add --public outer --subnet-range 10.9.0.0/24 eva');
    expect(out).toContain('# The cloud listens on its own machine only.');
    expect(out).toContain(`auth_url: ${closed.cloud.test.url}/v3\n`);
    expect(await closed.ok('subnet show -f value -c cidr eva')).toBe('10.9.0.0/24');
  } finally {
    await closed.stop();
  }
});
