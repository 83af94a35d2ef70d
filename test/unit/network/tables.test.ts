// Tables of iptables that were not there before us go with a purge, where nobody else has put anything into them.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, type Exec } from '@cumulet/common';
import { createFirewallTables, parseTables } from '../../../network-agent/src/firewall/tables';

const EMPTY = '*filter\n:INPUT ACCEPT [1:60]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
const NAT = '# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j mine\nCOMMIT\n';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cumulet-tables-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A machine whose iptables-save and ip6tables-save print these. */
function machine(texts: { four: string; six: string }) {
  const deleted: string[] = [];
  const exec: Exec = (argv) => {
    const [command] = argv;
    if (command === 'nft') {
      deleted.push(argv.slice(1).join(' '));
      return Promise.reject(new CommandError(argv, 1, '', 'no such table'));
    }
    return Promise.resolve({ stdout: command === 'iptables-save' ? texts.four : texts.six, stderr: '' });
  };
  return { deleted, texts, tables: createFirewallTables(exec, join(directory, 'tables.json')) };
}

test.each([
  ['nothing', '', {}],
  ['chains of the kernel that accept', EMPTY, { filter: true }],
  ['a rule', NAT, { nat: false }],
  ['a policy', '*filter\n:FORWARD DROP [0:0]\nCOMMIT\n', { filter: false }],
  ["a chain of somebody's own", '*nat\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\nCOMMIT\n', { nat: false }],
  ['several tables', `${EMPTY}${NAT}`, { filter: true, nat: false }],
])('%s', (_, text, expected) => {
  const found = [...parseTables(text)].map(([name, { isEmpty }]) => [name, isEmpty]);
  expect(Object.fromEntries(found)).toEqual(expected);
});

test('those that came with us and are empty go, also when there is no such table for nft; the others stay', async () => {
  const { deleted, texts, tables } = machine({ four: EMPTY, six: '' });
  await tables.note();
  texts.four = `${EMPTY}${NAT}`;
  texts.six = EMPTY;
  await tables.note();
  await tables.removeEmpty();
  expect(deleted).toEqual(['delete table ip6 filter']);
  expect(readdirSync(directory)).toEqual([]);
});

test('without a note, or with one that can not be read, nothing is removed', async () => {
  const { deleted, tables } = machine({ four: EMPTY, six: EMPTY });
  await tables.removeEmpty();
  writeFileSync(join(directory, 'tables.json'), 'not JSON');
  await tables.removeEmpty();
  expect(deleted).toEqual([]);
});

test('a note that can not be reached is a failure', async () => {
  const { tables } = machine({ four: '', six: '' });
  rmSync(directory, { recursive: true });
  writeFileSync(directory, '');
  await expect(tables.note()).rejects.toThrow('ENOTDIR');
});
