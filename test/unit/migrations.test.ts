// Migrations make the tables that the entities describe, and take back all they made.
import { text, type DatabaseOptions, type Table } from '@cumulet/controller';
import { flag, id, integer, nullable } from '../../controller/src/db/columns';
import { mariadbSource } from '../../controller/src/db/mariadb';
import { migrations } from '../../controller/src/db/migrations';
import { PlacementCatalog } from '../../controller/src/db/migrations/placementCatalog';
import { addColumn, addIndex, addUnique, createTable, migration } from '../../controller/src/db/migrations/migration';
import { sqliteSource } from '../../controller/src/db/sqlite';
import { allTables } from '../../controller/src/db/tables';
import { entitySchemas } from '../support/entitySchemas';
import { createTestDatabase, type TestDatabase } from '../support/testDatabase';

let made: TestDatabase;
let source: ReturnType<typeof sqliteSource>;

const sourceOf = (options: DatabaseOptions): typeof source => {
  const one = options.kind === 'sqlite' ? sqliteSource(options, false) : mariadbSource(options);
  return one.setOptions({ entities: entitySchemas(options.kind) });
};

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

describe('the catalog of a cloud that is in use', () => {
  const types = async (): Promise<string[]> => {
    const rows: { type: string }[] = await source.query('SELECT type FROM catalog_service ORDER BY type');
    return rows.map(({ type }) => type);
  };
  const endpoints = (): Promise<unknown> =>
    source.query("SELECT interface, region_id, url FROM catalog_endpoint WHERE url = '/placement' ORDER BY interface");
  const up = (): Promise<unknown> => source.runMigrations({ transaction: 'none' });
  /** Takes back what came with the placement service's entry, and later. */
  async function before(): Promise<void> {
    for (const one of [...migrations].reverse()) {
      await source.undoLastMigration({ transaction: 'none' });
      if (one === PlacementCatalog) return;
    }
  }

  beforeEach(async () => {
    await up();
    await before();
    await source.query(
      "INSERT INTO catalog_service (id, type, name, enabled, extra) VALUES ('i', 'identity', 'k', 1, '{}')",
    );
    await source.query(
      `INSERT INTO catalog_endpoint (id, service_id, interface, region_id, url, enabled, extra)
       VALUES ('a', 'i', 'public', 'One', '/identity', 1, '{}'), ('b', 'i', 'admin', NULL, '/identity', 1, '{}')`,
    );
  });

  test('gets the placement service beside identity, and loses it again', async () => {
    await up();
    expect(await types()).toEqual(['identity', 'placement']);
    expect(await endpoints()).toEqual([
      { interface: 'admin', region_id: null, url: '/placement' },
      { interface: 'public', region_id: 'One', url: '/placement' },
    ]);
    await before();
    expect(await types()).toEqual(['identity']);
    expect(await endpoints()).toEqual([]);
  });

  test('gets it once, also when a try was cut off or somebody made it by hand', async () => {
    await source.query(
      "INSERT INTO catalog_service (id, type, name, enabled, extra) VALUES ('p', 'placement', 'mine', 1, '{}')",
    );
    await up();
    expect(await types()).toEqual(['identity', 'placement']);
    expect(await endpoints()).toHaveLength(2);
    await source.query(`DELETE FROM migrations WHERE name LIKE 'PlacementCatalog%'`);
    await up();
    expect(await endpoints()).toHaveLength(2);
  });

  test('stays as it is where identity has no addresses', async () => {
    await source.query('DELETE FROM catalog_endpoint');
    await up();
    expect(await endpoints()).toEqual([]);
  });
});
