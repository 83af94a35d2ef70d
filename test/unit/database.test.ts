// The database layer keeps its promises: sessions do not leak into each other, lists page in a total order.
import { countRows, list, openDatabase, sumRows, type Database } from '@cumulet/controller';
import { QueryFailedError } from 'typeorm';
import {
  addToCounter,
  addToCounters,
  DatabaseUnavailableError,
  In,
  InSelect,
  isConnectionLost,
  isContended,
  isDuplicate,
  isUndecided,
  isWithoutGalera,
  Not,
} from '../../controller/src/db';
import { computeUsages } from '../../controller/src/db/entities/compute';
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

test('a transaction that rolls back takes nothing of what overlaps with it', async () => {
  await db.write((session) => session.insert(changes, [change('old'), change('older')]));
  const rolledBack = db.write(async (session) => {
    await session.insert(changes, change('lost'));
    for (let turn = 0; turn < 20; turn++) await session.count(changes);
    throw new Error('no');
  });
  const update = db.write((session) => session.update(changes, { object_id: 'old' }, { kind: 'router' }));
  const transaction = db.write(async (session) => {
    await session.insert(changes, change('kept'));
    await session.update(changes, { object_id: 'older' }, { kind: 'router' });
  });
  const seen = await db.read((session) => session.find(changes));
  await expect(rolledBack).rejects.toThrow('no');
  expect(await update).toBe(1);
  await transaction;
  expect(seen.map((row) => row.object_id)).not.toContain('lost');
  const rows = await db.read((session) => session.find(changes, { order: { object_id: 'ASC' } }));
  expect(rows.map((row) => [row.object_id, row.kind])).toEqual([
    ['kept', 'port'],
    ['old', 'router'],
    ['older', 'router'],
  ]);
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
  // Found, though nothing about it changes.
  expect(await db.write((session) => session.update(changes, { object_id: 'a' }, { kind: 'router' }))).toBe(1);
});

test('rows are found by what another table says, and equal ones are given once', async () => {
  const rows = ['a', 'b', 'c'].map((id) => ({ ...change(id), network_id: id === 'c' ? 'm' : 'n' }));
  const router = { ...change('b'), kind: 'router', network_id: null };
  await db.write((session) => session.insert(changes, [...rows, router]));
  const object_id = InSelect(changes, 'object_id', { kind: 'port', network_id: In(['n', 'o']) });
  await db.read(async (session) => {
    const found = await session.pick(changes, ['object_id', 'kind'], { where: { object_id } });
    expect(found.map((row) => `${row.kind} ${row.object_id}`).sort()).toEqual(['port a', 'port b', 'router b']);
    const once = await session.pick(changes, ['object_id'], { where: { object_id }, distinct: true });
    expect(once.map((row) => row.object_id).sort()).toEqual(['a', 'b']);
    expect(await session.count(changes, { object_id: InSelect(changes, 'object_id', { kind: 'none' }) })).toBe(0);
  });
});

test('many values that are looked for are found as few are, whatever is in them', async () => {
  const names = Array.from({ length: 60 }, (_, at) => `"${at}", 'é\\${at}' ✓`);
  await db.write((session) =>
    session.insert(
      changes,
      names.map((name, at) => change(name, at)),
    ),
  );
  const [asked, others] = [names.slice(0, 40), names.slice(40)];
  const namesOf = (rows: { object_id: string }[]) => rows.map(({ object_id }) => object_id).sort();
  await db.read(async (session) => {
    expect(namesOf(await session.find(changes, { where: { object_id: In(asked) } }))).toEqual([...asked].sort());
    const numbered = await session.find(changes, { where: { created_at: In(asked.map((_, at) => at)) } });
    expect(namesOf(numbered)).toEqual([...asked].sort());
    const without = { where: { object_id: Not(In(asked)) } };
    expect(namesOf(await session.find(changes, without))).toEqual([...others].sort());
    for (const [op, found] of [
      ['in', asked],
      ['not in', others],
    ] as const)
      expect(
        namesOf(await list(session, changes, { conditions: [{ column: 'object_id', op, value: asked }] })),
      ).toEqual([...found].sort());
  });
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
  traits: ['CUSTOM_FAST'],
  inventory_settings: {},
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
  const row = {
    ...host('x', "O'Brien \\ \u{1f600} \n\u0000", Number.MAX_SAFE_INTEGER),
    enabled: false,
    cap_vcpus: 0.1 + 0.2,
    cap_memory_mib: 1e300,
    inventory: { text: '\u00e4 "quoted"', none: null, list: [1.5, true, {}] },
  };
  await db.write((session) => session.insert(hosts, row));
  expect(await db.read((session) => session.findOne(hosts, { id: 'x' }))).toEqual(row);
});

test('a host that an older controller registered has nothing of what came later', async () => {
  const { traits, inventory_settings, ...known } = host('old', null, 0);
  expect([traits, inventory_settings]).toEqual([['CUSTOM_FAST'], {}]);
  await db.write((session) => session.insert(hosts, known as ReturnType<typeof host>));
  const row = await db.read((session) => session.findOne(hosts, { id: 'old' }));
  expect(row).toEqual({ ...known, traits: [], inventory_settings: {} });
});

test('names are the same only when every character is', async () => {
  const names = ['web', 'Web', 'web ', 'w\u00e9b', 'we\u0301b'];
  await db.write((session) =>
    session.insert(
      hosts,
      names.map((name, at) => ({ ...host(String(at), null, at), name })),
    ),
  );
  for (const [at, name] of names.entries())
    expect((await db.read((session) => session.find(hosts, { where: { name } }))).map((row) => row.id)).toEqual([
      String(at),
    ]);
  const sorted = await db.read((session) => list(session, hosts, { sort: [{ column: 'name', direction: 'asc' }] }));
  expect(sorted.map((row) => row.name)).toEqual(['Web', 'web', 'web ', 'we\u0301b', 'w\u00e9b']);
  await expect(
    db.write((session) => session.insert(hosts, { ...host('again', null, 0), name: 'web' })),
  ).rejects.toThrow();
});

test('a text that is too long for its column is refused, characters counted', async () => {
  await db.write((session) =>
    session.insert(hosts, { ...host('x', null, 0), availability_zone: '\u{1f600}'.repeat(64) }),
  );
  const long = { availability_zone: 'z'.repeat(65) };
  await expect(db.write((session) => session.insert(hosts, { ...host('y', null, 0), ...long }))).rejects.toThrow(
    'Invalid input for availability_zone: it is longer than 64 characters.',
  );
  await expect(db.write((session) => session.update(hosts, { id: 'x' }, long))).rejects.toThrow('longer than 64');
});

test('a search by parts of a text does not look at the case of letters', async () => {
  await db.write((session) => session.insert(hosts, host('X', null, 0)));
  const conditions = [{ column: 'name', op: 'like', value: '%HOST-x%' }] as const;
  expect(await db.read((session) => countRows(session, hosts, conditions))).toBe(1);
});

test('sums and counts are numbers', async () => {
  await db.write((session) => session.insert(hosts, [host('a', null, 1), host('b', null, 2)]));
  expect(await db.read((session) => sumRows(session, hosts, 'created_at'))).toBe(3);
  expect(await db.read((session) => countRows(session, hosts, [{ column: 'id', op: 'in', value: ['a', 'c'] }]))).toBe(
    1,
  );
});

test('a counter that is not given a whole number is refused', async () => {
  for (const amount of [0.5, NaN, Infinity])
    await expect(
      db.write((session) => addToCounter(session, hosts, { name: 'h1' }, 'failed_builds', amount)),
    ).rejects.toThrow(`a counter needs a whole number, not ${amount}`);
});

test('several counters are raised by one statement, each within its own limit, or the transaction fails', async () => {
  const rows = { instances: 1, cores: 2, ram: 3 };
  const project_id = 'p';
  await db.write((session) =>
    session.insert(
      computeUsages,
      Object.entries(rows).map(([resource, used]) => ({ project_id, resource, used })),
    ),
  );
  const raise = (additions: Parameters<typeof addToCounters>[4]): Promise<void> =>
    db.write(async (session) => {
      const columns = { key: 'resource', count: 'used' } as const;
      if (!(await addToCounters(session, computeUsages, { project_id }, columns, additions))) throw new Error('full');
    });
  const used = async (): Promise<number[]> =>
    (await db.read((session) => session.find(computeUsages, { order: { used: 'ASC' } }))).map((row) => row.used);
  await raise([]);
  expect(await used()).toEqual([1, 2, 3]);
  await raise([
    { key: 'instances', amount: 1, limit: 2 },
    { key: 'ram', amount: 10 },
  ]);
  expect(await used()).toEqual([2, 2, 13]);
  const full = raise([
    { key: 'instances', amount: 1, limit: 2 },
    { key: 'cores', amount: 1, limit: 20 },
  ]);
  await expect(full).rejects.toThrow('full');
  await expect(raise([{ key: 'gone', amount: 1 }])).rejects.toThrow('full');
  expect(await used()).toEqual([2, 2, 13]);
});

test('rows that can not be are not asked for', async () => {
  await db.write(async (session) => {
    await session.insert(changes, change('a'));
    for (const object_id of [In([]), InSelect(changes, 'object_id', { kind: In([]) })]) {
      expect(await session.find(changes, { where: { object_id } })).toEqual([]);
      expect(await session.count(changes, [{ object_id }, { kind: 'port', object_id }])).toBe(0);
      expect(await session.update(changes, { object_id }, { kind: 'router' })).toBe(0);
      expect(await session.delete(changes, { object_id })).toBe(0);
    }
    expect(await session.count(changes, [{ object_id: In([]) }, { kind: 'port' }])).toBe(1);
  });
});

test('of many rows that are inserted together the last one’s key is told', async () => {
  const key = await db.write((session) => session.insert(changes, [change('a'), change('b'), change('c')]));
  const [last] = await db.read((session) => session.find(changes, { order: { sequence: 'DESC' }, limit: 1 }));
  expect([key, last?.object_id]).toEqual([last?.sequence, 'c']);
});

/** An error as the ORM hands on what its driver threw. */
const failed = (failure: object): Error =>
  new QueryFailedError('SELECT 1', [], Object.assign(new Error('driver'), failure));

test.each<[string, unknown, 'duplicate' | 'contended' | 'lost' | undefined]>([
  ['a unique key', failed({ code: 'ER_DUP_ENTRY' }), 'duplicate'],
  ['a primary key of SQLite', failed({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' }), 'duplicate'],
  ['a deadlock', failed({ code: 'ER_LOCK_DEADLOCK' }), 'contended'],
  ['a reset connection', failed({ code: 'ECONNRESET' }), 'lost'],
  ['a socket that is not there', failed({ code: 'ENOENT', syscall: 'connect' }), 'lost'],
  ['a file that is not there', failed({ code: 'ENOENT', syscall: 'open' }), undefined],
  ['a killed connection', failed({ errno: 1927, sqlState: '70100' }), 'lost'],
  ['a Galera node without its cluster', failed({ code: 'ER_UNKNOWN_COM_ERROR', sqlState: '08S01' }), 'lost'],
  ['a server that only reads', failed({ code: 'ER_OPTION_PREVENTS_STATEMENT', sqlState: 'HY000' }), 'lost'],
  ['a connection found dead', { fatal: true }, 'lost'],
  ['a fatal answer of the server', { fatal: true, sqlState: '28000' }, undefined],
  ['a number for a code', failed({ code: 5 }), undefined],
  ['an error of the work itself', new Error('no'), undefined],
  ['nothing', undefined, undefined],
  ['a text', 'ECONNRESET', undefined],
])('%s is told from other failures', (_what, error, kind) => {
  expect([isDuplicate(error), isContended(error), isConnectionLost(error)]).toEqual([
    kind === 'duplicate',
    kind === 'contended',
    kind === 'lost',
  ]);
});

test('a server without Galera is told from one that fails', () => {
  expect(isWithoutGalera(failed({ code: 'ER_UNKNOWN_SYSTEM_VARIABLE' }))).toBe(true);
  expect(isWithoutGalera(failed({ code: 'ER_UNKNOWN_COM_ERROR' }))).toBe(false);
});

test('a commit that may have happened is not called undone', () => {
  expect(isUndecided(failed({ code: 'ER_ERROR_DURING_COMMIT' }))).toBe(true);
  expect(isUndecided(failed({ code: 'ECONNRESET' }))).toBe(true);
  expect(isUndecided(failed({ code: 'ER_LOCK_DEADLOCK' }))).toBe(false);
  expect(new DatabaseUnavailableError('not done', new Error('x')).message).toContain('nothing was changed');
  expect(new DatabaseUnavailableError('unknown', new Error('x')).message).toContain('look whether it was made');
});
