// What MariaDB does that SQLite can't: transactions side by side, a server that goes away, connections that are cut or encrypted.
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { createConnection } from 'mysql2/promise';
import { DatabaseUnavailableError, openDatabase, type Database } from '@cumulet/controller';
import { imageQuotaTurns as turns } from '../../controller/src/db/entities/image';
import { changes } from '../../controller/src/db/entities/tasks';
import { makeTestCa, type TestCa } from '../support/certificates';
import { createMariadbDatabase, startMariadb, type MariadbOptions, type MariadbServer } from '../support/mariadb';

const change = (object_id: string) => ({ kind: 'port', object_id, network_id: null, created_at: 0 });
const turn = (id: string) => ({ id, turn: 0 });

let server: MariadbServer;
let ca: TestCa;
let options: MariadbOptions;
let db: Database;
const opened: Database[] = [];

async function open(more: Partial<MariadbOptions> = {}): Promise<Database> {
  const database = await openDatabase({ ...options, ...more });
  opened.push(database);
  return database;
}
const objects = async (): Promise<string[]> =>
  (await db.read((session) => session.find(changes, { order: { sequence: 'ASC' } }))).map((row) => row.object_id);

beforeAll(async () => {
  ca = await makeTestCa();
  await ca.add('controller', 'localhost');
  const { cert, key } = ca.config('localhost');
  server = await startMariadb([`--ssl-cert=${cert}`, `--ssl-key=${key}`]);
});
afterAll(async () => {
  await server.stop();
  ca.stop();
});
beforeEach(async () => {
  options = await createMariadbDatabase(server.url);
  db = await open();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

test('two transactions that need what the other holds are both done, one of them twice', async () => {
  await db.write((session) => session.insert(turns, [turn('a'), turn('b')]));
  let runs = 0;
  let committed = 0;
  const both = (first: string, second: string) =>
    db.write(async (session) => {
      runs += 1;
      session.afterCommit(() => void (committed += 1));
      for (const name of [first, second]) {
        const row = await session.findOne(turns, { id: name }, 'exclusive');
        await session.update(turns, { id: name }, { turn: (row?.turn ?? 0) + 1 });
        // Time for the other to take its first row.
        if (runs < 3) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
  await Promise.all([both('a', 'b'), both('b', 'a')]);
  expect((await db.read((session) => session.find(turns))).map((row) => row.turn)).toEqual([2, 2]);
  expect([runs, committed]).toEqual([3, 2]);
});

test('a deadlock that the work does not look at still undoes all of it', async () => {
  await db.write((session) => session.insert(turns, [turn('a'), turn('b')]));
  let runs = 0;
  const both = (first: string, second: string) =>
    db.write(async (session) => {
      runs += 1;
      await session.insert(changes, change(first));
      await session.findOne(turns, { id: first }, 'exclusive');
      if (runs < 3) await new Promise((resolve) => setTimeout(resolve, 50));
      await session.findOne(turns, { id: second }, 'exclusive').catch(() => undefined);
    });
  await Promise.all([both('a', 'b'), both('b', 'a')]);
  expect(runs).toBe(3);
  expect((await objects()).sort()).toEqual(['a', 'b']);
});

test('a row that is held shared can not be deleted, and one that is gone can not be held', async () => {
  await db.write((session) => session.insert(turns, turn('a')));
  const order: string[] = [];
  let held: () => void = () => undefined;
  const holding = new Promise<void>((resolve) => (held = resolve));
  const child = db.write(async (session) => {
    expect(await session.findOne(turns, { id: 'a' }, 'shared')).toBeDefined();
    held();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await session.insert(changes, change('child'));
    order.push('child');
  });
  await holding;
  const parent = db.write(async (session) => {
    await session.delete(turns, { id: 'a' });
    order.push('parent');
    expect(await session.count(changes)).toBe(1);
  });
  await Promise.all([child, parent]);
  expect(order).toEqual(['child', 'parent']);
  expect(await db.write((session) => session.findOne(turns, { id: 'a' }, 'shared'))).toBeUndefined();
});

test('an insert that meets another one looks again', async () => {
  const once = () =>
    db.write(async (session) => {
      const known = await session.findOne(turns, { id: 'a' });
      if (known) return 'known';
      await session.insert(turns, turn('a'));
      return 'new';
    });
  expect((await Promise.all([once(), once(), once(), once()])).sort()).toEqual(['known', 'known', 'known', 'new']);
});

test('a server that dies and comes back loses no write, and each is done once', async () => {
  let runs = 0;
  let committed = 0;
  const writing = db.write(async (session) => {
    runs += 1;
    session.afterCommit(() => void (committed += 1));
    await session.insert(changes, change('kept'));
    if (runs === 1) await server.kill('SIGKILL');
    await session.insert(changes, change('kept too'));
  });
  const reading = new Promise((resolve) => setTimeout(resolve, 300)).then(() => objects());
  await new Promise((resolve) => setTimeout(resolve, 600));
  await server.start();
  await writing;
  await reading;
  expect(await objects()).toEqual(['kept', 'kept too']);
  expect(runs).toBeGreaterThan(1);
  expect(committed).toBe(1);
});

/** A server in front of the real one that cuts a connection at its COMMIT, before or after that gets through. */
async function cutting(when: 'before' | 'after'): Promise<Server> {
  const proxy = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    let cut = false;
    client.on('data', (data) => {
      // The byte before says that a statement begins here.
      const isCommit = data.includes('\u0003COMMIT');
      if (isCommit && when === 'before') return client.destroy();
      cut = isCommit;
      return upstream.write(data);
    });
    upstream.on('data', (data) => (cut ? client.destroy() : client.write(data)));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return proxy;
}

test.each([
  ['before', []],
  ['after', ['once']],
] as const)('a connection cut %s its commit got through is reported, and nothing is done twice', async (when, left) => {
  const proxy = await cutting(when);
  const { socket: _, ...rest } = options;
  const cut = await openDatabase({ ...rest, host: '127.0.0.1', port: (proxy.address() as AddressInfo).port });
  let runs = 0;
  let committed = 0;
  const write = cut.write((session) => {
    runs += 1;
    session.afterCommit(() => void (committed += 1));
    return session.insert(changes, change('once'));
  });
  await expect(write).rejects.toMatchObject({ code: 'database_unavailable', facts: { outcome: 'unknown' } });
  await expect(write).rejects.toBeInstanceOf(DatabaseUnavailableError);
  await cut.close();
  proxy.close();
  expect([runs, committed]).toEqual([1, 0]);
  expect(await objects()).toEqual(left);
});

test('controllers that start together migrate once', async () => {
  options = await createMariadbDatabase(server.url);
  const all = await Promise.all([open(), open(), open()]);
  await all[0]?.write((session) => session.insert(changes, change('first')));
  expect(await all[2]?.read((session) => session.count(changes))).toBe(1);
});

test('a controller waits for the one that migrates, for longer than a statement may wait', async () => {
  options = await createMariadbDatabase(server.url);
  const { socket: socketPath = '', user, password } = options;
  const other = await createConnection({ socketPath, user, password });
  await other.query(`SELECT GET_LOCK('cumulet.migrations.${options.database}', 0)`);
  let isOpen = false;
  const opening = open().then((opened) => ((isOpen = true), opened));
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  expect(isOpen).toBe(false);
  await other.end();
  expect(await (await opening).read((session) => session.count(changes))).toBe(0);
});

test('the connection is encrypted for the server that the certificate names, and for no other', async () => {
  const { socket: _, ...rest } = options;
  const over = { ...rest, host: 'localhost', port: server.port };
  const encrypted = await openDatabase({ ...over, tls: { ca: ca.files('localhost').ca.toString() } });
  opened.push(encrypted);
  expect(await encrypted.read((session) => session.count(changes))).toBe(0);
  const stranger = await makeTestCa();
  await stranger.add('controller', 'localhost');
  await expect(openDatabase({ ...over, tls: { ca: stranger.files('localhost').ca.toString() } })).rejects.toThrow(
    /certificate/,
  );
  stranger.stop();
});

test('a wrong password and a missing database are said in words', async () => {
  await expect(openDatabase({ ...options, password: 'wrong' })).rejects.toThrow(/Access denied/);
  await expect(openDatabase({ ...options, database: 'nowhere' })).rejects.toThrow(/Unknown database/);
});
