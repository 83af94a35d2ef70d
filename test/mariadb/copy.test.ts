// A cloud moves from SQLite to MariaDB: every row as it was, numbers that were given out stay so, and nothing is copied half-way unseen.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { ControllerConfig, MoreThan, openDatabase, type Database } from '@cumulet/controller';
import { copyToMariadb } from '../../controller/src/copyDatabase';
import { copyDatabase } from '../../controller/src/db';
import { tokenKeys } from '../../controller/src/db/entities/identity';
import { changes } from '../../controller/src/db/entities/tasks';
import { sqliteSource } from '../../controller/src/db/sqlite';
import { allTables } from '../../controller/src/db/tables';
import { createTestDatabase, type TestDatabase } from '../support/testDatabase';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let directory: string;
let path: string;
let target: TestDatabase;
const clouds: TestCloud[] = [];
const defaults = parseConfig(ControllerConfig, '', 'defaults');

const mariadb = () => {
  if (target.options.kind !== 'mariadb') throw new Error('this runs with MariaDB only');
  return target.options;
};
const copy = () => copyDatabase({ kind: 'sqlite', path }, mariadb());

async function start(database: TestDatabase['config']): Promise<TestCloud> {
  const config = {
    database: { ...defaults.database, ...database },
    token_key_file: join(directory, 'keys'),
    image: { ...defaults.image, dir: join(directory, 'images') },
  };
  const made = await startTestCloud({ realIdentity: false, config });
  clouds.push(made);
  return made;
}
const stop = async (): Promise<void> => {
  for (const one of clouds.splice(0)) await one.stop();
};

/** Makes a cloud with some of everything that is easily mangled, and more rows than go at once. */
async function fill(): Promise<void> {
  const made = await start({ kind: 'sqlite', path });
  for (const name of ['lan', 'LAN', 'größe \u{1f600}', ' ends with a blank '])
    expect((await made.call('POST', '/network/v2.0/networks', { body: { network: { name } } })).status).toBe(201);
  const change = { kind: 'port', network_id: null, created_at: 0 };
  await made.cloud.db.write(async (session) => {
    await session.insert(
      changes,
      Array.from({ length: 1200 }, (_, at) => ({ ...change, object_id: `p${at}` })),
    );
    await session.delete(changes, { sequence: MoreThan(1100) });
  });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-copy-'));
  path = join(directory, 'cumulet.db');
  target = await createTestDatabase();
});
afterEach(async () => {
  await stop();
  await target.drop();
  rmSync(directory, { recursive: true, force: true });
});

async function inDatabase<T>(options: TestDatabase['options'], work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openDatabase(options);
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

test('every row of every table is there as it was, the cloud runs on it, and numbers go on after the last one', async () => {
  await fill();
  await stop();
  const counts = await copy();
  expect(counts.size).toBe(allTables.length);
  expect([counts.get(changes.name), counts.get('network')]).toEqual([1100, 4]);
  for (const table of allTables) {
    const rowsOf = (options: TestDatabase['options']) =>
      inDatabase(options, (db) => db.read((session) => session.find(table)));
    const inOrder = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort();
    expect([table.name, inOrder(await rowsOf(target.options))]).toEqual([
      table.name,
      inOrder(await rowsOf({ kind: 'sqlite', path })),
    ]);
  }
  const next = await inDatabase(target.options, (db) =>
    db.write((session) =>
      session.insert(changes, { kind: 'port', object_id: 'next', network_id: null, created_at: 0 }),
    ),
  );
  expect(next).toBeGreaterThan(1200);
  const moved = await start(target.config);
  const { body } = await moved.call('GET', '/network/v2.0/networks');
  expect(body.networks).toHaveLength(4);
});

test('what is in use, missing, of an older version or goes to a database with rows is refused, and nothing is copied', async () => {
  await expect(copy()).rejects.toThrow('cumulet.db is not there');
  await fill();
  await expect(copy()).rejects.toThrow('stop what uses it');
  await stop();

  const source = await sqliteSource({ kind: 'sqlite', path }, false).initialize();
  await source.undoLastMigration();
  await source.destroy();
  await expect(copy()).rejects.toThrow('older version');
  await inDatabase({ kind: 'sqlite', path }, () => Promise.resolve());

  await inDatabase(target.options, (db) =>
    db.write((session) => session.insert(changes, { kind: 'port', object_id: 'x', network_id: null, created_at: 0 })),
  );
  await expect(copy()).rejects.toThrow(`is not empty (${changes.name})`);
  expect(await inDatabase(target.options, (db) => db.read((session) => session.count(tokenKeys)))).toBe(0);
});

test('a text that MariaDB would refuse is named with its row', async () => {
  await fill();
  await stop();
  const source = await sqliteSource({ kind: 'sqlite', path }, false).initialize();
  await source.query("UPDATE network SET name = ? WHERE name = 'lan'", ['x'.repeat(300)]);
  await source.destroy();
  await expect(copy()).rejects.toThrow(/^network: name is longer than 255 characters where id = [0-9a-f-]{36}$/);
});

test('the option of the controller copies what its configuration names', async () => {
  await fill();
  await stop();
  const password_file = join(directory, 'password');
  writeFileSync(password_file, mariadb().password);
  const { cloud } = await start({ kind: 'sqlite', path: join(directory, 'other.db') });
  // Without a path it is the file where a cloud with SQLite has it.
  const database = { ...cloud.config.database, ...target.config, path: null, password_file };
  const config = { ...cloud.config, data_dir: directory, database };
  await stop();
  expect(await copyToMariadb.run(config)).toMatch(
    /^\d{4,} rows of \d+ tables were copied from .*cumulet\.db and counted in /,
  );
  const sqlite = { ...config, database: { ...config.database, kind: 'sqlite' as const } };
  await expect(copyToMariadb.run(sqlite)).rejects.toThrow('database.kind: must be mariadb');
});
