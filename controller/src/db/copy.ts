// Moves a cloud from SQLite to MariaDB: all rows of all tables, as they are, into a database that is empty.
import { existsSync } from 'node:fs';
import { ConfigError, messageOf } from '@cumulet/common';
import type { DataSource, QueryRunner } from 'typeorm';
import { textLimits, type Table } from './columns';
import { mariadbSource, migrate } from './mariadb';
import type { DatabaseOptions, MariadbOptions, SqliteOptions } from './options';
import { sqliteSource } from './sqlite';
import { allTables } from './tables';

/** Rows that are read, sent and committed at once. */
const BATCH = 500;

type Values = Record<string, unknown>;

const quoted = (name: string): string => `\`${name}\``;

/** Opens the file so that nobody else can use it meanwhile. @throws ConfigError */
async function openSource(from: SqliteOptions): Promise<DataSource> {
  const refuse = (why: string): ConfigError =>
    new ConfigError(`database.path: ${from.path} ${why}`, { key: 'database.path' });
  if (!existsSync(from.path)) throw refuse('is not there');
  let source: DataSource;
  try {
    source = await sqliteSource(from, false, true).initialize();
  } catch (error) {
    throw refuse(`can not be opened alone; stop what uses it: ${messageOf(error)}`);
  }
  if (await source.showMigrations()) {
    await source.destroy();
    throw refuse('is of an older version; start the cloud with it once before');
  }
  return source;
}

async function countOf(runner: QueryRunner, { name }: Table): Promise<number> {
  const rows = (await runner.query(`SELECT COUNT(*) AS n FROM ${quoted(name)}`)) as { n: number | string }[];
  return Number(rows[0]?.n);
}

/** @throws ConfigError naming what is there */
async function requireEmpty(runner: QueryRunner, database: string): Promise<void> {
  for (const table of allTables)
    if ((await countOf(runner, table)) > 0)
      throw new ConfigError(
        `database.name: the database ${database} is not empty (${table.name}); make a new one, also after a copy that was cut off`,
        { key: 'database.name' },
      );
}

/** SQLite keeps a text that is too long for its column, MariaDB refuses it: named here with its row. @throws Error */
function requireFits(table: Table, rows: readonly Values[]): void {
  for (const [name, limit] of textLimits(table))
    for (const row of rows) {
      const value = row[name];
      if (typeof value === 'string' && [...value].length > limit)
        throw new Error(
          `${table.name}: ${name} is longer than ${limit} characters where ${table.primary.map((key) => `${key} = ${String(row[key])}`).join(', ')}`,
        );
    }
}

/** Copies one table in batches; returns how many rows it has. */
async function copyTable(from: QueryRunner, to: QueryRunner, table: Table): Promise<number> {
  const names = Object.keys(table.columns);
  const columns = names.map(quoted).join(', ');
  const marks = `(${names.map(() => '?').join(', ')})`;
  let copied = 0;
  for (let last = 0; ;) {
    const rows = (await from.query(
      `SELECT rowid AS place, ${columns} FROM ${quoted(table.name)} WHERE rowid > ? ORDER BY rowid LIMIT ${BATCH}`,
      [last],
    )) as (Values & { place: number })[];
    const end = rows.at(-1);
    if (!end) return copied;
    requireFits(table, rows);
    await to.query(
      `INSERT INTO ${quoted(table.name)} (${columns}) VALUES ${rows.map(() => marks).join(', ')}`,
      rows.flatMap((row) => names.map((name) => row[name])),
    );
    copied += rows.length;
    last = end.place;
  }
}

/** Numbers that were given out stay so, also those of rows that are gone: agents remember the last one that they have seen. */
async function keepSequences(from: QueryRunner, to: QueryRunner): Promise<void> {
  const known = (await from.query('SELECT name, seq FROM sqlite_sequence')) as { name: string; seq: number }[];
  for (const { name, seq } of known)
    if (allTables.some((table) => table.name === name))
      await to.query(`ALTER TABLE ${quoted(name)} AUTO_INCREMENT = ${Number(seq) + 1}`);
}

async function copyAll(from: QueryRunner, to: QueryRunner, database: string): Promise<ReadonlyMap<string, number>> {
  await requireEmpty(to, database);
  const counts = new Map<string, number>();
  for (const table of allTables) {
    const copied = await copyTable(from, to, table);
    const there = await countOf(to, table);
    if (there !== copied) throw new Error(`${table.name}: ${copied} rows were sent, and ${there} are there`);
    counts.set(table.name, copied);
  }
  await keepSequences(from, to);
  return counts;
}

/**
 * Copies the cloud in an SQLite file to a database on a server, which gets its tables before. The file is not changed, and nobody else
 * can have it open. Returns the rows of each table, counted at the server.
 * @throws ConfigError when the file is missing, in use or of an older version, or the database is not empty
 */
export async function copyDatabase(
  from: SqliteOptions,
  to: DatabaseOptions & MariadbOptions,
): Promise<ReadonlyMap<string, number>> {
  const source = await openSource(from);
  try {
    const target = await mariadbSource(to).initialize();
    try {
      await migrate(target, to.database);
      const [reading, writing] = [source.createQueryRunner(), target.createQueryRunner()];
      try {
        return await copyAll(reading, writing, to.database);
      } finally {
        await reading.release();
        await writing.release();
      }
    } finally {
      await target.destroy();
    }
  } finally {
    await source.destroy();
  }
}
