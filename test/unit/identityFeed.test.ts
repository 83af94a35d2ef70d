// The feed of identity changes: applied once, at once here, and complete even when numbers commit out of order.
import { systemClock } from '@cumulet/common';
import { openDatabase, type Database } from '@cumulet/controller';
import { identityChanges, loginFailures } from '../../controller/src/db/entities/identity';
import { openChangeFeed } from '../../controller/src/services/identity/changeFeed';
import { orElseDone, unique } from '../../controller/src/services/identity/conflicts';
import { createLockout } from '../../controller/src/services/identity/lockout';
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

const row = (sequence: number, user_id: string) => ({
  sequence,
  user_id,
  audit_id: null,
  audit_chain_id: null,
  project_id: null,
  domain_id: null,
  issued_before: null,
  created_at: Date.now(),
});
const open = async (database: Database) => {
  const applied: (string | null)[] = [];
  const feed = await openChangeFeed(database, systemClock, (change) => void applied.push(change.user_id));
  return { feed, applied };
};

test('a change is applied when its transaction commits, and never when it does not', async () => {
  const { feed, applied } = await open(db);
  await db.write(async (session) => {
    await feed.record(session, { user_id: 'a' });
    expect(applied).toEqual([]);
  });
  expect(applied).toEqual(['a']);
  await expect(
    db.write(async (session) => {
      await feed.record(session, { user_id: 'b' });
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await feed.poll();
  expect(applied).toEqual(['a']);
});

test('what was there before, and what others write, is read once', async () => {
  await db.write((session) => session.insert(identityChanges, row(1, 'before')));
  const { feed, applied } = await open(db);
  expect(applied).toEqual(['before']);
  await db.write((session) => session.insert(identityChanges, row(2, 'other')));
  await feed.poll();
  await feed.poll();
  expect(applied).toEqual(['before', 'other']);
});

test('where numbers commit out of order, a late smaller one is not missed', async () => {
  const { feed, applied } = await open({ ...db, engine: 'mariadb' });
  await db.write((session) => session.insert(identityChanges, row(10, 'ten')));
  await feed.poll();
  await db.write((session) => session.insert(identityChanges, row(9, 'nine')));
  await feed.poll();
  expect(applied).toEqual(['ten', 'nine']);
  const many = Array.from({ length: 500 }, (_, at) => row(11 + at, `n${at}`));
  await db.write((session) => session.insert(identityChanges, many));
  await feed.poll();
  await feed.poll();
  expect(applied).toHaveLength(502);
});

test('a write that another did first is no error where that is the same, and a conflict where it is not', async () => {
  const insert = () => db.write((session) => session.insert(identityChanges, row(1, 'a')));
  expect(await orElseDone(insert)).toBe(true);
  expect(await orElseDone(insert)).toBe(false);
  await expect(unique('taken', insert)).rejects.toMatchObject({ status: 409, message: 'taken' });
  const broken = () => Promise.reject(new Error('disk full'));
  await expect(orElseDone(broken)).rejects.toThrow('disk full');
  await expect(unique('taken', broken)).rejects.toThrow('disk full');
});

test('lockout can be switched off, and then nothing is written', async () => {
  const off = createLockout({ db, clock: systemClock, attempts: 0, duration: 1000 });
  for (let at = 0; at < 20; at++) await off.failed('a');
  expect(await off.locked('a')).toBe(false);
  await off.succeeded('a');
  await off.prune();
  expect(await db.read((session) => session.count(loginFailures))).toBe(0);
});

test('failures at the same moment are all counted, and old ones are forgotten', async () => {
  let now = 1_000_000;
  const lockout = createLockout({ db, clock: { ...systemClock, now: () => now }, attempts: 4, duration: 1000 });
  await Promise.all([1, 2, 3].map(() => lockout.failed('a')));
  expect(await lockout.locked('a')).toBe(false);
  await lockout.failed('a');
  expect(await lockout.locked('a')).toBe(true);
  now += 1001;
  expect(await lockout.locked('a')).toBe(false);
  await lockout.prune();
  expect(await db.read((session) => session.count(loginFailures))).toBe(0);
});
