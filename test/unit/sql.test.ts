// The statements of plain reads and writes: one text per shape, every value a parameter.
import { ILike } from 'typeorm';
import { In, IsNull, LessThan, LessThanOrEqual, MoreThan, MoreThanOrEqual, Not } from '../../controller/src/db';
import { flag, integer, json, nullable, sequence, table, text } from '../../controller/src/db/columns';
import { countSql, deleteSql, insertSql, selectSql, updateSql } from '../../controller/src/db/sql';

const things = table('thing', {
  sequence: sequence(),
  key: text(),
  size: nullable(integer()),
  on: flag(),
  facts: json<unknown>(),
});
const from = 'SELECT "sequence", "key", "size", "on", "facts" FROM "thing"';

test.each([
  ['no condition', undefined, '', []],
  ['no column', {}, ' WHERE 1 = 1', []],
  ['values', { key: 'a', size: 2 }, ' WHERE "key" = ? AND "size" = ?', ['a', 2]],
  ['a flag', { on: true }, ' WHERE "on" = ?', [1]],
  ['JSON', { facts: { a: 1 } }, ' WHERE "facts" = ?', ['{"a":1}']],
  ['null', { size: IsNull() }, ' WHERE "size" IS NULL', []],
  ['one of', { key: In(['a', 'b']) }, ' WHERE "key" IN (?, ?)', ['a', 'b']],
  ['one of nothing', { key: In([]) }, ' WHERE 0 = 1', []],
  ['not', { key: Not('a') }, ' WHERE "key" != ?', ['a']],
  ['not null', { size: Not(IsNull()) }, ' WHERE NOT ("size" IS NULL)', []],
  ['none of', { key: Not(In(['a'])) }, ' WHERE NOT ("key" IN (?))', ['a']],
  ['less', { size: LessThan(1) }, ' WHERE "size" < ?', [1]],
  ['at most', { size: LessThanOrEqual(1) }, ' WHERE "size" <= ?', [1]],
  ['more', { size: MoreThan(1) }, ' WHERE "size" > ?', [1]],
  ['at least', { size: MoreThanOrEqual(1) }, ' WHERE "size" >= ?', [1]],
  [
    'alternatives',
    [{ key: 'a', size: 1 }, { on: false }],
    ' WHERE ("key" = ? AND "size" = ?) OR ("on" = ?)',
    ['a', 1, 0],
  ],
  ['one alternative', [{ key: 'a' }], ' WHERE "key" = ?', ['a']],
  ['no alternative', [], '', []],
])('a condition with %s', (_name, where, sql, parameters) => {
  expect(selectSql(things, 'sqlite', { where })).toEqual({ sql: from + sql, parameters });
});

test('many values are one parameter on SQLite, and the text is the same for any number of them', () => {
  const keys = Array.from({ length: 21 }, (_, at) => `key-${at}`);
  expect(selectSql(things, 'sqlite', { where: { key: In(keys) } })).toEqual({
    sql: `${from} WHERE "key" IN (SELECT value FROM json_each(?))`,
    parameters: [JSON.stringify(keys)],
  });
  expect(selectSql(things, 'mariadb', { where: { key: In(keys) } }).parameters).toEqual(keys);
});

test('a selection has columns, an order, a limit and a lock', () => {
  const selection = { only: ['key'], order: { size: 'DESC', key: 'ASC' }, limit: 3, suffix: ' FOR UPDATE' } as const;
  expect(selectSql(things, 'mariadb', selection)).toEqual({
    sql: 'SELECT `key` FROM `thing` ORDER BY `size` DESC, `key` ASC LIMIT ? FOR UPDATE',
    parameters: [3],
  });
});

test('rows are counted and deleted by the same conditions', () => {
  expect(countSql(things, 'sqlite', { key: 'a' })).toEqual({
    sql: 'SELECT COUNT(*) AS total FROM "thing" WHERE "key" = ?',
    parameters: ['a'],
  });
  expect(deleteSql(things, 'mariadb', { key: 'a' })).toEqual({
    sql: 'DELETE FROM `thing` WHERE `key` = ?',
    parameters: ['a'],
  });
});

test('rows that are inserted have all columns but one that the database counts up', () => {
  expect(
    insertSql(things, 'sqlite', [
      { key: 'a', on: true, facts: [] },
      { key: 'b', size: 1 },
    ]),
  ).toEqual({
    sql: 'INSERT INTO "thing" ("key", "size", "on", "facts") VALUES (?, ?, ?, ?), (?, ?, ?, ?)',
    parameters: ['a', null, 1, '[]', 'b', 1, null, null],
  });
  expect(insertSql(things, 'sqlite', [{ sequence: 7, key: 'a' }]).parameters).toEqual([7, 'a', null, null, null]);
});

test('an update leaves alone what is undefined', () => {
  expect(updateSql(things, 'sqlite', { key: 'a' }, { size: null, facts: undefined, on: false })).toEqual({
    sql: 'UPDATE "thing" SET "size" = ?, "on" = ? WHERE "key" = ?',
    parameters: [null, 0, 'a'],
  });
});

test.each([
  ['a value that is missing', { key: undefined }, 'a condition on key has no value'],
  ['null, which nothing equals', { size: null }, 'IsNull()'],
  ['a column that is not there', { colour: 'red' }, 'table thing has no column colour'],
  ['an operator that is not known', { key: ILike('a') }, 'ilike is not known'],
])('a condition with %s is refused', (_name, where, message) => {
  expect(() => selectSql(things, 'sqlite', { where })).toThrow(message);
});
