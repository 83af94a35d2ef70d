// Migrations make the tables that the entities describe, and take back all they made.
import { text, type DatabaseOptions, type Table } from '@cumulet/controller';
import { flag, id, integer, nullable } from '../../controller/src/db/columns';
import { mariadbSource } from '../../controller/src/db/mariadb';
import { migrations } from '../../controller/src/db/migrations';
import { addColumn, addIndex, addUnique, createTable, migration } from '../../controller/src/db/migrations/migration';
import { sqliteSource } from '../../controller/src/db/sqlite';
import { allTables } from '../../controller/src/db/tables';
import { createTestDatabase, type TestDatabase } from '../support/testDatabase';

let made: TestDatabase;
let source: ReturnType<typeof sqliteSource>;

const sourceOf = (options: DatabaseOptions): typeof source =>
  options.kind === 'sqlite' ? sqliteSource(options, false) : mariadbSource(options);

beforeEach(async () => {
  made = await createTestDatabase();
  source = await sourceOf(made.options).initialize();
});
afterEach(async () => {
  await source.destroy();
  await made.drop();
});

/** The tables that are there, without the ORM's list of migrations. */
async function tableNames(): Promise<string[]> {
  const sql =
    made.options.kind === 'sqlite'
      ? "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
      : 'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()';
  const rows: { name: string }[] = await source.query(sql);
  return rows
    .map(({ name }) => name)
    .filter((name) => name !== 'migrations')
    .sort();
}

test('the migrated tables are those of the entities: nothing is left to change', async () => {
  await source.runMigrations({ transaction: 'none' });
  expect(await tableNames()).toEqual(allTables.map((one: Table) => one.name).sort());
  const { upQueries } = await source.driver.createSchemaBuilder().log();
  // A statement here is what a new file in db/migrations must do: see docs/architecture.md.
  expect(upQueries.map((one) => one.query)).toEqual([]);
});

test('every text compares byte by byte', async () => {
  if (made.options.kind === 'sqlite') return;
  await source.runMigrations({ transaction: 'none' });
  const others: unknown = await source.query(
    `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ? AND table_name <> 'migrations'
     AND collation_name IS NOT NULL AND collation_name <> 'utf8mb4_nopad_bin'`,
    [made.options.database],
  );
  expect(others).toEqual([]);
});

test('taking all migrations back leaves no table', async () => {
  await source.runMigrations({ transaction: 'none' });
  for (const _ of migrations) await source.undoLastMigration({ transaction: 'none' });
  expect(await tableNames()).toEqual([]);
  await source.runMigrations({ transaction: 'none' });
  expect(await tableNames()).toHaveLength(allTables.length);
});

test('a migration that was cut off is done by the next start', async () => {
  await source.runMigrations({ transaction: 'none' });
  await source.query('DELETE FROM migrations');
  await source.query('DROP TABLE server');
  await source.runMigrations({ transaction: 'none' });
  expect(await tableNames()).toHaveLength(allTables.length);
});

test('a later migration adds columns, indices and keys, and takes them back', async () => {
  const First = migration('First1700000000001', [createTable('thing', { id: id(), name: text() })]);
  const Second = migration('Second1700000000002', [
    addColumn('thing', 'size', integer(), 7),
    addColumn('thing', 'note', nullable(text())),
    addColumn('thing', 'shared', flag(), false),
    addIndex('thing', ['size']),
    addUnique('thing', ['name', 'size']),
  ]);
  const runner = source.createQueryRunner();
  const insert = (values: string): Promise<unknown> =>
    runner.query(`INSERT INTO thing (id, name, size, shared) VALUES ${values}`);
  try {
    await new First().up(runner);
    await runner.query("INSERT INTO thing (id, name) VALUES ('1', 'old')");
    await new Second().up(runner);
    // Cut off before it was noted as done.
    await new Second().up(runner);
    expect(await runner.query('SELECT id, name, size, note, shared FROM thing')).toEqual([
      { id: '1', name: 'old', size: 7, note: null, shared: 0 },
    ]);
    await expect(insert("('2', 'new', NULL, 0)")).rejects.toThrow(/null/i);
    await expect(insert("('2', 'old', 7, 0)")).rejects.toThrow(/unique|duplicate/i);
    expect((await runner.getTable('thing'))?.indices.map((one) => one.name)).toContain('ix_thing_size');
    await new Second().down(runner);
    expect(await runner.query('SELECT * FROM thing')).toEqual([{ id: '1', name: 'old' }]);
    await new First().down(runner);
    expect(await tableNames()).toEqual([]);
  } finally {
    await runner.release();
  }
});
