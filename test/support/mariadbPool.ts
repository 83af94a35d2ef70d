// Databases of tests that are used again. Making a hundred tables takes the server much longer than most tests take: a database whose
// test has ended is emptied and given to the next one, in whatever process that runs.
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { openDatabase } from '../../controller/src/db';
import { connectMariadb, optionsOf, type MariadbOptions } from './mariadb';

const POOL = 'test_pool';
/** As migrations leave a database; nobody uses it. */
const PREPARED = 'test_prepared';
const LOCK_SECONDS = 120;
/** How long the connections of a cloud that was stopped may take to end, in milliseconds. */
const QUIET_MS = 500;

const createSql = (database: string): string => `CREATE DATABASE ${database}`;

async function rowsOf(connection: Connection, sql: string, values: readonly unknown[] = []): Promise<RowDataPacket[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
  return rows;
}

const tablesOf = async (connection: Connection, database: string): Promise<string[]> =>
  (
    await rowsOf(connection, 'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ?', [
      database,
    ])
  )
    .map(({ name }) => name as string)
    .sort();

/** Tables whose keys were counted up. */
const countersOf = async (connection: Connection, database: string): Promise<string[]> =>
  (
    await rowsOf(
      connection,
      'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ? AND auto_increment > 1',
      [database],
    )
  ).map(({ name }) => name as string);

/** Makes what the pool needs, once per server. */
async function prepare(connection: Connection, url: string): Promise<void> {
  await rowsOf(connection, 'SELECT GET_LOCK(?, ?)', [POOL, LOCK_SECONDS]);
  if ((await tablesOf(connection, POOL)).length === 0) {
    await connection.query(createSql(PREPARED));
    await (await openDatabase(optionsOf(url, PREPARED))).close();
    await connection.query(createSql(POOL));
    await connection.query(`CREATE TABLE ${POOL}.free (name VARCHAR(64) PRIMARY KEY)`);
  }
  await rowsOf(connection, 'SELECT RELEASE_LOCK(?)', [POOL]);
}

/** A database of nobody's, as migrations leave one, or an empty one when none was given back yet. */
export async function takeMariadbDatabase(url: string): Promise<MariadbOptions> {
  const connection = await connectMariadb(optionsOf(url, ''));
  try {
    await prepare(connection, url);
    const [free] = await rowsOf(connection, `DELETE FROM ${POOL}.free LIMIT 1 RETURNING name`);
    if (free) return optionsOf(url, free['name'] as string);
    const name = `test_${randomBytes(6).toString('hex')}`;
    await connection.query(createSql(name));
    return optionsOf(url, name);
  } finally {
    await connection.end();
  }
}

/** Whether nobody is connected to a database any more: who is could write into the next test's. */
async function isQuiet(connection: Connection, database: string): Promise<boolean> {
  for (const until = Date.now() + QUIET_MS; ; await pause(10)) {
    const [found] = await rowsOf(connection, 'SELECT COUNT(*) AS n FROM information_schema.processlist WHERE db = ?', [
      database,
    ]);
    if (found?.['n'] === 0) return true;
    if (Date.now() > until) return false;
  }
}

/** Empties a database. @returns whether it is as migrations leave one */
async function empty(connection: Connection, database: string): Promise<boolean> {
  const tables = await tablesOf(connection, database);
  if (tables.join() !== (await tablesOf(connection, PREPARED)).join()) return false;
  const each = (sql: (table: string) => string): string => tables.map(sql).join('; ');
  await connection.query('SET foreign_key_checks = 0; BEGIN');
  await connection.query(each((table) => `DELETE FROM ${database}.\`${table}\``));
  await connection.query(
    each((table) => `INSERT INTO ${database}.\`${table}\` SELECT * FROM ${PREPARED}.\`${table}\``),
  );
  await connection.query('COMMIT');
  for (const table of await countersOf(connection, database))
    await connection.query(`ALTER TABLE ${database}.\`${table}\` AUTO_INCREMENT = 1`);
  return true;
}

/** Leaves a database to the next one who takes one, or removes it when it may not be like new. */
export async function giveMariadbDatabaseBack({ database, ...options }: MariadbOptions): Promise<void> {
  const connection = await connectMariadb({ ...options, database: '' });
  try {
    if ((await isQuiet(connection, database)) && (await empty(connection, database)))
      await connection.query(`INSERT INTO ${POOL}.free VALUES (?)`, [database]);
    else await connection.query(`DROP DATABASE ${database}`);
  } finally {
    await connection.end();
  }
}
