// The parts of the command `cumulet` that need no cloud: formats, suggestions, settings, parsing and completion.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settings } from '../../cli/src/cloudsConfig';
import { exampleOf } from '../../cli/src/command';
import { findCommand, optionsOf, parse, unknownCommand } from '../../cli/src/commandLine';
import { allCommands, commandsFor } from '../../cli/src/commands';
import { completion, followers } from '../../cli/src/complete';
import { render } from '../../cli/src/format';
import { commandHelp } from '../../cli/src/help';
import { closest, distance } from '../../cli/src/suggest';

const commands = allCommands();

const list = {
  list: {
    columns: { ID: 'id', Name: 'name', Tags: 'tags' },
    rows: [
      { id: '1', name: 'a\u001b[31mb', tags: ['x'] },
      { id: '2', name: null, tags: [] },
    ],
  },
};
const one = { one: { name: 'hello', up: true, id: '1' } };

describe('formats', () => {
  test('table', () => {
    expect(render(list, { columns: ['ID', 'Name'] })).toBe(
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
  ] as const)('%s of a list', (format, columns, expected) => {
    const text = render(list, { format, columns });
    expect(format === 'json' ? JSON.stringify(JSON.parse(text)) : text).toBe(expected);
  });
  test('of one thing', () => {
    expect(render(one, { format: 'value', columns: ['up', 'name'] })).toBe('True\nhello');
    expect(JSON.parse(render(one, { format: 'json' }))).toEqual(one.one);
    expect(render(one, { columns: ['name'] })).toContain('| name  | hello |');
  });
  test.each([
    ['nonnumeric', '"N","Text"\n2,"a ""b"""\n10,"x,y"'],
    ['minimal', 'N,Text\n2,"a ""b"""\n10,"x,y"'],
    ['all', '"N","Text"\n"2","a ""b"""\n"10","x,y"'],
    ['none', 'N,Text\n2,a "b"\n10,x,y'],
  ] as const)('csv with quotes: %s', (quote, expected) => {
    const rows = [
      { n: 10, text: 'x,y' },
      { n: 2, text: 'a "b"' },
    ];
    const numbers = { list: { columns: { N: 'n', Text: 'text' }, rows } };
    expect(render(numbers, { format: 'csv', quote, sortBy: ['n'] })).toBe(expected);
  });
  test('sorted by columns, also downwards', () => {
    const rows = [
      { a: 'x', b: 2 },
      { a: 'y', b: 10 },
      { a: 'x', b: 1 },
    ];
    const lines = (sortBy: string[], descending = false) =>
      render({ list: { columns: { A: 'a', B: 'b' }, rows } }, { format: 'value', sortBy, descending }).split('\n');
    expect(lines(['A', 'B'])).toEqual(['x 1', 'x 2', 'y 10']);
    expect(lines(['B'], true)).toEqual(['y 10', 'x 2', 'x 1']);
    expect(() => lines(['C'])).toThrow('there is no column "C" (there are A, B)');
  });
  test('json on one line', () => {
    expect(render(one, { format: 'json', noindent: true })).toBe('{"id":"1","name":"hello","up":true}');
  });
  test('people read nested values as words', () => {
    const nested = {
      one: { pools: [{ start: '10.0.0.1', end: '10.0.0.9' }], tags: ['a', 'b'], deep: { x: { y: 1 } } },
    };
    const table = render(nested);
    expect(table).toContain("start='10.0.0.1', end='10.0.0.9'");
    expect(table).toContain('a, b');
    expect(table).toContain('x={"y":1}');
  });
  test('colour only when asked for', () => {
    const state = { one: { status: 'ACTIVE' } };
    expect(render(state)).not.toContain('\u001b');
    expect(render(state, { colour: true })).toContain('\u001b[32mACTIVE');
  });
});

describe('suggestions', () => {
  test.each([
    ['sever', 'server', 1],
    ['lsit', 'list', 1],
    ['', 'abc', 3],
    ['same', 'same', 0],
    ['ab', 'ba', 1],
    ['abc', '', 3],
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
  test('a first word leads to the file of its commands, and every command is found that way', () => {
    for (const { name } of commands) expect(commandsFor(name.split(' ')[0]).map((each) => each.name)).toContain(name);
    expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length);
  });
  test('prefers the longest command', () => {
    expect(findCommand(['security', 'group', 'rule', 'list', 'web'], commands).command?.name).toBe(
      'security group rule list',
    );
  });
  test('every command has help with an example of itself, and its example is understood', () => {
    for (const command of commands) {
      expect(commandHelp(command)).toContain(exampleOf(command));
      const words = (
        exampleOf(command)
          .replace(/"[^"]*"/g, 'x')
          .match(/\S+/g) ?? []
      ).slice(1);
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
    expect(next.get('floating ip')).toEqual(['create', 'delete', 'list', 'set', 'show', 'unset']);
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

  test('comes from the directory of the user', () => {
    expect(resolve({}, 'a').username).toBe('from-home');
  });
  test('comes from the current directory before that', () => {
    file(here, { a: entry('from-here') });
    expect(resolve({}, 'a').username).toBe('from-here');
  });
  test('is named by the option before OS_CLOUD', () => {
    expect(resolve({}, 'b', { OS_CLOUD: 'a' }).username).toBe('b');
    expect(resolve({}, undefined, { OS_CLOUD: 'a' }).username).toBe('from-home');
  });
  test('is overridden by variables, and those by options', () => {
    const env = { OS_USERNAME: 'from-env', OS_PROJECT_NAME: 'p1' };
    expect(resolve({}, 'a', env)).toMatchObject({ username: 'from-env', project_name: 'p1' });
    const found = resolve({ username: 'from-option', project_id: 'p2' }, 'a', env);
    expect(found).toMatchObject({ username: 'from-option', project_id: 'p2', password: 'p' });
    expect(found).not.toHaveProperty('project_name');
  });
  test('needs no file when variables say all', () => {
    const env = { OS_AUTH_URL: 'http://env/v3', OS_USERNAME: 'u' };
    expect(resolve({}, undefined, env)).toEqual({ auth_url: 'http://env/v3', username: 'u' });
  });
  test('must be named when there are several', () => {
    expect(() => resolve()).toThrow('which cloud? Give --os-cloud or OS_CLOUD');
    expect(() => resolve({}, 'bb')).toThrow('has no cloud "bb": did you mean "b"?');
  });
  test('has secrets in a file of their own', () => {
    const secrets = { clouds: { a: { auth: { password: 'secret' } } } };
    writeFileSync(join(home, '.config/openstack/secure.yaml'), JSON.stringify(secrets));
    expect(resolve({}, 'a')).toMatchObject({ username: 'from-home', password: 'secret' });
    expect(resolve({}, 'b').password).toBe('p');
  });
  test.each(['clouds.yml', 'clouds.json'])('comes from %s too', (name) => {
    writeFileSync(join(here, name), JSON.stringify({ clouds: { c: entry('c') } }));
    expect(resolve({}, 'c').username).toBe('c');
  });
  test("comes from the file a variable names, and from the machine's places last", () => {
    const [named, site] = [join(home, 'named.yaml'), join(home, 'site')];
    writeFileSync(named, JSON.stringify({ clouds: { a: entry('named') } }));
    file(join(site, 'openstack'), { s: entry('site') });
    expect(resolve({}, 'a', { OS_CLIENT_CONFIG_FILE: named }).username).toBe('named');
    expect(resolve({}, 's', { HOME: site, XDG_CONFIG_DIRS: site }).username).toBe('site');
  });
  test('understands older names and default domains', () => {
    const env = { OS_AUTH_URL: 'u', OS_TENANT_NAME: 't', OS_DEFAULT_DOMAIN: 'd', OS_ENDPOINT_TYPE: 'internalURL' };
    expect(resolve({}, undefined, env)).toEqual({
      auth_url: 'u',
      project_name: 't',
      user_domain_name: 'd',
      project_domain_name: 'd',
      interface: 'internalURL',
    });
  });
  test('takes domains by id before those by name, and those of one owner before both', () => {
    const domains = { default_domain_id: 'd1', default_domain_name: 'dn', project_domain_name: 'pd' };
    file(here, { a: { ...entry('a'), ...domains } });
    expect(resolve({}, 'a')).toMatchObject({ user_domain_id: 'd1', project_domain_name: 'pd' });
    expect(resolve({}, 'a')).not.toHaveProperty('project_domain_id');
    const env = { OS_AUTH_URL: 'u', OS_DEFAULT_DOMAIN_NAME: 'dn', OS_DEFAULT_DOMAIN_ID: '' };
    expect(resolve({}, undefined, env)).toMatchObject({ user_domain_name: 'dn', project_domain_name: 'dn' });
  });
  test('is the only one of its file unless another is named', () => {
    file(here, { only: entry('only') });
    expect(resolve().username).toBe('only');
  });
  test('may have its settings beside auth, also as numbers and truth values', () => {
    file(here, { flat: { auth_url: 'http://flat', username: 'u', verify: false, compute_api_version: 2.1 } });
    expect(resolve({}, 'flat')).toEqual({
      auth_url: 'http://flat',
      username: 'u',
      verify: 'false',
      compute_api_version: '2.1',
    });
  });
  test.each(['- a', 'clouds: 5', '', 'clouds: {}'])('is not found in a file that holds none: %j', (text) => {
    const place = join(here, 'clouds.yaml');
    writeFileSync(place, text);
    expect(() => resolve({}, 'a')).toThrow(new Error(`${place} has no cloud "a"`));
    expect(() => resolve()).toThrow('no cloud is named: give --os-cloud');
  });
  test('that is called like no other is told with those there are', () => {
    expect(() => resolve({}, 'elsewhere')).toThrow('has no cloud "elsewhere" (it has a, b)');
  });
  test('without an address is told', () => {
    file(here, { a: null, b: { auth: { username: 'u' } } });
    expect(() => resolve({}, 'a')).toThrow('cloud "a" has no auth_url');
    expect(() => resolve({}, undefined, { OS_CLOUD: 'b' })).toThrow('cloud "b" has no auth_url');
  });
  test('without any file is told with the places that were looked at', () => {
    const env = { HOME: here, XDG_CONFIG_DIRS: here };
    expect(() => resolve({}, 'nowhere', env)).toThrow(
      `cloud "nowhere" is not known: there is no clouds.yaml (looked for ${join(here, 'clouds.yaml')}, `,
    );
    expect(() => resolve({}, undefined, env)).toThrow('no cloud is named: give --os-cloud');
  });
  test('of a broken file is told with its path', () => {
    writeFileSync(join(here, 'clouds.yaml'), 'clouds: [');
    expect(() => resolve({}, 'a')).toThrow(join(here, 'clouds.yaml'));
  });
});
