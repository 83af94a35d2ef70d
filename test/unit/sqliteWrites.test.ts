// Writes to SQLite that wait for each other share a commit, and still succeed and fail each by itself.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase, type Database } from '@cumulet/controller';
import { changes } from '../../controller/src/db/entities/tasks';
import { managerOf, type WriteSession } from '../../controller/src/db/session';

let directory: string;
let db: Database;
let commits = 0;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-writes-'));
  db = await openDatabase({
    kind: 'sqlite',
    path: join(directory, 'cumulet.db'),
    durable: false,
    onStatement: (sql) => {
      if (sql === 'COMMIT') commits++;
    },
  });
  commits = 0;
});
afterEach(async () => {
  await db.close();
  rmSync(directory, { recursive: true, force: true });
});

const insert =
  (object_id: string) =>
  (session: WriteSession): Promise<number> =>
    session.insert(changes, { kind: 'port', object_id, network_id: null, created_at: 0 });
const stored = async (): Promise<string[]> =>
  (await db.read((session) => session.find(changes, { order: { sequence: 'ASC' } }))).map((row) => row.object_id);

test('transactions that come while another one is written share a commit', async () => {
  await Promise.all(['a', 'b', 'c', 'd'].map((id) => db.write(insert(id))));
  expect(await stored()).toEqual(['a', 'b', 'c', 'd']);
  expect(commits).toBe(2);
});

test('one that fails takes back what it did and nothing else, and its actions do not run', async () => {
  const ran: string[] = [];
  const good = (id: string): Promise<number> =>
    db.write((session) => {
      session.afterCommit(() => void ran.push(id));
      return insert(id)(session);
    });
  const results = await Promise.allSettled([
    good('a'),
    good('b'),
    db.write(async (session) => {
      session.afterCommit(() => void ran.push('bad'));
      await insert('bad')(session);
      throw new Error('no');
    }),
    good('c'),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(await stored()).toEqual(['a', 'b', 'c']);
  expect(ran).toEqual(['a', 'b', 'c']);
});

test('nobody hears of a transaction before it is committed', async () => {
  const seen: string[][] = [];
  const first = db.write(insert('a'));
  const second = db.write(insert('b')).then(async () => seen.push(await stored()));
  const third = db.write(async (session) => {
    await insert('c')(session);
    await pause(20);
  });
  await Promise.all([first, second, third]);
  expect(seen).toEqual([['a', 'b', 'c']]);
});

test('when the database gives up the shared transaction, each is tried by itself', async () => {
  // What SQLite does by itself when the disk is full.
  const poison = db.write(async (session) => {
    await insert('poison')(session);
    await managerOf(session).query('ROLLBACK');
  });
  const results = await Promise.allSettled([
    db.write(insert('a')),
    poison,
    db.write(insert('b')),
    db.write(insert('c')),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  expect(await stored()).toEqual(['a', 'b', 'c']);
});

test('an action that throws after the commit fails its own write only', async () => {
  const write = (id: string, action: () => void): Promise<number> =>
    db.write((session) => {
      session.afterCommit(action);
      return insert(id)(session);
    });
  const results = await Promise.allSettled([
    write('a', () => undefined),
    write('b', () => {
      throw new Error('no');
    }),
    write('c', () => undefined),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await stored()).toEqual(['a', 'b', 'c']);
});

test('one that fails before it has changed anything does not make the others run again', async () => {
  let runs = 0;
  const good = (id: string): Promise<number> =>
    db.write((session) => {
      runs++;
      return insert(id)(session);
    });
  const refused = db.write(async (session) => {
    await session.find(changes);
    throw new Error('no');
  });
  const results = await Promise.allSettled([good('a'), good('b'), refused, good('c')]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(await stored()).toEqual(['a', 'b', 'c']);
  expect(runs).toBe(3);
});
