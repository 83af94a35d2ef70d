// cumulet cloud export: what it shows and writes works from there, and what can't be exported is told in words.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { RemoteApiConfig } from '@cumulet/controller';
import { ADMIN_PASSWORD } from '../support/identity';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

const remote_api = parseConfig(RemoteApiConfig, '{address: 127.0.0.1, port: 0}', 'test');

let all: CommandCloud;
beforeAll(async () => void (all = await startCommandCloud({ remote_api })));
afterAll(() => all.stop());

const at = (...path: string[]): string => join(all.directory, ...path);
const endpoint = (): string => `https://127.0.0.1:${all.cloud.test.controller.remote?.listening()[0]?.port}`;
const demo = { OS_CLOUD: 'demo' };

test('the entry of who asks is shown, and where its CA comes from', async () => {
  const { exit, out } = await all.run('cloud export', demo);
  expect(exit).toBe(0);
  expect(out).toContain(`auth_url: ${endpoint()}/v3\n`);
  expect(out).toMatch(/username: demo\n +password: \S+\n +project_name: demo\n/);
  expect(out).toContain('cacert: ~/.config/openstack/cumulet-ca.pem');
  expect(out).toMatch(
    /^# For .*\n# Its CA: cumulet cloud export --cacert > ~\/.config\/openstack\/cumulet-ca.pem\nclouds:\n/,
  );
  expect(await all.ok('cloud export --cacert')).toMatch(/^-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----$/);
});

test('a directory that was written is all that another machine needs', async () => {
  const home = at('home/.config/openstack');
  const run = await all.run(`cloud export --directory ${home}`, demo);
  expect(run.out).toBe(
    `Written: ${home}/clouds.yaml, ${home}/cumulet-ca.pem. On the other machine they belong into ~/.config/openstack.`,
  );
  expect(statSync(join(home, 'clouds.yaml')).mode & 0o777).toBe(0o600);
  const env = { HOME: at('home'), OS_CLOUD: 'cumulet', OS_CLIENT_CONFIG_FILE: join(home, 'clouds.yaml') };
  expect(await all.spawn(['token', 'issue', '-f', 'value', '-c', 'project_id'], env)).toMatchObject({
    exit: 0,
    err: '',
  });
  const catalog = await all.spawn(['catalog', 'list'], env);
  expect(catalog.out).toContain(endpoint());
});

test('other entries in the directory stay', async () => {
  mkdirSync(at('many'));
  writeFileSync(at('many/clouds.yaml'), '# mine\nclouds:\n  other:\n    cloud: x\n');
  await all.ok(`cloud export --directory ${at('many')} --name lab`);
  const text = readFileSync(at('many/clouds.yaml'), 'utf8');
  expect(text).toMatch(/^# mine\nclouds:\n {2}other:\n {4}cloud: x\n {2}lab:\n/);
  expect(text).toContain('cacert: ~/.config/openstack/lab-ca.pem');
  expect(readFileSync(at('many/lab-ca.pem'), 'utf8')).toContain('BEGIN CERTIFICATE');
});

test('an administrator exports for others, without their password, in a project of theirs', async () => {
  const out = await all.ok('cloud export --user demo');
  expect(out).toContain('# The password is asked for.');
  expect(out).toMatch(
    /username: demo\n +project_name: demo\n +user_domain_name: Default\n +project_domain_name: Default\n/,
  );
  expect(await all.ok('cloud export --user demo --project admin')).toContain('project_name: admin');
  await all.ok('user create --project admin anna');
  expect(await all.ok('cloud export --user anna')).toContain('project_name: admin');
  await all.ok('user create nobody');
  expect(await all.fails(1, 'cloud export --user nobody')).toContain('user nobody has a role in no project');
  expect(await all.fails(1, 'cloud export --user missing')).toContain('missing');
  expect((await all.run('cloud export --user admin', demo)).exit).toBe(1);
});

test.each([
  ['--name "a b"', 2, 'letters, digits, dots and dashes'],
  ['--directory /dev/null/x', 1, '/dev/null/x: nothing could be written'],
])('what is wrong is told: %s', async (words, exit, told) => {
  expect(await all.fails(exit, `cloud export ${words}`)).toContain(told);
});

test('who is signed in to no project is told to name one', async () => {
  const env = { OS_AUTH_URL: `${all.cloud.test.url}/v3`, OS_USERNAME: 'admin', OS_PASSWORD: ADMIN_PASSWORD };
  const run = await all.run('cloud export', { ...env, OS_SYSTEM_SCOPE: 'all' });
  expect(run).toMatchObject({ exit: 1, err: expect.stringContaining('signed in to no project') });
});

test('a cloud that listens on its own machine only says how to change that', async () => {
  const closed = await startCommandCloud();
  try {
    expect(await closed.fails(1, 'cloud export')).toMatch(
      /run "sudo cumulet up --listen ADDRESS" there, or .*ssh -N -L/,
    );
  } finally {
    await closed.stop();
  }
});

test('a certificate by an authority that others know leaves no CA to take along', async () => {
  const tls = join(all.cloud.test.directory, 'tls');
  const signed = { ...remote_api, cert: join(tls, 'api.crt'), key: join(tls, 'api.key') };
  const known = await startCommandCloud({ remote_api: signed });
  try {
    expect(await known.fails(1, 'cloud export --cacert')).toContain('there is no CA to take along');
    expect(await known.ok('cloud export')).not.toMatch(/cacert|Its CA/);
    expect(await known.ok(`cloud export --directory ${at('bare')}`)).toMatch(/^Written: \S+\/clouds.yaml\. On/);
  } finally {
    await known.stop();
  }
});
