// The database layer keeps its promises: sessions do not leak into each other, lists page in a total order.
import { list, openDatabase, type Database } from '@cumulet/controller';
import { changes, hosts } from '../../controller/src/db/entities/tasks';
import { createTestDatabase, type TestDatabase } from '../support/testDatabase';

let made: TestDatabase;
let db: Database;

beforeEach(async () => {
  made = await createTestDatabase();
  db = await openDatabase(made.options);
});
afterEach(async () => {
  await db.close();
  await made.drop();
});

const change = (object_id: string, created_at = 0) => ({ kind: 'port', object_id, network_id: null, created_at });

test('a transaction that rolls back takes nothing of an overlapping write with it', async () => {
  let failing = false;
  const rolledBack = db.write(async (session) => {
    failing = true;
    await session.insert(changes, change('lost'));
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('no');
  });
  const kept = db.write((session) => session.insert(changes, change('kept')));
  await expect(rolledBack).rejects.toThrow('no');
  await kept;
  expect(failing).toBe(true);
  expect((await db.read((session) => session.find(changes))).map((row) => row.object_id)).toEqual(['kept']);
});

test('a read during a transaction sees only what was committed', async () => {
  let seen: number | undefined;
  await db.write(async (session) => {
    await session.insert(changes, change('a'));
    seen = await db.read((reader) => reader.count(changes));
  });
  expect(seen).toBe(0);
  expect(await db.read((reader) => reader.count(changes))).toBe(1);
});

test('a write inside a write is refused instead of waiting for itself', async () => {
  await expect(db.write(() => db.write(() => Promise.resolve(1)))).rejects.toThrow('a write inside a write');
});

test('an update says how many rows it changed', async () => {
  await db.write((session) => session.insert(changes, [change('a'), change('b')]));
  expect(await db.write((session) => session.update(changes, { object_id: 'a' }, { kind: 'router' }))).toBe(1);
  expect(await db.write((session) => session.update(changes, { object_id: 'z' }, { kind: 'router' }))).toBe(0);
});

test('actions after the commit do not run when the transaction fails', async () => {
  const ran: string[] = [];
  await db.write((session) => Promise.resolve(session.afterCommit(() => void ran.push('committed'))));
  await expect(
    db.write((session) => {
      session.afterCommit(() => void ran.push('rolled back'));
      return Promise.reject(new Error('no'));
    }),
  ).rejects.toThrow('no');
  expect(ran).toEqual(['committed']);
});

const host = (id: string, reason: string | null, created: number) => ({
  id,
  name: `host-${id}`,
  enabled: true,
  disabled_reason: reason,
  availability_zone: 'nova',
  cap_vcpus: 1.5,
  cap_memory_mib: 1,
  cap_disk_gib: 1,
  used_vcpus: 0,
  used_memory_mib: 0,
  used_disk_gib: 0,
  generation: 0,
  failed_builds: 0,
  inventory: { cpus: [1, 2] },
  created_at: created,
  updated_at: created,
});

test.each(['asc', 'desc'] as const)('pages of a nullable sort column %s join to the whole list', async (direction) => {
  const rows = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id, at) => host(id, at % 3 === 0 ? null : `r${at % 2}`, at));
  await db.write((session) => session.insert(hosts, rows));
  const sort = [{ column: 'disabled_reason', direction }] as const;
  const whole = await db.read((session) => list(session, hosts, { sort }));
  const paged: string[] = [];
  let marker: (typeof whole)[number] | undefined;
  for (;;) {
    const page = await db.read((session) => list(session, hosts, { sort, limit: 2, ...(marker ? { marker } : {}) }));
    if (page.length === 0) break;
    paged.push(...page.map((row) => row.id));
    marker = page.at(-1);
  }
  expect(paged).toEqual(whole.map((row) => row.id));
  expect(paged).toHaveLength(7);
  const [, , third] = whole;
  const before = await db.read((session) =>
    list(session, hosts, { sort, limit: 1, reverse: true, ...(third ? { marker: third } : {}) }),
  );
  expect(before.map((row) => row.id)).toEqual([whole[1]?.id]);
});

test('values come back as they went in', async () => {
  await db.write((session) => session.insert(hosts, host('x', null, 1_790_000_000_000)));
  expect(await db.read((session) => session.findOne(hosts, { id: 'x' }))).toEqual(host('x', null, 1_790_000_000_000));
});
