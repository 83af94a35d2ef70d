// The world of the crash matrix: the cloud as processes on two hosts, who holds its tasks, and what is known of them.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createConnection, type Connection } from 'mysql2/promise';
import { root } from '../support/checkout';
import { idleContent } from '../support/machineCloud';
import { writeClientOptions } from '../support/mariadb';
import { connectToAny } from '../support/retryingClient';
import { hook, hostNames, startMatrixCloud, type MatrixCloud } from './cloud';
import { startDirector, type Director } from './director';
import type { Scene } from './stories';

export interface MatrixWorld extends Scene {
  readonly cloud: MatrixCloud;
  readonly director: Director;
  /** How long what should not be there may take to go. */
  readonly patienceMs: number;
  /** The tasks that have not ended, of one server or of all: kind and step of each. */
  readonly tasks: (server?: string) => Promise<string[]>;
  /** By what a problem may name a server: its id, and those of its ports. */
  namesOf(server: string): Promise<string[]>;
  /** What database and hosts differ in. */
  audit(): Promise<string[]>;
  /** What an independent count finds. */
  orphans(): string[];
  stop(): Promise<void>;
}

async function connectDatabase({ database }: MatrixCloud): Promise<Connection> {
  const { socket, user, password, database: name } = database;
  if (socket === undefined) throw new Error('the database has no socket');
  return createConnection({ socketPath: socket, user, password, database: name });
}

function countOrphans({ hosts }: MatrixCloud, options: string): string[] {
  const script = join(root, 'test/independent/orphans.py');
  return hostNames.flatMap((name) => {
    const { directory, libvirtd } = hosts[name];
    const uri = `qemu+unix:///system?socket=${libvirtd.socketPath}`;
    const where = ['--data', directory, '--mariadb', options, '--connect', uri, '--netns', name];
    const { status, stdout, stderr } = spawnSync('python3', [script, ...where], { encoding: 'utf8' });
    if (status !== 0 && status !== 1) throw new Error(`the independent count failed: ${stderr}`);
    return stdout.split('\n').filter((line) => line.startsWith('orphan: '));
  });
}

/** `leak`: the agents' removals of disks do nothing, which must be found. */
export async function startMatrixWorld(leak: boolean): Promise<MatrixWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-director-'));
  chmodSync(directory, 0o755);
  const socketPath = (process.env['CUMULET_MATRIX_SOCKET'] = join(directory, 'socket'));
  const director = await startDirector(socketPath);
  const undo: (() => Promise<void> | void)[] = [
    () => rmSync(directory, { recursive: true }),
    () => director.close(),
    () => director.clear(),
  ];
  const stop = async (): Promise<void> => {
    director.clear();
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    const cloud = await startMatrixCloud((program) => [
      ...hook('dist/matrix/hooks.js'),
      ...(leak && /compute|storage/.test(program) ? hook('matrix/leak.js') : []),
    ]);
    undo.push(() => cloud.stop());
    const content = await idleContent(cloud.client, cloud.directory);
    const { flavor } = await cloud.client.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
      flavor: { name: 'other', vcpus: 1, ram: 48, disk: 1 },
    });
    const options = join(cloud.directory, 'client.cnf');
    writeClientOptions(options, cloud.database);
    let db = await connectDatabase(cloud);
    undo.push(() => db.destroy());

    /** A database that was killed is asked again when it is back. */
    const query = async (sql: string, values: string[] = []): Promise<Record<string, string>[]> => {
      for (const end = Date.now() + 60_000; ; await pause(50)) {
        try {
          const [rows] = await db.query(sql, values);
          return rows as Record<string, string>[];
        } catch (error) {
          if (Date.now() > end) throw error;
          db.destroy();
          db = await connectDatabase(cloud).catch(() => db);
        }
      }
    };
    const client = await connectToAny([cloud.url], { unavailable: true });

    return {
      cloud,
      director,
      // What leaks on purpose stays.
      patienceMs: leak ? 3_000 : 40_000,
      content,
      otherFlavor: flavor.id,
      client,
      async tasks(server) {
        const of = server === undefined ? '' : ' AND resource_id = ?';
        const rows = await query(
          `SELECT kind, step, resource_id, error FROM task WHERE active = 1${of}`,
          server === undefined ? [] : [server],
        );
        return rows.map(
          ({ kind, step, resource_id, error }) => `${kind} at ${step} of ${resource_id}: ${error ?? '-'}`,
        );
      },
      async namesOf(server) {
        const ports = await query('SELECT id FROM port WHERE server_id = ?', [server]);
        const ids = [server, ...ports.map(({ id }) => id ?? '')];
        // Interfaces carry a part of an id.
        return ids.flatMap((id) => [id, id.replaceAll('-', '').slice(0, 11)]);
      },
      async audit() {
        const { body } = await client.must('GET', '/cumulet/v1/audit');
        return (body.findings as { message: string }[]).map(({ message }) => message);
      },
      orphans: () => countOrphans(cloud, options),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
