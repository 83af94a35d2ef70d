// The section `database` names a file or a server; what does not fit together is said before anything starts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { ControllerConfig } from '@cumulet/controller';
import { databaseOptions } from '../../controller/src/databaseConfig';

let directory: string;
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const optionsOf = (database: object) =>
  databaseOptions(parseConfig(ControllerConfig, JSON.stringify({ data_dir: '/data', database }), 'test'));

beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'cumulet-config-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('without a word it is a file in the data directory', () => {
  expect(optionsOf({})).toEqual({ kind: 'sqlite', path: '/data/cumulet.db', durable: true });
  expect(optionsOf({ path: '/elsewhere.db' })).toMatchObject({ path: '/elsewhere.db' });
});

test('a server is named by host and port or by socket; the password comes from its file', () => {
  const password_file = file('password', 'secret word\n');
  expect(optionsOf({ kind: 'mariadb', host: 'db.lab', password_file })).toEqual({
    kind: 'mariadb',
    host: 'db.lab',
    port: 3306,
    user: 'cumulet',
    password: 'secret word',
    database: 'cumulet',
    poolSize: 10,
  });
  expect(optionsOf({ kind: 'mariadb', socket: '/run/db', password_file, pool_size: 4 })).toMatchObject({
    socket: '/run/db',
    poolSize: 4,
  });
});

test('certificates are read', () => {
  const [password_file, ca, cert, key] = ['password', 'ca', 'cert', 'key'].map((name) => file(name, name));
  const server = { kind: 'mariadb', host: 'db.lab', password_file };
  expect(optionsOf({ ...server, tls: { ca } })).toMatchObject({ tls: { ca: 'ca' } });
  expect(optionsOf({ ...server, tls: { ca, cert, key } })).toMatchObject({
    tls: { ca: 'ca', cert: 'cert', key: 'key' },
  });
});

test.each([
  ['an unknown key', { kind: 'sqlite', pasword: 'x' }, 'database: unknown key'],
  ['an unknown kind', { kind: 'postgres' }, 'database.kind: must be one of ["sqlite","mariadb"]'],
  ['no password file', { kind: 'mariadb' }, 'database.password_file: is needed'],
  [
    'a password file that is not there',
    { kind: 'mariadb', password_file: '/nowhere' },
    'database.password_file: can not',
  ],
  ['a pool of one', { kind: 'mariadb', pool_size: 1 }, 'database.pool_size'],
])('%s is refused in words', (_, database, words) => {
  expect(() => optionsOf(database)).toThrow(words);
});

test('a certificate without its key, and one that no name can be compared with, are refused', () => {
  const [password_file, ca, cert] = ['password', 'ca', 'cert'].map((name) => file(name, name));
  const server = { kind: 'mariadb', host: 'db.lab', password_file };
  expect(() => optionsOf({ ...server, tls: { ca, cert } })).toThrow('cert and key go together');
  expect(() => optionsOf({ ...server, host: '10.0.0.1', tls: { ca } })).toThrow("the server's host as a name");
  expect(() => optionsOf({ ...server, socket: '/run/db', tls: { ca } })).toThrow("the server's host as a name");
});
