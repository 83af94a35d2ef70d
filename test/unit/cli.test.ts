// The parts of the command `cumulet` that need no cloud: formats, suggestions, settings, parsing and completion.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settings } from '../../cli/src/cloudsConfig';
import { column } from '../../cli/src/command';
import { findCommand, optionsOf, parse, unknownCommand } from '../../cli/src/commandLine';
import { commands } from '../../cli/src/commands';
import { completion, followers } from '../../cli/src/complete';
import { render } from '../../cli/src/format';
import { commandHelp } from '../../cli/src/help';
import { closest, distance } from '../../cli/src/suggest';

const list = {
  list: {
    columns: [column('ID', 'id'), column('Name', 'name'), column('Tags', 'tags')],
    rows: [
      { id: '1', name: 'a\u001b[31mb', tags: ['x'] },
      { id: '2', name: null, tags: [] },
    ],
  },
};
const one = { one: { name: 'hello', up: true, id: '1' } };

describe('formats', () => {
  test('table', async () => {
    expect(await render(list, 'table', ['ID', 'Name'])).toBe(
      [
        '+----+------------+',
        '| ID | Name       |',
        '+----+------------+',
        '| 1  | a\\x1b[31mb |',
        '| 2  | None       |',
        '+----+------------+',
      ].join('\n'),
    );
  });
  test.each([
    ['json', ['id', 'Tags'], '[{"ID":"1","Tags":["x"]},{"ID":"2","Tags":[]}]'],
    ['value', ['Name', 'ID'], 'a\\x1b[31mb 1\nNone 2'],
    ['yaml', ['ID'], '- ID: "1"\n- ID: "2"'],
  ] as const)('%s of a list', async (format, columns, expected) => {
    const text = await render(list, format, columns);
    expect(format === 'json' ? JSON.stringify(JSON.parse(text)) : text).toBe(expected);
  });
  test('of one thing', async () => {
    expect(await render(one, 'value', ['up', 'name'])).toBe('True\nhello');
    expect(JSON.parse(await render(one, 'json'))).toEqual(one.one);
    expect(await render(one, 'table', ['name'])).toContain('| name  | hello |');
  });
  test('colour only when asked for', async () => {
    const state = { one: { status: 'ACTIVE' } };
    expect(await render(state, 'table')).not.toContain('\u001b');
    expect(await render(state, 'table', [], true)).toContain('\u001b[32mACTIVE');
  });
});

describe('suggestions', () => {
  test.each([
    ['sever', 'server', 1],
    ['lsit', 'list', 1],
    ['', 'abc', 3],
    ['same', 'same', 0],
  ])('%s is %s with %i edits', (a, b, edits) => expect(distance(a, b)).toBe(edits));
  test('are close, and the closest is first', () => {
    expect(closest('demo1', ['other', 'demo', 'demo12'])).toEqual(['demo', 'demo12']);
    expect(closest('zzz', ['server', 'image'])).toEqual([]);
  });
  test.each([
    [['sever', 'list'], 'did you mean "server list"'],
    [['server', 'lst', 'x'], 'did you mean "server list"'],
    [['floating', 'ip'], 'floating ip create'],
    [['nonsense'], 'cumulet --help'],
  ])('for the command %j', (words, hint) => expect(unknownCommand(words, commands)).toContain(hint));
});

describe('the command line', () => {
  test('finds the command behind options of every command', () => {
    const { command, rest } = findCommand(['--os-cloud', 'x', 'server', 'list', '-f', 'json'], commands);
    expect(command?.name).toBe('server list');
    expect(parse(command, rest).text('os-cloud')).toBe('x');
  });
  test('prefers the longest command', () => {
    expect(findCommand(['security', 'group', 'rule', 'list', 'web'], commands).command?.name).toBe(
      'security group rule list',
    );
  });
  test('every command has help with an example of itself, and its example is understood', () => {
    for (const command of commands) {
      expect(commandHelp(command)).toContain(command.example);
      const words = (command.example.replace(/"[^"]*"/g, 'x').match(/\S+/g) ?? []).slice(1);
      const { command: found, rest } = findCommand(words, commands);
      expect(found?.name).toBe(command.name);
      expect(() => parse(found, rest)).not.toThrow();
      expect(Object.keys(optionsOf(command))).toContain('format');
    }
  });
});

describe('completion', () => {
  test('offers words, then options', () => {
    const next = followers(commands);
    expect(next.get('')).toEqual(expect.arrayContaining(['server', 'image', 'audit']));
    expect(next.get('floating ip')).toEqual(['create', 'delete', 'list']);
    expect(next.get('server create')).toEqual(expect.arrayContaining(['--image', '--format']));
  });
  test('is for bash and zsh', () => {
    expect(completion('bash', commands)).toContain('complete -o default -F _cumulet cumulet');
    expect(completion('zsh', commands)).toContain('compdef _cumulet cumulet');
    expect(() => completion('fish', commands)).toThrow('not "fish"');
  });
});

describe('the cloud', () => {
  let home: string;
  let here: string;
  const file = (directory: string, clouds: object): void => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds }));
  };
  const entry = (username: string) => ({ auth: { auth_url: 'http://file/v3', username, password: 'p' } });
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'cumulet-home-'));
    here = join(home, 'here');
    mkdirSync(here);
    file(join(home, '.config/openstack'), { a: entry('from-home'), b: entry('b') });
  });
  afterEach(() => rmSync(home, { recursive: true }));
  const resolve = (options = {}, cloud?: string, env = {}) => settings(options, cloud, { HOME: home, ...env }, here);

  test('comes from the directory of the user', async () => {
    expect((await resolve({}, 'a')).username).toBe('from-home');
  });
  test('comes from the current directory before that', async () => {
    file(here, { a: entry('from-here') });
    expect((await resolve({}, 'a')).username).toBe('from-here');
  });
  test('is named by the option before OS_CLOUD', async () => {
    expect((await resolve({}, 'b', { OS_CLOUD: 'a' })).username).toBe('b');
    expect((await resolve({}, undefined, { OS_CLOUD: 'a' })).username).toBe('from-home');
  });
  test('is overridden by variables, and those by options', async () => {
    const env = { OS_USERNAME: 'from-env', OS_PROJECT_NAME: 'p1' };
    expect(await resolve({}, 'a', env)).toMatchObject({ username: 'from-env', project_name: 'p1' });
    const found = await resolve({ username: 'from-option', project_id: 'p2' }, 'a', env);
    expect(found).toMatchObject({ username: 'from-option', project_id: 'p2', password: 'p' });
    expect(found).not.toHaveProperty('project_name');
  });
  test('needs no file when variables say all', async () => {
    const env = { OS_AUTH_URL: 'http://env/v3', OS_USERNAME: 'u' };
    expect(await resolve({}, undefined, env)).toEqual({ auth_url: 'http://env/v3', username: 'u' });
  });
  test('must be named when there are several', async () => {
    await expect(resolve()).rejects.toThrow('which cloud? Give --os-cloud or OS_CLOUD');
    await expect(resolve({}, 'bb')).rejects.toThrow('has no cloud "bb": did you mean "b"?');
  });
  test('of a broken file is told with its path', async () => {
    writeFileSync(join(here, 'clouds.yaml'), 'clouds: [');
    await expect(resolve({}, 'a')).rejects.toThrow(join(here, 'clouds.yaml'));
  });
});
