// Three nodes of MariaDB with Galera and HAProxy before them, from Debian's packages and with the documented configuration: each on a
// loopback address of its own, gone with the process that started them, however that ends.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { exec } from '@cumulet/common';
import { createConnection, type Connection } from 'mysql2/promise';
import { startConfined, type Confined } from './confined';
import { documentedFile, machines, type Machine } from './documentedFile';
import { makeMariadbData, type MariadbOptions } from './mariadb';
import { makeOwnDirectory } from './ownDirectory';

const USER = 'cumulet';
const PASSWORD = 'a test password';
const DATABASE = 'cumulet';
const START_MS = 60_000;

export interface Galera {
  /** The database, as HAProxy leads to it. */
  readonly options: MariadbOptions;
  /** The node that HAProxy leads to. */
  writer(): Promise<Machine>;
  /** Ends a node as a power cut would; its files stay. */
  kill(machine: Machine): Promise<void>;
  /** Ends a node, and what it kept: it is as a machine where the package was just installed. */
  replace(machine: Machine): Promise<void>;
  /** Starts a node again and resolves when it has what the others have. */
  start(machine: Machine): Promise<void>;
  /** A status variable of a node. */
  status(machine: Machine, name: string): Promise<string>;
  /** Asks a node itself. */
  query(machine: Machine, sql: string): Promise<unknown>;
  /** The database as a node has it, in SQL. */
  dump(machine: Machine): Promise<string>;
  /** Puts what was dumped in the place of the database, by way of one node. */
  restore(machine: Machine, sql: string): Promise<void>;
  stop(): Promise<void>;
}

/** What a test's node has beside the documented file: files of its own, little memory, and no disk that is waited for. */
const ownSettings = (directory: string): string =>
  [
    'user = mysql',
    `datadir = ${join(directory, 'data')}`,
    // Of its own, as while its data was made.
    `tmpdir = ${join(directory, 'data')}`,
    `socket = ${join(directory, 'socket')}`,
    `pid_file = ${join(directory, 'pid')}`,
    'skip_log_bin',
    'performance_schema = OFF',
    'innodb_buffer_pool_size = 32M',
    'innodb_log_file_size = 16M',
    'innodb_flush_log_at_trx_commit = 2',
    'innodb_flush_method = nosync',
    '',
  ].join('\n');

/** Accounts as the documentation makes them, for loopback. */
const ACCOUNTS = [
  `CREATE DATABASE ${DATABASE}`,
  `CREATE USER ${USER}@'127.%' IDENTIFIED BY '${PASSWORD}'`,
  `GRANT ALL ON ${DATABASE}.* TO ${USER}@'127.%'`,
  "CREATE USER haproxy@'127.%'",
];

/** @param prefix of the addresses on loopback, such as `127.3.4.` */
export async function startGalera(prefix: string): Promise<Galera> {
  const directory = makeOwnDirectory('cumulet-galera-');
  chmodSync(directory.path, 0o755);
  const running = new Map<Machine | 'haproxy', Confined>();
  const of = (machine: Machine, file = ''): string => join(directory.path, `db-${machine}`, file);
  const configFile = (machine: Machine): string => join(directory.path, `db-${machine}.cnf`);

  const makeData = (machine: Machine): void => {
    mkdirSync(of(machine, 'data'), { recursive: true });
    execFileSync('chown', ['mysql', of(machine), of(machine, 'data')]);
    const options = ['--auth-root-authentication-method=normal', '--user=mysql', '--innodb-log-file-size=16M'];
    makeMariadbData(of(machine, 'data'), options);
  };
  const log = (name: string): string => join(directory.path, `${name}.log`);

  async function ask<T>(place: { socketPath: string } | { host: string }, work: (one: Connection) => Promise<T>) {
    const local = 'socketPath' in place;
    const connection = await createConnection({
      ...place,
      user: local ? 'root' : USER,
      password: local ? '' : PASSWORD,
    });
    try {
      return await work(connection);
    } finally {
      await connection.end();
    }
  }
  const query = (machine: Machine, sql: string): Promise<unknown> =>
    ask({ socketPath: of(machine, 'socket') }, async (one) => (await one.query(sql))[0]);
  const status = async (machine: Machine, name: string): Promise<string> => {
    const rows = (await query(machine, `SHOW STATUS LIKE '${name}'`)) as { Value: string }[];
    return rows[0]?.Value ?? '';
  };

  async function startNode(machine: Machine, ...more: string[]): Promise<void> {
    const command = ['mariadbd', `--defaults-file=${configFile(machine)}`, ...more];
    const node = startConfined(command, { log: log(`db-${machine}`) });
    running.set(machine, node);
    for (const until = Date.now() + START_MS; ; await pause(100)) {
      const synced = await status(machine, 'wsrep_local_state_comment').catch(() => 'not there');
      if (synced === 'Synced') return;
      if (!node.ended() && Date.now() < until) continue;
      throw new Error(`db-${machine} is ${synced}: ${readFileSync(log(`db-${machine}`), 'utf8').slice(-3000)}`);
    }
  }

  async function startHaproxy(): Promise<void> {
    const file = join(directory.path, 'haproxy.cfg');
    writeFileSync(file, `global\n    nbthread 1\n${documentedFile('/etc/haproxy/haproxy.cfg', prefix)}`);
    running.set('haproxy', startConfined(['haproxy', '-db', '-f', file], { log: log('haproxy') }));
    for (const until = Date.now() + START_MS; ; await pause(100)) {
      try {
        await galera.writer();
        return;
      } catch (error) {
        if (Date.now() > until) throw new Error(readFileSync(log('haproxy'), 'utf8'), { cause: error });
      }
    }
  }

  const galera: Galera = {
    options: {
      kind: 'mariadb',
      host: `${prefix}10`,
      port: 3306,
      user: USER,
      password: PASSWORD,
      database: DATABASE,
      poolSize: 10,
    },
    async writer() {
      const [rows] = await ask({ host: `${prefix}10` }, (one) => one.query('SELECT @@wsrep_node_name AS name'));
      const name = (rows as unknown as { name: string }[])[0]?.name;
      const machine = machines.find((one) => `db-${one}` === name);
      if (machine === undefined) throw new Error(`HAProxy leads to ${name}`);
      return machine;
    },
    async kill(machine) {
      await running.get(machine)?.kill();
      running.delete(machine);
    },
    async replace(machine) {
      await galera.kill(machine);
      rmSync(of(machine), { recursive: true });
      makeData(machine);
    },
    async start(machine) {
      // As the package's unit does: it prints an option with the last commit that the node has.
      const { stdout } = await exec(['galera_recovery', `--defaults-file=${configFile(machine)}`]);
      await startNode(machine, stdout.trim());
    },
    status,
    query,
    async dump(machine) {
      const argv = [
        'mariadb-dump',
        '--no-defaults',
        `--socket=${of(machine, 'socket')}`,
        '--single-transaction',
        DATABASE,
      ];
      return (await exec(argv)).stdout;
    },
    async restore(machine, sql) {
      await query(machine, `DROP DATABASE ${DATABASE}`);
      await query(machine, `CREATE DATABASE ${DATABASE}`);
      await exec(['mariadb', '--no-defaults', `--socket=${of(machine, 'socket')}`, DATABASE], { input: sql });
    },
    async stop() {
      await Promise.all([...running.values()].map((one) => one.kill()));
      directory.remove();
    },
  };

  try {
    for (const machine of machines) {
      makeData(machine);
      const documented = documentedFile('/etc/mysql/mariadb.conf.d/90-cumulet.cnf', prefix, machine);
      // It takes this room at once.
      const settings = documented.replace('gcache.size=512M', 'gcache.size=32M');
      writeFileSync(configFile(machine), `${settings}${ownSettings(of(machine))}`);
    }
    await startNode(1, '--wsrep-new-cluster');
    for (const sql of ACCOUNTS) await query(1, sql);
    for (const machine of [2, 3] as const) await startNode(machine);
    await startHaproxy();
    return galera;
  } catch (error) {
    await galera.stop();
    throw error;
  }
}

/** A prefix for three machines on loopback that nobody else is likely to have at this moment. */
export const loopbackPrefix = (): string =>
  `127.${1 + Math.floor(Math.random() * 254)}.${Math.floor(Math.random() * 255)}.`;
