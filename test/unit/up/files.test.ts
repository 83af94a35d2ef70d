// What `up` keeps in files: the first configuration, the demo's state and the caller's ssh key, each made once.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { asUser, callingUser, findUser } from '../../../cli/src/up/callingUser';
import { adminPassword, configure, demoState, knownUsers, saveDemoState } from '../../../cli/src/up/configure';
import { sshKey } from '../../../cli/src/up/sshKey';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'cumulet-up-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const modeOf = (file: string): number => statSync(file).mode & 0o777;

describe('the configuration', () => {
  const config = () => path.join(directory, 'etc');
  const bootstrap = () => path.join(config(), 'bootstrap.json');

  test('is written once, with a password that only root reads', () => {
    configure(config(), '/var/lib/mine');
    const yaml = readFileSync(path.join(config(), 'cumulet.yaml'), 'utf8');
    expect(yaml).toContain('data_dir: /var/lib/mine');
    expect(yaml).toContain(`bootstrap_file: ${bootstrap()}`);
    expect(yaml).toMatch(/external_address: 172\.24\.\d+\.1\/24/);
    expect(modeOf(bootstrap())).toBe(0o600);
    const password = adminPassword(config());
    expect(password).toMatch(/^[\w-]{24}$/);
    expect(configure(config(), '/var/lib/other')).toEqual([]);
    expect(readFileSync(path.join(config(), 'cumulet.yaml'), 'utf8')).toBe(yaml);
    expect(adminPassword(config())).toBe(password);
  });

  test.each([
    ['{"admin_password": ', 'cannot be read'],
    ['{"password": "x"}', 'holds no admin_password'],
    ['{"admin_password": 5}', 'holds no admin_password'],
    ['null', 'holds no admin_password'],
  ])('with %s for a password is refused and its file named', (text, words) => {
    mkdirSync(config());
    writeFileSync(bootstrap(), text);
    expect(() => adminPassword(config())).toThrow(`${bootstrap()} ${words}`);
  });

  test('that is missing is named', () => {
    expect(() => adminPassword(config())).toThrow(`${bootstrap()} cannot be read: ENOENT`);
  });
});

test("the demo's password stays, and those who have it are known", () => {
  expect(knownUsers(directory)).toEqual([]);
  const state = demoState(directory);
  expect(state).toMatchObject({ finished: false, users: [] });
  expect(modeOf(path.join(directory, 'demo.json'))).toBe(0o600);
  expect(demoState(directory)).toEqual(state);
  saveDemoState(directory, { ...state, finished: true, users: ['me'] });
  expect(demoState(directory)).toEqual({ password: state.password, finished: true, users: ['me'] });
  expect(knownUsers(directory)).toEqual(['me']);
});

describe('the ssh key', () => {
  const file = (name: string): string => path.join(directory, '.ssh', name);
  const user = () => ({ ...userInfo(), name: 'me', home: directory });
  const put = (name: string, text: string): void => {
    mkdirSync(path.dirname(file(name)), { recursive: true });
    writeFileSync(file(name), text);
  };

  test('that is there is taken, the newer kind first', () => {
    put('id_rsa.pub', 'ssh-rsa AAAA me\n');
    put('id_ecdsa.pub', 'ecdsa-sha2-nistp256 AAAA me\n');
    expect(sshKey(user())).toEqual({
      publicKey: 'ecdsa-sha2-nistp256 AAAA me',
      privateFile: file('id_ecdsa'),
      usual: true,
      made: false,
    });
  });

  test('in a file that holds none is passed over', () => {
    put('id_ed25519.pub', '\n');
    put('id_rsa.pub', 'ssh-rsa AAAA me\n');
    expect(sshKey(user()).privateFile).toBe(file('id_rsa'));
  });

  test('is made when there is none, and taken the next time', () => {
    const made = sshKey(user());
    expect(made).toMatchObject({ privateFile: file('id_ed25519'), usual: true, made: true });
    expect(made.publicKey).toMatch(/^ssh-ed25519 \S+ me@cumulet$/);
    expect(modeOf(made.privateFile)).toBe(0o600);
    expect(modeOf(path.dirname(made.privateFile))).toBe(0o700);
    expect(sshKey(user())).toEqual({ ...made, made: false });
  });

  test("is made beside a private one whose public half is missing, which stays the user's", () => {
    put('id_ed25519', 'mine');
    const made = sshKey(user());
    expect(made).toMatchObject({ privateFile: file('id_cumulet'), usual: false, made: true });
    expect(execFileSync('ssh-keygen', ['-y', '-f', made.privateFile], { encoding: 'utf8' })).toContain(
      made.publicKey.split(' ')[1],
    );
    expect(readFileSync(file('id_ed25519'), 'utf8')).toBe('mine');
    expect(sshKey(user())).toEqual({ ...made, made: false });
  });
});

describe('the calling user', () => {
  test("is looked up in the system's database", () => {
    const { username, uid, gid, homedir } = userInfo();
    expect(callingUser(username)).toEqual({ name: username, uid, gid, home: homedir });
    expect(findUser('no-such-user')).toBeUndefined();
    expect(() => callingUser('no-such-user')).toThrow('there is no user no-such-user');
  });

  test("is who touches files, also when that fails; root's rights come back", () => {
    const root = userInfo().uid === 0;
    const [uid, gid] = root ? [65534, 65534] : [userInfo().uid, userInfo().gid];
    const user = { name: 'somebody', uid, gid, home: directory };
    expect(asUser(user, () => process.geteuid?.())).toBe(uid);
    expect(process.geteuid?.()).toBe(userInfo().uid);
    expect(process.getegid?.()).toBe(userInfo().gid);
    expect(() => asUser(user, () => writeFileSync('/no-file-of-ours', ''))).toThrow(/EACCES|EROFS/);
    expect(existsSync('/no-file-of-ours')).toBe(false);
    expect(process.geteuid?.()).toBe(userInfo().uid);
  });
});
