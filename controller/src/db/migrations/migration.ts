// What migrations are made of: steps that can be taken and taken back, the same on both engines.
import { messageOf } from '@cumulet/common';
import {
  Table as OrmTable,
  TableColumn,
  TableIndex,
  TableUnique,
  type MigrationInterface,
  type QueryRunner,
  type TableColumnOptions,
} from 'typeorm';
import { table, text, type Column, type Columns, type DatabaseEngine } from '../columns';
import { quote } from '../sql';

/** One change of the schema. `down` undoes `up`; neither looks at the definitions in entities/, which go on changing. */
export interface MigrationStep {
  up(runner: QueryRunner, engine: DatabaseEngine): Promise<void>;
  down(runner: QueryRunner, engine: DatabaseEngine): Promise<void>;
}

const uniqueName = (of: string, on: readonly string[]): string => `uq_${of}_${on.join('_')}`;
const indexName = (of: string, on: readonly string[]): string => `ix_${of}_${on.join('_')}`;

function columnOptions(name: string, column: Column<unknown>, engine: DatabaseEngine): TableColumnOptions {
  const { type, length, nullable, generated, charset, collation } = column.options(engine);
  return {
    name,
    type: type as string,
    isNullable: nullable === true,
    ...(length === undefined ? {} : { length: String(length) }),
    ...(charset === undefined ? {} : { charset }),
    ...(collation === undefined ? {} : { collation }),
    ...(generated === 'increment' ? { isGenerated: true, generationStrategy: 'increment' } : {}),
  };
}

/** A new table. MariaDB commits each statement: a table that is there was made by a try that was cut off. */
export function createTable<C extends Columns>(
  name: string,
  columns: C,
  keys: Parameters<typeof table<C>>[2] = {},
): MigrationStep {
  const { primary, unique, indices } = table(name, columns, keys);
  return {
    up: (runner, engine) =>
      runner.createTable(
        new OrmTable({
          name,
          columns: Object.entries(columns).map(([key, column]) => ({
            ...columnOptions(key, column, engine),
            isPrimary: primary.includes(key),
          })),
          uniques: unique.map((on) => ({ name: uniqueName(name, on), columnNames: [...on] })),
          indices: indices.map((on) => ({ name: indexName(name, on), columnNames: [...on] })),
        }),
        true,
      ),
    down: (runner) => runner.dropTable(name, true),
  };
}

/** A new column. Rows that are there get `initial`, without which it must be nullable. */
export function addColumn(
  of: string,
  name: string,
  column: Column<unknown>,
  initial?: string | number | boolean,
): MigrationStep {
  return {
    async up(runner, engine) {
      if (await runner.hasColumn(of, name)) return;
      const options = columnOptions(name, column, engine);
      await runner.addColumn(of, new TableColumn({ ...options, isNullable: true }));
      if (initial !== undefined)
        await runner.query(`UPDATE ${quote(of, engine)} SET ${quote(name, engine)} = ?`, [
          typeof initial === 'boolean' ? Number(initial) : initial,
        ]);
      if (!options.isNullable) await runner.changeColumn(of, name, new TableColumn(options));
    },
    async down(runner) {
      if (await runner.hasColumn(of, name)) await runner.dropColumn(of, name);
    },
  };
}

/** Another length of a column of text that is never null. On MariaDB the ORM would make the column anew, and empty. */
export function resizeText(of: string, name: string, from: number, to: number): MigrationStep {
  const resize = async (runner: QueryRunner, engine: DatabaseEngine, length: number): Promise<void> => {
    const options = columnOptions(name, text(length), engine);
    if (engine === 'sqlite') return runner.changeColumn(of, name, new TableColumn(options));
    const { charset, collation } = options;
    await runner.query(
      `ALTER TABLE \`${of}\` MODIFY \`${name}\` varchar(${length}) CHARACTER SET ${charset} COLLATE ${collation} NOT NULL`,
    );
  };
  return {
    up: (runner, engine) => resize(runner, engine, to),
    down: (runner, engine) => resize(runner, engine, from),
  };
}

/** Whether a table has an index or a unique key: then a try that was cut off has made it. */
async function hasKey(runner: QueryRunner, of: string, name: string): Promise<boolean> {
  const found = await runner.getTable(of);
  return [...(found?.indices ?? []), ...(found?.uniques ?? [])].some((one) => one.name === name);
}

/** A new index. */
export function addIndex(of: string, on: readonly string[]): MigrationStep {
  const name = indexName(of, on);
  return {
    async up(runner) {
      if (await hasKey(runner, of, name)) return;
      await runner.createIndex(of, new TableIndex({ name, columnNames: [...on] }));
    },
    down: (runner) => runner.dropIndex(of, name),
  };
}

/** A new unique key. */
export function addUnique(of: string, on: readonly string[]): MigrationStep {
  const name = uniqueName(of, on);
  // MariaDB's unique keys are indices.
  return {
    async up(runner, engine) {
      if (await hasKey(runner, of, name)) return;
      if (engine === 'mariadb')
        await runner.createIndex(of, new TableIndex({ name, columnNames: [...on], isUnique: true }));
      else await runner.createUniqueConstraint(of, new TableUnique({ name, columnNames: [...on] }));
    },
    down: (runner, engine) =>
      engine === 'mariadb' ? runner.dropIndex(of, name) : runner.dropUniqueConstraint(of, name),
  };
}

/**
 * A migration of these steps, in this order; taken back in the opposite order.
 * @param name words and the 13 digits of its time, by which migrations are ordered
 */
export function migration(name: string, steps: readonly MigrationStep[]): new () => MigrationInterface {
  const engineOf = (runner: QueryRunner): DatabaseEngine =>
    runner.dataSource.options.type === 'better-sqlite3' ? 'sqlite' : 'mariadb';
  return class implements MigrationInterface {
    readonly name = name;

    async up(runner: QueryRunner): Promise<void> {
      try {
        for (const step of steps) await step.up(runner, engineOf(runner));
      } catch (error) {
        throw new Error(`migration ${name}: ${messageOf(error)}`, { cause: error });
      }
    }

    async down(runner: QueryRunner): Promise<void> {
      for (const step of [...steps].reverse()) await step.down(runner, engineOf(runner));
    }
  };
}
