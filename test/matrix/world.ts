// The world of the crash matrix: the cloud as processes over MariaDB and RabbitMQ, on a libvirtd of its own, and what is known of its tasks.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createConnection, type Connection } from 'mysql2/promise';
import { root } from '../support/checkout';
import { idleContent } from '../support/machineCloud';
import { writeClientOptions } from '../support/mariadb';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';
import { startProcessCloud, type ProcessCloud } from '../support/processCloud';
import { connectToAny } from '../support/retryingClient';
import type { Scene } from './stories';

/** A step whose end is awaited is held back this long at its commit, so that a fault can strike. */
const HOLD_SECONDS = 0.3;

export interface MatrixWorld extends Scene {
  readonly cloud: ProcessCloud;
  readonly libvirtd: PrivateLibvirtd;
  /** Holds the commits that end this step, until the next call. */
  hold(kind: string, step: string): Promise<void>;
  /** Resolves when a held commit is under way, or none has come within some seconds. */
  committing(): Promise<void>;
  /** Whether a task is at this step. */
  isAt(kind: string, step: string): Promise<boolean>;
  /** The tasks that have not ended: kind and step of each. */
  tasks(): Promise<string[]>;
  /** What an independent count finds. */
  orphans(): string[];
  stop(): Promise<void>;
}

async function connectDatabase({ database }: ProcessCloud): Promise<Connection> {
  const { socket, user, password, database: name } = database;
  if (socket === undefined) throw new Error('the database has no socket');
  return createConnection({ socketPath: socket, user, password, database: name });
}

const GATE = [
  'CREATE TABLE matrix_gate (kind VARCHAR(64), step VARCHAR(64))',
  `CREATE TRIGGER matrix_hold BEFORE UPDATE ON task FOR EACH ROW
   IF OLD.active = 1 AND (NEW.active IS NULL OR NEW.step <> OLD.step)
     AND EXISTS (SELECT 1 FROM matrix_gate WHERE kind = OLD.kind AND step = OLD.step)
   THEN DO SLEEP(${HOLD_SECONDS}); END IF`,
];

/** `leak`: the compute agent's removals of disks do nothing, which must be found. */
export async function startMatrixWorld(leak: boolean): Promise<MatrixWorld> {
  const libvirtd = await startPrivateLibvirtd();
  const uri = `qemu+unix:///system?socket=${libvirtd.socketPath}`;
  const leaky = ['--require', join(root, 'test/matrix/leak.js')];
  const cloud = await startProcessCloud({
    settings: { 'compute-agent': { libvirt_socket: libvirtd.socketPath, shutdown_seconds: 1 } },
    node: leak ? { 'compute-agent': leaky, 'storage-agent': leaky } : {},
  }).catch(async (error: unknown) => {
    await libvirtd.stop();
    throw error;
  });
  const stop = async (): Promise<void> => {
    await cloud.stop().finally(() => libvirtd.stop());
  };
  try {
    // One controller drives all tasks, so that it is known which one to kill.
    await cloud.end('controller-2');
    const content = await idleContent(cloud.client, cloud.directory);
    const { flavor } = await cloud.client.call<{ flavor: { id: string } }>('POST', '/compute/v2.1/flavors', {
      flavor: { name: 'other', vcpus: 1, ram: 48, disk: 1 },
    });
    let db = await connectDatabase(cloud);
    for (const statement of GATE) await db.query(statement);
    const options = join(cloud.directory, 'client.cnf');
    writeClientOptions(options, cloud.database);

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

    return {
      cloud,
      libvirtd,
      content,
      otherFlavor: flavor.id,
      client: await connectToAny([`http://127.0.0.1:${cloud.ports['controller-1 api']}`], { unavailable: true }),
      async hold(kind, step) {
        await query('DELETE FROM matrix_gate');
        await query('INSERT INTO matrix_gate VALUES (?, ?)', [kind, step]);
      },
      async committing() {
        const held = "SELECT 1 FROM information_schema.processlist WHERE state = 'User sleep'";
        for (const end = Date.now() + 5_000; Date.now() < end; await pause(5))
          if ((await query(held)).length > 0) return;
      },
      isAt: async (kind, step) =>
        (await query('SELECT 1 FROM task WHERE active = 1 AND kind = ? AND step = ?', [kind, step])).length > 0,
      tasks: async () =>
        (await query('SELECT kind, step FROM task WHERE active = 1')).map(({ kind, step }) => `${kind} at ${step}`),
      orphans() {
        const script = join(root, 'test/independent/orphans.py');
        const where = ['--data', cloud.directory, '--mariadb', options, '--connect', uri];
        const { status, stdout, stderr } = spawnSync('python3', [script, ...where], { encoding: 'utf8' });
        if (status !== 0 && status !== 1) throw new Error(`the independent count failed: ${stderr}`);
        return stdout.split('\n').filter((line) => line.startsWith('orphan: '));
      },
      async stop() {
        db.destroy();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
