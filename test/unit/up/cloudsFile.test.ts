// clouds.yaml keeps what others wrote in it.
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { cloudEntry, mergeClouds, writeClouds } from '../../../cli/src/up/cloudsFile';

const entry = cloudEntry('http://127.0.0.1:5000', 'demo', 'secret', 'demo');
const others = `# mine
clouds:
  other:
    auth: {auth_url: "https://elsewhere", password: 'x'} # keep
    region_name: two
# the end
cache:
  expiration_time: 5
`;

test('an empty file gets the entry with the version the client needs', () => {
  expect(mergeClouds('', { 'cumulet-demo': entry })).toBe(`clouds:
  cumulet-demo:
    auth:
      auth_url: http://127.0.0.1:5000/v3
      username: demo
      password: secret
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    interface: public
    identity_api_version: "3"
    compute_api_version: "2.79"
`);
});

test('other entries, their comments and other keys stay', () => {
  const merged = mergeClouds(others, { 'cumulet-demo': entry });
  for (const line of [
    '# mine',
    "password: 'x'",
    '# keep',
    'region_name: two',
    '# the end',
    'expiration_time: 5',
    'username: demo',
  ]) {
    expect(merged).toContain(line);
  }
});

test('the same entries again change nothing, not even the layout', () => {
  const once = mergeClouds(others, { cumulet: entry, 'cumulet-demo': entry });
  const spaced = once.replace('clouds:\n', 'clouds:\n\n\n');
  expect(mergeClouds(spaced, { cumulet: entry, 'cumulet-demo': entry })).toBe(spaced);
});

test('an entry is replaced when its password changed, and removed when asked', () => {
  const once = mergeClouds(others, { cumulet: entry });
  const changed = mergeClouds(once, { cumulet: cloudEntry('http://127.0.0.1:5000', 'demo', 'new', 'demo') });
  expect(changed).toContain('password: new');
  expect(changed).not.toContain('password: secret');
  const removed = mergeClouds(changed, { cumulet: undefined });
  expect(removed).not.toContain('cumulet');
  expect(removed).toContain('other:');
});

test.each(['clouds: [1, 2]', '- a', 'clouds: {a: [', 'just words'])(
  'a file that is no clouds.yaml is refused and named: %s',
  (text) => {
    expect(() => mergeClouds(text, { cumulet: entry }, '/home/x/clouds.yaml')).toThrow(/\/home\/x\/clouds\.yaml/);
  },
);

describe('the file', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(path.join(tmpdir(), 'cumulet-clouds-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));
  const user = () => ({ name: userInfo().username, uid: userInfo().uid, gid: userInfo().gid, home });

  test('is made with its directory and readable by its owner only', () => {
    const file = writeClouds(user(), { cumulet: entry });
    expect(file).toBe(path.join(home, '.config/openstack/clouds.yaml'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
  });

  test('loses the rights of others', () => {
    const directory = path.join(home, '.config/openstack');
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, 'clouds.yaml');
    writeFileSync(file, others);
    chmodSync(file, 0o644);
    writeClouds(user(), { cumulet: entry });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain('# keep');
  });

  test('goes with its directory when our entries were all that was in it', () => {
    const file = writeClouds(user(), { cumulet: entry });
    writeClouds(user(), { cumulet: undefined });
    expect(existsSync(file)).toBe(false);
    expect(existsSync(path.dirname(file))).toBe(false);
    writeClouds(user(), { cumulet: undefined });
    expect(existsSync(path.dirname(file))).toBe(false);
  });

  test('is not touched when it cannot be understood', () => {
    const directory = path.join(home, '.config/openstack');
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, 'clouds.yml'), 'clouds: {a: [');
    expect(() => writeClouds(user(), { cumulet: entry })).toThrow(/clouds\.yml is not valid YAML/);
    expect(readFileSync(path.join(directory, 'clouds.yml'), 'utf8')).toBe('clouds: {a: [');
  });

  describe('that is a link', () => {
    let link: string;
    beforeEach(() => {
      mkdirSync(path.join(home, 'dotfiles'));
      mkdirSync(path.join(home, '.config/openstack'), { recursive: true });
      link = path.join(home, '.config/openstack/clouds.yaml');
    });
    const linkTo = (target: string): void => symlinkSync(target, link);

    test('stays one: what it leads to is changed, and is its owner’s alone', () => {
      const target = path.join(home, 'dotfiles/clouds.yaml');
      writeFileSync(target, others, { mode: 0o644 });
      linkTo('../../dotfiles/clouds.yaml');
      expect(writeClouds(user(), { cumulet: entry })).toBe(link);
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(readFileSync(target, 'utf8')).toContain('# keep');
      expect(readFileSync(target, 'utf8')).toContain('username: demo');
      expect(lstatSync(target).isFile()).toBe(true);
      expect(statSync(target).mode & 0o777).toBe(0o600);
      expect(readdirSync(path.dirname(target))).toEqual(['clouds.yaml']);
      writeClouds(user(), { cumulet: undefined });
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(readFileSync(target, 'utf8')).not.toContain('username: demo');
    });

    test('keeps its place when our entries were all that was in it', () => {
      const target = path.join(home, 'dotfiles/clouds.yaml');
      writeFileSync(target, '');
      linkTo(target);
      writeClouds(user(), { cumulet: entry });
      writeClouds(user(), { cumulet: undefined });
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(readFileSync(target, 'utf8')).toBe('clouds: {}\n');
    });

    test('to nothing is replaced by the file', () => {
      linkTo(path.join(home, 'dotfiles/none.yaml'));
      writeClouds(user(), { cumulet: entry });
      expect(lstatSync(link).isFile()).toBe(true);
    });

    test('to a file of another user is refused, and nothing is written', () => {
      let target = '/etc/passwd';
      if (userInfo().uid === 0) {
        target = path.join(home, 'dotfiles/foreign.yaml');
        writeFileSync(target, others, { mode: 0o666 });
        chownSync(target, 1, 1);
      }
      const before = readFileSync(target, 'utf8');
      linkTo(target);
      expect(() => writeClouds(user(), { cumulet: entry })).toThrow(/which is not the file of/);
      expect(readFileSync(target, 'utf8')).toBe(before);
      expect(readdirSync(path.dirname(link))).toEqual(['clouds.yaml']);
    });
  });
});
