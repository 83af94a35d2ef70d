// Writes to SQLite that wait for each other share a commit, and still succeed and fail each by itself.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase, type Database } from '@cumulet/controller';
import { In, isDuplicate, list, SubSelect } from '../../controller/src/db';
import { allocations, changes } from '../../controller/src/db/entities/tasks';
import { managerOf, type WriteSession } from '../../controller/src/db/session';

let directory: string;
let db: Database;
/** Time stands still, so that a commit gathers what has come, however long that takes. */
let clock: jest.SpyInstance;
let commits = 0;
let statements: string[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-writes-'));
  db = await openDatabase({
    kind: 'sqlite',
    path: join(directory, 'cumulet.db'),
    durable: false,
    onStatement: (sql) => {
      if (sql === 'COMMIT') commits++;
      statements.push(sql);
    },
  });
  commits = 0;
  statements = [];
  clock = jest.spyOn(performance, 'now').mockReturnValue(0);
});
afterEach(async () => {
  clock.mockRestore();
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

/** Whether the event loop turned while somebody waited. */
async function turnsDuring(work: Promise<unknown>): Promise<boolean> {
  let turned = false;
  const immediate = setImmediate(() => (turned = true));
  await work;
  clearImmediate(immediate);
  return turned;
}
const urgently = (id: string): Promise<number> => db.write(insert(id), { urgent: true });

test('an urgent transaction runs before those that wait, in a commit of its own', async () => {
  await Promise.all([db.write(insert('a')), db.write(insert('b')), db.write(insert('c')), urgently('u')]);
  expect(await stored()).toEqual(['a', 'u', 'b', 'c']);
  expect(commits).toBe(3);
});

test('urgent ones that come together share a commit', async () => {
  await Promise.all([db.write(insert('a')), urgently('u'), urgently('v'), urgently('w')]);
  expect(await stored()).toEqual(['a', 'u', 'v', 'w']);
  expect(commits).toBe(2);
});

test('an urgent one waits for no turn of the event loop, also between two commits', async () => {
  expect(await turnsDuring(urgently('alone'))).toBe(false);
  await Promise.all(['a', 'b', 'c'].map((id) => db.write(insert(id))));
  const late = db.write(insert('late'));
  expect(await turnsDuring(urgently('u'))).toBe(false);
  expect(await turnsDuring(urgently('v'))).toBe(false);
  expect(await turnsDuring(late)).toBe(true);
  expect(await stored()).toEqual(['alone', 'a', 'b', 'c', 'u', 'v', 'late']);
});

test('an urgent one that fails takes back nothing else', async () => {
  const bad = async (session: WriteSession): Promise<never> => {
    await insert('bad')(session);
    throw new Error('no');
  };
  const failing = (): Promise<never> => db.write(bad, { urgent: true });
  const results = await Promise.allSettled([db.write(insert('a')), failing(), urgently('u'), db.write(insert('b'))]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  expect(await stored()).toEqual(['a', 'u', 'b']);
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

/** Makes the writes share a commit: while the first is made, they come. */
async function sharing<T>(
  works: readonly ((session: WriteSession) => Promise<T>)[],
): Promise<PromiseSettledResult<T>[]> {
  const first = db.write(insert('first'));
  const all = Promise.allSettled(works.map((work) => db.write(work)));
  await first;
  return all;
}
const named = (text: string): string[] => statements.filter((sql) => sql.startsWith(text));
const valuesOf = <T>(results: readonly PromiseSettledResult<T>[]): unknown[] =>
  results.map((one) => (one.status === 'fulfilled' ? one.value : 'failed'));

describe('what transactions of one commit read', () => {
  const names = async (session: WriteSession): Promise<string[]> =>
    (await session.find(changes)).map((row) => row.object_id);

  test('is read once while nothing of the table changes', async () => {
    const results = await sharing([
      async (session) => {
        const rows = await session.find(changes);
        // Theirs to change, not the others'.
        for (const row of rows) row.object_id = 'mine';
        return rows.map((row) => row.object_id);
      },
      names,
      names,
      async (session) => [String(await session.count(changes)), String(await session.count(changes))],
    ]);
    expect(valuesOf(results)).toEqual([['mine'], ['first'], ['first'], ['1', '1']]);
    expect(named('SELECT')).toHaveLength(2);
  });

  test('is read anew after a change, also one that was taken back', async () => {
    const rename = async (session: WriteSession, to: string): Promise<string[]> => {
      await names(session);
      await session.update(changes, { object_id: 'first' }, { object_id: to });
      return names(session);
    };
    const results = await sharing([
      names,
      async (session) => {
        await rename(session, 'bad');
        throw new Error('no');
      },
      names,
      (session) => rename(session, 'good'),
      names,
      async (session) => {
        await session.delete(changes, { object_id: 'good' });
        return names(session);
      },
    ]);
    expect(valuesOf(results)).toEqual([['first'], 'failed', ['first'], ['good'], ['good'], []]);
  });

  /** Changes the row and says how it is now. */
  const told = async (session: WriteSession): Promise<string[]> => {
    const [row] = await session.find(changes);
    await session.update(changes, { object_id: 'first' }, { object_id: 'told' });
    if (row) session.know(changes, {}, [{ ...row, object_id: 'told' }]);
    return names(session);
  };

  test('is what was said of it by who changed it, until somebody else does', async () => {
    const back = (session: WriteSession): Promise<number> =>
      session.update(changes, { object_id: 'told' }, { object_id: 'first' });
    const results = await sharing([told, names, async (session) => [String(await back(session))], names]);
    expect(valuesOf(results)).toEqual([['told'], ['told'], ['1'], ['first']]);
    expect(named('SELECT')).toHaveLength(2);
  });

  test('is not what was said of it by who was taken back', async () => {
    const failed = async (session: WriteSession): Promise<string[]> => {
      await told(session);
      throw new Error('no');
    };
    expect(valuesOf(await sharing([failed, names]))).toEqual(['failed', ['first']]);
  });

  test('is read anew where the statement names other tables, or has many rows', async () => {
    const where = { object_id: new SubSelect(allocations, 'server_id', { host: 'h' }) };
    await sharing([(session) => session.find(changes, { where }), (session) => session.find(changes, { where })]);
    expect(named('SELECT')).toHaveLength(2);
    const rows = Array.from({ length: 60 }, (_, at) => ({
      kind: 'port',
      object_id: `${at}`,
      network_id: null,
      created_at: 0,
    }));
    await db.write((session) => session.insert(changes, rows));
    statements = [];
    await sharing([names, names]);
    expect(named('SELECT')).toHaveLength(2);
  });
});

describe('rows that are appended', () => {
  const append =
    (object_id: string) =>
    (session: WriteSession): Promise<void> =>
      session.append(changes, { kind: 'port', object_id, network_id: null, created_at: 0 });
  const claim =
    (server_id: string) =>
    (session: WriteSession): Promise<void> =>
      session.append(allocations, { server_id, host: 'h', vcpus: 1, memory_mib: 1, disk_gib: 1, created_at: 0 });
  const claimed = async (session: WriteSession): Promise<string[]> =>
    (await session.find(allocations, { order: { server_id: 'ASC' } })).map((row) => row.server_id);

  test('are inserted in one statement for all that share the commit, in their order', async () => {
    await sharing([append('a'), append('b'), append('c')]);
    expect(named('INSERT')).toHaveLength(2);
    expect(await stored()).toEqual(['first', 'a', 'b', 'c']);
  });

  test('are there for whoever looks at their table', async () => {
    const results = await sharing<unknown>([
      async (session) => {
        await claim('a')(session);
        return [await claimed(session), await session.count(allocations)];
      },
      async (session) => {
        await claim('b')(session);
        return list(session, allocations, { sort: [{ column: 'server_id', direction: 'asc' }] }).then((rows) =>
          rows.map((row) => row.server_id),
        );
      },
      async (session) => {
        await claim('c')(session);
        return session.update(allocations, { server_id: In(['a', 'c']) }, { host: 'other' });
      },
      async (session) => {
        await append('d')(session);
        await session.insert(allocations, {
          server_id: 'd',
          host: 'h',
          vcpus: 1,
          memory_mib: 1,
          disk_gib: 1,
          created_at: 0,
        });
        const where = { server_id: new SubSelect(changes, 'object_id', { kind: 'port' }) };
        return (await session.find(allocations, { where })).map((row) => row.server_id);
      },
    ]);
    expect(valuesOf(results)).toEqual([[['a'], 1], ['a', 'b'], 2, ['d']]);
  });

  test('are taken back with what failed, and with nothing else', async () => {
    const results = await sharing([
      claim('a'),
      async (session) => {
        await claim('bad')(session);
        throw new Error('no');
      },
      claim('b'),
    ]);
    expect(valuesOf(results)).toEqual([undefined, 'failed', undefined]);
    expect(await db.write(claimed)).toEqual(['a', 'b']);
  });

  test('that break a key fail their own transaction, whoever makes them be inserted', async () => {
    const results = await sharing<unknown>([claim('a'), claim('a'), claimed, claim('b')]);
    expect(valuesOf(results)).toEqual([undefined, 'failed', ['a'], undefined]);
    const [, broken] = results;
    expect(broken?.status === 'rejected' && isDuplicate(broken.reason)).toBe(true);
    await expect(db.write(claim('b'))).rejects.toThrow(/UNIQUE/);
    expect(await db.write(claimed)).toEqual(['a', 'b']);
  });

  test('are numbered at once, as they will be', async () => {
    const number =
      (...ids: string[]) =>
      (session: WriteSession): Promise<number> => {
        const rows = ids.map((object_id) => ({ kind: 'port', object_id, network_id: null, created_at: 0 }));
        return session.appendNumbered(changes, rows);
      };
    const results = await sharing<unknown>([
      number('a', 'b'),
      async (session) => {
        await number('bad')(session);
        throw new Error('no');
      },
      insert('c'),
      number('d'),
      number('e', 'f'),
    ]);
    expect(valuesOf(results)).toEqual([3, 'failed', 4, 5, 7]);
    const rows = await db.read((session) => session.find(changes, { order: { sequence: 'ASC' } }));
    expect(rows.map(({ sequence, object_id }) => [sequence, object_id])).toEqual(
      ['first', 'a', 'b', 'c', 'd', 'e', 'f'].map((id, at) => [at + 1, id]),
    );
    // A number is given once, whatever became of its row.
    await db.write((session) => session.delete(changes, {}));
    expect(await db.write(number('g'))).toBe(8);
  });

  test('must fit their table', async () => {
    await expect(db.write(append('x'.repeat(300)))).rejects.toThrow('Invalid input for object_id');
  });
});
