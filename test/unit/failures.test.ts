// The list of failed tests at the end of a run: every one named, its message kept short.
import { join } from 'node:path';

// eslint-disable-next-line @typescript-eslint/no-require-imports -- a plain script: it runs before anything is built
const { failuresOf } = require(join(__dirname, '../failures.js')) as {
  failuresOf: (project: string, root: string, result: { testResults: object[] }) => string[];
};

const name = '/checkout/test/unit/a.test.ts';
const passed = { fullName: 'the sky is blue', status: 'passed', failureMessages: [] };
const failed = (message: string) => ({ fullName: 'the sky is green', status: 'failed', failureMessages: [message] });
const listOf = (file: object) => failuresOf('unit', '/checkout', { testResults: [{ name, message: '', ...file }] });

test('a failed test is named with the first lines of its message, without colours', () => {
  const message =
    '\u001b[2mexpect(\u001b[31mreceived\u001b[39m)\u001b[22m\n\n  Expected: 1\n  Received: 2\n    at file:1\n';
  expect(listOf({ status: 'failed', assertionResults: [passed, failed(message)] })).toEqual([
    'unit: test/unit/a.test.ts: the sky is green\n    expect(received)\n    Expected: 1\n    Received: 2',
  ]);
});

test('a comparison shows what differs rather than how many lines do', () => {
  const message = 'Error: expect\n\n- Expected  - 1\n+ Received  + 12\n\n-   "a": 2,\n+   "a": 1,\n';
  expect(listOf({ status: 'failed', assertionResults: [failed(message)] })).toEqual([
    'unit: test/unit/a.test.ts: the sky is green\n    Error: expect\n    -   "a": 2,\n    +   "a": 1,',
  ]);
});

test('a long message is cut', () => {
  const [text = ''] = listOf({ status: 'failed', assertionResults: [failed('x'.repeat(5000))] });
  expect(text).toHaveLength('unit: test/unit/a.test.ts: the sky is green\n    ...'.length + 300);
});

test('a file that could not run is named, also when its tests passed before', () => {
  const words = 'unit: test/unit/a.test.ts could not run\n    ● Test suite failed to run\n    no such module';
  const message = '  ● Test suite failed to run\n\n    no such module\n';
  expect(listOf({ status: 'failed', message, assertionResults: [] })).toEqual([words]);
  expect(listOf({ status: 'failed', message, assertionResults: [passed] })).toEqual([words]);
});

test('what passed is not listed', () => {
  expect(listOf({ status: 'passed', assertionResults: [passed] })).toEqual([]);
});
