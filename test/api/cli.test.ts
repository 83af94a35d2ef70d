// The command `cumulet` as a process of its own: what it prints where, and how it ends.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { computeUsages } from '../../controller/src/db/entities/compute';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
beforeAll(async () => {
  all = await startCommandCloud();
});
afterAll(() => all.stop());

const words = (line: string): string[] => line.split(' ');

test('a server goes through its life', async () => {
  const boot = words('server create --image tiny --flavor m1.tiny --network demo --wait hello -f json');
  const made = await all.spawn(boot);
  expect(made).toMatchObject({ exit: 0, err: '' });
  expect(JSON.parse(made.out)).toMatchObject({ name: 'hello', status: 'ACTIVE' });
  const table = await all.spawn(['server', 'list', '-c', 'Name', '-c', 'Status']);
  expect(table.out).toBe(
    [
      '+-------+--------+',
      '| Name  | Status |',
      '+-------+--------+',
      '| hello | ACTIVE |',
      '+-------+--------+',
      '',
    ].join('\n'),
  );
  expect((await all.spawn(words('console log show hello'))).out).toBe('simulated\n');
  expect(await all.spawn(words('server delete --wait hello'))).toEqual({ exit: 0, out: '', err: '' });
});

test('bytes of an image come back as they went', async () => {
  const [file, saved] = [join(all.directory, 'file'), join(all.directory, 'saved')];
  writeFileSync(file, Buffer.alloc(3_000_000, 'cumulet'));
  expect((await all.spawn(['image', 'create', '--file', file, 'data'])).exit).toBe(0);
  expect(await all.spawn(['image', 'save', '--file', saved, 'data'])).toEqual({ exit: 0, out: '', err: '' });
  expect(readFileSync(saved).equals(readFileSync(file))).toBe(true);
});

test('an audit that finds nothing ends with 0, one that finds something with 1, and names what it fixed', async () => {
  expect((await all.spawn(words('audit --all -f json'))).out).toContain('"clean": true');
  await all.cloud.test.cloud.db.write((session) =>
    session.insert(computeUsages, { project_id: 'nobody', resource: 'cores', used: 3 }),
  );
  const found = await all.spawn(words('audit -f json'));
  expect(found.exit).toBe(1);
  expect(JSON.parse(found.out)).toMatchObject([{ kind: 'project', id: 'nobody', remedy: 'a fix counts it again' }]);
  const fixed = await all.spawn(words('audit --fix -f json'));
  expect(fixed.exit).toBe(0);
  expect(JSON.parse(fixed.out)).toMatchObject([{ kind: 'project', id: 'nobody', remedy: 'fixed' }]);
  expect((await all.spawn(words('audit --fix'))).out).toContain('clean');
});

test('text that ends its line gets no second end', async () => {
  const { exit, out } = await all.spawn(words('keypair create printed'));
  expect(exit).toBe(0);
  expect(out).toMatch(/^-----BEGIN [^]*-----END [A-Z ]*PRIVATE KEY-----\n$/);
  await all.spawn(words('keypair delete printed'));
});

describe('a failure', () => {
  test.each([
    ['a misspelled command', 'sever list', 2, 'did you mean "server list"'],
    ['a command that is not complete', 'floating ip', 2, 'floating ip create'],
    ['a misspelled option', 'server list --all-project', 2, 'did you mean "--all-projects"'],
    ['an option without its value', 'server list --status', 2, '--status needs a value: STATUS'],
    ['an option in place of a value', 'server list --status --long', 2, '--status needs a value: STATUS'],
    ['a value where none goes', 'server list --long=yes', 2, '--long takes no value'],
    ['a lacking argument', 'server show', 2, 'server show needs SERVER'],
    ['an argument too many', 'server show a b', 2, 'server show does not take "b"'],
    ['a lacking option', 'server create x', 2, 'server create needs --image IMAGE'],
    ['an unknown format', 'server list -f jsn', 2, '--format cannot be "jsn": did you mean "json"?'],
    ['an unknown column', 'server list -c Nam', 2, 'there is no column "Nam": did you mean "Name"?'],
    ['an unknown shell', 'complete fish', 2, 'completion is for bash and zsh, not "fish"'],
    ['a misspelled name', 'image show tini', 1, 'no image is called "tini": did you mean "tiny"?'],
    ['an unknown cloud', 'server list --os-cloud tset', 1, 'has no cloud "tset": did you mean "test"?'],
    ['a wrong password', 'server list --os-cloud wrong', 1, '(HTTP 401) (Request-ID: req-'],
    ['an audit that cannot look', 'audit --os-cloud wrong', 2, '(HTTP 401)'],
  ])('of %s is told in words', async (_what, line, exit, text) => {
    const run = await all.spawn(words(line));
    expect(run.err).toContain(text);
    expect(run.err).toMatch(/^cumulet: /);
    expect(run).toMatchObject({ exit, out: '' });
  });

  // Behind localhost there may be two addresses, with an error each.
  test.each(['127.0.0.1', 'localhost'])('says that nothing listens on %s', async (host) => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const env = { OS_AUTH_URL: `http://${host}:${port}/v3`, OS_USERNAME: 'a', OS_PASSWORD: 'b' };
    const { exit, err } = await all.spawn(['server', 'list'], env);
    expect(exit).toBe(1);
    expect(err).toMatch(/\/v3\/auth\/tokens got no answer: .*ECONNREFUSED/);
  });
});

test('help, without a cloud', async () => {
  const { exit, out } = await all.spawn(['server', 'create', '--help'], {});
  expect(exit).toBe(0);
  expect(out).toContain('cumulet server create --image tiny');
  expect(await all.spawn(['help', 'server', 'create'], {})).toEqual({ exit: 0, out, err: '' });
  const overview = await all.spawn(['--help'], {});
  expect(overview.out).toContain('  server list ');
  expect(await all.spawn([], {})).toEqual({ exit: 2, out: overview.out, err: '' });
  expect((await all.spawn(['server', '--help'], {})).out).not.toContain('  image list ');
});

describe('on a terminal', () => {
  test('states are coloured and progress is shown, elsewhere neither', async () => {
    const boot = words('server create --image tiny --flavor m1.tiny --network none --wait shown');
    const { exit, out } = await all.type(boot);
    expect(exit).toBe(0);
    expect(out).toContain('\u001b[32mACTIVE');
    expect(out).toContain('\r\u001b[Kshown: ');
    const plain = await all.type(['server', 'list'], [], { OS_CLOUD: 'test', NO_COLOR: '1' });
    expect(plain.out).not.toContain('\u001b[32m');
    await all.spawn(words('server delete --wait shown'));
  });

  test('passwords are asked for and not shown', async () => {
    const demo = { OS_AUTH_URL: `${all.cloud.test.url}/v3`, OS_USERNAME: 'demo', OS_PROJECT_NAME: 'demo' };
    const token = await all.type(words('token issue -f value -c user_id'), [['Password: ', 'demo-secret']], demo);
    expect(token).toMatchObject({ exit: 0, out: expect.stringMatching(/^Password: \r\n[0-9a-f]{32}\r\n$/) });
    const change = (second: string) =>
      all.type(
        words('user password set --original-password demo-secret'),
        [
          ['New password: ', 'other-secret'],
          ['The same again: ', second],
        ],
        { ...demo, OS_PASSWORD: 'demo-secret' },
      );
    // A token does not tell the password.
    const token1 = (await all.spawn(words('token issue -f value -c id'), { ...demo, OS_PASSWORD: 'demo-secret' })).out;
    const byToken = { OS_AUTH_URL: demo.OS_AUTH_URL, OS_PROJECT_NAME: 'demo', OS_TOKEN: token1.trim() };
    const asked = await all.type(words('user password set --password x'), [['Present password: ', 'wrong']], byToken);
    expect(asked).toMatchObject({ exit: 1, out: expect.stringContaining('HTTP 401') });
    expect((await all.spawn(words('user password set --password x'), byToken)).err).toContain(
      'user password set needs --original-password',
    );
    expect(await change('another')).toMatchObject({ exit: 1, out: expect.stringContaining('passwords differ') });
    expect((await change('other-secret')).exit).toBe(0);
    expect((await all.spawn(words('token issue'), { ...demo, OS_PASSWORD: 'other-secret' })).exit).toBe(0);
  });

  test('a question can be cancelled', async () => {
    const env = { OS_AUTH_URL: `${all.cloud.test.url}/v3`, OS_USERNAME: 'demo' };
    const { exit, out } = await all.type(['token', 'issue'], [['Password: ', '\u0003']], env);
    expect(exit).toBe(1);
    expect(out).toContain('cancelled');
  });
});

test.each([
  ['cumulet flo', ['floating']],
  ['cumulet floating ip ', ['create', 'delete', 'list', 'set', 'show', 'unset']],
  ['cumulet --os-cloud server create --im', ['--image']],
])('bash completes "%s"', async (typed, expected) => {
  const { out } = await all.spawn(['complete', 'bash'], {});
  const line = typed.split(' ').map((word) => `"${word}"`);
  const ask = `COMP_WORDS=(${line.join(' ')}); COMP_CWORD=${line.length - 1}; _cumulet; echo "\${COMPREPLY[*]}"`;
  const answer = execFileSync('bash', ['-c', `${out}\n${ask}`], { encoding: 'utf8' });
  expect(answer.trim().split(' ')).toEqual(expected);
});

test('completion is for bash unless told otherwise', async () => {
  const { out } = await all.run('complete bash');
  expect(out).toMatch(/^_cumulet\(\)/m);
  expect(await all.run('complete', {})).toEqual({ exit: 0, out, err: '' });
});

test('there is a completion for zsh', async () => {
  expect((await all.spawn(['complete', 'zsh'], {})).out).toMatch(/^#compdef cumulet/);
});
