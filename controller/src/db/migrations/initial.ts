// The first schema: every table as it is described in entities/.
import { Table as OrmTable, type MigrationInterface, type QueryRunner } from 'typeorm';
import type { DatabaseEngine, Table } from '../columns';
import { allTables } from '../tables';

function ormTable(table: Table, engine: DatabaseEngine): OrmTable {
  return new OrmTable({
    name: table.name,
    columns: Object.entries(table.columns).map(([name, column]) => {
      const options = column.options(engine);
      const generated = options.generated === 'increment';
      return {
        name,
        type: options.type as string,
        isNullable: options.nullable === true,
        isPrimary: table.primary.includes(name),
        ...(options.length === undefined ? {} : { length: String(options.length) }),
        ...(options.collation === undefined ? {} : { charset: options.charset, collation: options.collation }),
        ...(generated ? { isGenerated: true, generationStrategy: 'increment' as const } : {}),
      };
    }),
    uniques: table.unique.map((on) => ({ name: `uq_${table.name}_${on.join('_')}`, columnNames: [...on] })),
    indices: table.indices.map((on) => ({ name: `ix_${table.name}_${on.join('_')}`, columnNames: [...on] })),
  });
}

export class Initial1700000000000 implements MigrationInterface {
  readonly name = 'Initial1700000000000';

  async up(runner: QueryRunner): Promise<void> {
    const engine: DatabaseEngine = runner.connection.options.type === 'better-sqlite3' ? 'sqlite' : 'mariadb';
    for (const table of allTables) await runner.createTable(ormTable(table, engine));
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of [...allTables].reverse()) await runner.dropTable(table.name);
  }
}
