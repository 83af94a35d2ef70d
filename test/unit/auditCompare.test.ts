// What the audit makes of a host's list and the database's: what is too much, what is missing, which numbers are wrong.
import { compareBalances, compareHost } from '../../controller/src/services/audit/compare';
import { remedyOf } from '../../controller/src/services/audit/remedy';

const domain = { kind: 'domain', id: 's1', name: 'cumulet-s1' };
const log = { kind: 'console', id: 's1', name: 's1/console.log' };
const required = { kind: 'domain', id: 's1', required: true };

test('nothing is found when host and database agree', () => {
  expect(compareHost('h1', [required], [domain])).toEqual([]);
  expect(compareHost('h1', [], [])).toEqual([]);
});

test('what belongs to nothing that has a place on the host is an orphan, with its name', () => {
  expect(compareHost('h1', [], [domain])).toEqual([
    {
      ...{ type: 'orphan', host: 'h1', ...domain },
      message: 'domain cumulet-s1 on h1 belongs to s1, which should have nothing there',
    },
  ]);
});

test('what a resource may leave beside the things it must have is no orphan', () => {
  expect(compareHost('h1', [required], [domain, log])).toEqual([]);
});

test('what must be there and is not is missing', () => {
  expect(compareHost('h1', [required], [log])).toEqual([
    { type: 'missing', host: 'h1', kind: 'domain', id: 's1', name: '', message: 'the domain of s1 is missing on h1' },
  ]);
});

test('what only may be there is not missing', () => {
  expect(compareHost('h1', [{ kind: 'console', id: 's1', required: false }], [])).toEqual([]);
});

test('a number that differs from what it counts is wrong', () => {
  const balance = { kind: 'host', id: 'h1', what: 'vCPUs claimed', recorded: 3, counted: 3 };
  expect(compareBalances([balance])).toEqual([]);
  expect(compareBalances([balance, { ...balance, counted: 2 }])).toEqual([
    {
      ...{ type: 'wrong', host: null, kind: 'host', id: 'h1', name: '' },
      message: 'vCPUs claimed of host h1: 3 recorded, but 2 counted',
    },
  ]);
});

test.each([
  ['missing', 'host', 'h1', 'start the agents of the host'],
  ['missing', 'domain', 'h1', 'start the server'],
  ['missing', 'disk', 'h1', 'rebuild the server or delete it'],
  ['missing', 'bridge', 'h1', 'the agent of its host make it again'],
  ['orphan', 'tap', 'h1', 'the agent of its host remove it'],
  ['wrong', 'port', 'h1', 'try again'],
  ['wrong', 'host', null, 'counts it again'],
  ['wrong', 'project', null, 'counts it again'],
  ['wrong', 'allocation', null, 'removes the row'],
] as const)('what is %s of kind %s on host %s has a remedy: %s', (type, kind, host, words) => {
  expect(remedyOf({ type, kind, host, id: 'i', name: '', message: '' })).toContain(words);
});
