// A MariaDB server of the tests' own, from Debian's package: private data directory, socket and port, gone with the process that
// started it, however that ends.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DatabaseOptions } from '@cumulet/controller';
import type { Connection, ConnectionOptions } from 'mysql2/promise';
import { freePort } from './freePort';

const USER = 'cumulet';
const PASSWORD = 'a test password';

export interface MariadbServer {
  readonly directory: string;
  readonly socket: string;
  /** TCP port on 127.0.0.1. */
  readonly port: number;
  /** What `CUMULET_TEST_DATABASE` names this server by. */
  readonly url: string;
  /** Ends the server at once or, with SIGTERM, in order; `start` brings it back with its data. */
  kill(signal: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  /** Ends the server and removes its directory. */
  stop(): Promise<void>;
}

/** Runs the server until its own standard input ends, which it does when we are gone. */
const GUARD = `
dir=$1; shift
"$@" > "$dir/log" 2>&1 &
read -r how
[ "$how" = keep ] || kill -9 $! 2> /dev/null
wait $!
[ "$how" = keep ] || rm -rf "$dir"`;

/**
 * Settings of a server that is killed: what was committed is still there, and so are pages of which only a part was written. A kill
 * can come between two parts of a page.
 */
export const SURVIVES_KILLS = ['--innodb-flush-log-at-trx-commit=2', '--innodb-doublewrite=1'];

/**
 * Makes the system tables of a server. A server that starts removes all temporary tables in its directory of temporary files, also
 * those of others, and these tables are made by servers: each has a directory of its own, the one that its data is in.
 */
export function makeMariadbData(data: string, options: readonly string[]): void {
  const own = [`--datadir=${data}`, `--tmpdir=${dirname(data)}`];
  execFileSync('mariadb-install-db', ['--no-defaults', '--skip-test-db', '--skip-name-resolve', ...own, ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Starts a server. `settings` are further options of mariadbd, such as those for TLS. */
export async function startMariadb(settings: readonly string[] = []): Promise<MariadbServer> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-mariadb-'));
  const data = join(directory, 'data');
  const socket = join(directory, 'socket');
  const port = await freePort();
  const accounts = join(directory, 'accounts.sql');
  writeFileSync(
    accounts,
    ['localhost', '127.0.0.1']
      .map((from) => `GRANT ALL ON *.* TO '${USER}'@'${from}' IDENTIFIED BY '${PASSWORD}' WITH GRANT OPTION;\n`)
      .join(''),
  );
  const command = [
    'mariadbd',
    '--no-defaults',
    '--user=root',
    `--datadir=${data}`,
    `--tmpdir=${directory}`,
    `--socket=${socket}`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--pid-file=${join(directory, 'pid')}`,
    `--init-file=${accounts}`,
    '--skip-name-resolve',
    '--skip-log-bin',
    '--max-connections=500',
    '--innodb-buffer-pool-size=64M',
    // Nothing here must survive a power cut.
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=0',
    '--innodb-flush-method=nosync',
    '--innodb-file-per-table=0',
    // The log of changed tables would be synchronised at every step of each change.
    '--debug-no-sync',
    ...settings,
  ];
  const guards: ChildProcess[] = [];
  const url = `mariadb://${USER}:${encodeURIComponent(PASSWORD)}@localhost/?socket=${encodeURIComponent(socket)}`;

  async function start(): Promise<void> {
    const guard = spawn('sh', ['-c', GUARD, 'guard', directory, ...command], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    guards.push(guard);
    for (const until = Date.now() + 60_000; ; await pause(50)) {
      try {
        return await run(optionsOf(url, ''), 'DO 0');
      } catch (error) {
        if (guard.exitCode === null && Date.now() < until) continue;
        throw new Error(`mariadbd did not start: ${readFileSync(join(directory, 'log'), 'utf8')}`, { cause: error });
      }
    }
  }

  async function ended(guard: ChildProcess, word: string): Promise<void> {
    guard.stdin?.end(word);
    if (guard.exitCode === null) await once(guard, 'exit');
  }

  try {
    makeMariadbData(data, ['--user=root']);
    await start();
  } catch (error) {
    for (const guard of guards) await ended(guard, 'stop\n');
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    directory,
    socket,
    port,
    url,
    async kill(signal) {
      const guard = guards.pop();
      if (!guard) throw new Error('the server does not run');
      process.kill(Number(readFileSync(join(directory, 'pid'), 'utf8')), signal);
      await ended(guard, 'keep\n');
    },
    start,
    async stop() {
      for (const guard of guards.splice(0)) await ended(guard, 'stop\n');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export type MariadbOptions = Extract<DatabaseOptions, { kind: 'mariadb' }>;

/** The server that a URL of `CUMULET_TEST_DATABASE` names, and `database` on it. */
export function optionsOf(url: string, database: string): MariadbOptions {
  const { hostname, port, username, password, searchParams } = new URL(url);
  const socket = searchParams.get('socket');
  return {
    kind: 'mariadb',
    ...(socket === null ? { host: hostname, port: Number(port || 3306) } : { socket }),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database,
    poolSize: 10,
  };
}

/** Writes a file of options with which MariaDB's own client reaches a database of this machine. */
export function writeClientOptions(file: string, { socket, user, password, database }: MariadbOptions): void {
  if (socket === undefined) throw new Error('the database has no socket');
  const client = ['[client]', `socket=${socket}`, `user=${user}`, `password="${password}"`];
  writeFileSync(file, [...client, '[mysql]', `database=${database}`, ''].join('\n'), { mode: 0o600 });
}

/** A connection to a server, which may be told several statements at once. */
export async function connectMariadb({ socket, host, port, user, password }: MariadbOptions): Promise<Connection> {
  // Loaded only where it is needed: most tests are on SQLite.
  const { createConnection } = await import('mysql2/promise');
  const place = socket === undefined ? { host, port } : { socketPath: socket };
  return createConnection({ ...place, user, password, multipleStatements: true } as ConnectionOptions);
}

async function run(options: MariadbOptions, sql: string): Promise<void> {
  const connection = await connectMariadb(options);
  try {
    await connection.query(sql);
  } finally {
    await connection.end();
  }
}

/** Makes an empty database with a name of its own. Its defaults are as unlike ours as Debian's are. */
export async function createMariadbDatabase(url: string): Promise<MariadbOptions> {
  const options = optionsOf(url, `test_${randomBytes(6).toString('hex')}`);
  await run(options, `CREATE DATABASE ${options.database}`);
  return options;
}

export const dropMariadbDatabase = (options: MariadbOptions): Promise<void> =>
  run(options, `DROP DATABASE ${options.database}`);
