// What becomes of an SQLite file that is of another version: backed up and migrated, or left as it was.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkVersion, openDatabase } from '@cumulet/controller';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { id, nullable, text } from '../../controller/src/db/columns';
import { migrations } from '../../controller/src/db/migrations';
import { addColumn, createTable, migration, type MigrationStep } from '../../controller/src/db/migrations/migration';
import { sqliteSource } from '../../controller/src/db/sqlite';

type Migration = new () => MigrationInterface;

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-backup-'));
  path = join(directory, 'cumulet.db');
});
afterEach(() => rmSync(directory, { recursive: true }));

const optionsOf = (all: readonly Migration[]) => ({ kind: 'sqlite', path, durable: false, migrations: all }) as const;

/** Opens it as a version of the controller with these migrations does. @returns the backups that it tells of */
async function open(all: readonly Migration[] = migrations): Promise<string[]> {
  const told: string[] = [];
  await (await openDatabase({ ...optionsOf(all), onBackup: (file) => void told.push(file) })).close();
  return told;
}

/** Asks a file, whatever its version, as nobody who migrates. */
async function ask<T>(sql: string, file = path): Promise<T[]> {
  const source = await sqliteSource({ kind: 'sqlite', path: file }, true).initialize();
  try {
    return await source.query(sql);
  } finally {
    await source.destroy();
  }
}

const backups = (): string[] => (existsSync(join(directory, 'backups')) ? readdirSync(join(directory, 'backups')) : []);
const schema = (file = path) => ask<{ sql: string }>('SELECT type, name, sql FROM sqlite_master ORDER BY name', file);
const services = (file = path) => ask<{ type: string }>('SELECT type FROM catalog_service ORDER BY type', file);

/** The cloud as it was four versions ago, with a service and its address in it. */
const OLD = migrations.slice(0, 4);
async function oldCloud(): Promise<void> {
  await open(OLD);
  const source = await sqliteSource(optionsOf(OLD), false).initialize();
  await source.query(
    "INSERT INTO catalog_service (id, type, name, enabled, extra) VALUES ('i', 'identity', 'k', 1, '{}')",
  );
  await source.query(
    `INSERT INTO catalog_endpoint (id, service_id, interface, region_id, url, enabled, extra)
     VALUES ('a', 'i', 'public', 'One', '/identity', 1, '{}')`,
  );
  await source.destroy();
}

/** A migration of a later version that runs these statements and then finds something that it can't go on with. */
const Broken = (...before: string[]): Migration => {
  const half: MigrationStep = {
    up: async (runner: QueryRunner) => {
      for (const sql of before) await runner.query(sql);
      await runner.query('INSERT INTO no_such_table VALUES (1)');
    },
    down: () => Promise.resolve(),
  };
  return migration('Broken1900000000000', [
    createTable('half_made', { id: id() }),
    addColumn('catalog_service', 'half', nullable(text())),
    half,
  ]);
};

test('a new file and one that is up to date are not backed up; others can not read it', async () => {
  expect(await open()).toEqual([]);
  expect(await open()).toEqual([]);
  expect(backups()).toEqual([]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a file of an older version is backed up as it was, for its owner alone, and then migrated', async () => {
  await oldCloud();
  const before = await schema();
  const [backup = ''] = await open();
  expect(backups().map((name) => join(directory, 'backups', name))).toEqual([backup]);
  expect(statSync(backup).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'backups')).mode & 0o777).toBe(0o700);
  expect(await services()).toEqual([{ type: 'identity' }, { type: 'placement' }]);
  expect(await schema(backup)).toEqual(before);
  expect(await services(backup)).toEqual([{ type: 'identity' }]);
});

test('the newest three backups are kept, and nothing of one that was cut off', async () => {
  await open(migrations.slice(0, 1));
  mkdirSync(join(directory, 'backups'));
  writeFileSync(join(directory, 'backups/cumulet-2020-01-01T000000.000Z.db.partial'), '');
  writeFileSync(join(directory, 'backups/other.db'), '');
  const made: string[] = [];
  for (const count of [2, 3, 4, 5]) made.push(...(await open(migrations.slice(0, count))));
  expect(made).toHaveLength(4);
  const kept = made.slice(1).map((file) => file.slice(directory.length + '/backups/'.length));
  expect(backups().sort()).toEqual([...kept, 'other.db']);
});

describe('a migration that fails half-way', () => {
  test.each([
    ['and is rolled back', []],
    // What a rollback does not take back.
    ['after it committed what it had done', ["DELETE FROM catalog_service WHERE id = 'i'", 'COMMIT']],
  ])('%s leaves the file as it was, and says which it was', async (_, statements) => {
    await oldCloud();
    const [before, rows] = [await schema(), await services()];
    await expect(open([...migrations, Broken(...statements)])).rejects.toThrow(
      /^the database \S+ could not be migrated and is again as it was before: migration Broken1900000000000: .*no such table: no_such_table\. Run the version that ran before/,
    );
    expect(readdirSync(directory).filter((name) => !/-(?:wal|shm)$/.test(name))).toEqual(['backups', 'cumulet.db']);
    expect(await schema()).toEqual(before);
    expect(await services()).toEqual(rows);
    expect(backups()).toEqual([]);
    // The version before goes on, and a mended one as well.
    expect(await open(OLD)).toEqual([]);
    expect(await open()).toHaveLength(1);
  });

  test('in a new file is an error of its own', async () => {
    await expect(open([...migrations, Broken()])).rejects.toThrow(/^migration Broken1900000000000: /);
    expect(await ask("SELECT name FROM sqlite_master WHERE name = 'server'")).toEqual([]);
  });

  test('names the backup when that can not be put back', async () => {
    await oldCloud();
    mkdirSync(`${path}.restored`);
    await expect(open([...migrations, Broken()])).rejects.toThrow(
      /could not be migrated \(migration Broken.*\), and its backup could not be put back \(.*\): copy \S+backups\/cumulet-\S+\.db to \S+cumulet\.db before/,
    );
    expect(backups()).toHaveLength(1);
  });
});

test('a file that can not be backed up is not migrated', async () => {
  await oldCloud();
  const before = await schema();
  writeFileSync(join(directory, 'backups'), 'in the way');
  await expect(open()).rejects.toThrow(/was not migrated, because it could not be backed up to \S+backups before: /);
  expect(await schema()).toEqual(before);
});

test('whether a file is of a newer version is told without touching it', async () => {
  const check = (all: readonly Migration[] = migrations) => checkVersion(optionsOf(all));
  await expect(check()).resolves.toBeUndefined();
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, '');
  await expect(check()).resolves.toBeUndefined();
  await open(OLD);
  const before = await schema();
  await expect(check()).resolves.toBeUndefined();
  expect(await schema()).toEqual(before);
  await open();
  await expect(check(OLD)).rejects.toThrow(/is of a newer version, which made .*ConsoleTickets/);
  const server = {
    kind: 'mariadb',
    host: 'none.invalid',
    port: 1,
    user: 'x',
    password: 'x',
    database: 'x',
    poolSize: 1,
  } as const;
  await expect(checkVersion(server)).resolves.toBeUndefined();
});

test('a file of a newer version is refused in words', async () => {
  await open();
  await expect(open(OLD)).rejects.toThrow(
    /is of a newer version, which made ServerStates\d+, ConsoleTickets\d+, .*: run that version, or .*backups/,
  );
  expect(await open()).toEqual([]);
});
