// What a purge says that it removes, out of what is found on the host.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { openDatabase } from '@cumulet/controller';
import { partsOf, StandaloneConfig } from '@cumulet/standalone';
import { describe as describeHost, serverNames } from '../../standalone/src/belongings';

const thing = (kind: string, name: string, id = name) => ({ kind, id, name });

test('each kind is a line, servers by the names that people gave them', () => {
  const found = [
    thing('domain', 'cumulet-1', '1'),
    thing('domain', 'cumulet-2', '2'),
    thing('disk', '/d/1/root.qcow2'),
    thing('disk_directory', '/d/1'),
    thing('bridge', 'br1'),
    thing('tap', 'tap1'),
    thing('namespace', 'cml-dhcp-1'),
    thing('ipset', 'cumulet-s'),
  ];
  expect(describeHost(found, new Map([['1', 'hello']]), { 'net.ipv4.ip_forward': '0' })).toEqual([
    'servers (2): hello, cumulet-2',
    'disks: 1',
    'network namespaces (1): cml-dhcp-1',
    'network links: 2',
    'packet filter chains and sets: 1',
    'kernel settings: net.ipv4.ip_forward back to 0',
  ]);
});

test('of many only some are named, and nothing is no line', () => {
  const many = Array.from({ length: 12 }, (_, n) => thing('domain', `s${n}`));
  expect(describeHost(many, new Map(), {})).toEqual([
    'servers (12): s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more',
  ]);
  expect(describeHost([], new Map(), {})).toEqual([]);
});

describe('the names of servers', () => {
  let directory: string;
  const parts = () => partsOf(parseConfig(StandaloneConfig, `data_dir: ${directory}\n`, 'test'), 'test');
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cumulet-belongings-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  test('are none before the first start, and before the first server', async () => {
    expect(await serverNames(parts())).toEqual(new Map());
    await (await openDatabase({ kind: 'sqlite', path: join(directory, 'cumulet.db') })).close();
    expect(await serverNames(parts())).toEqual(new Map());
  });

  test('are done without when it can not be read', async () => {
    writeFileSync(join(directory, 'cumulet.db'), 'no database at all, but long enough to be looked at'.repeat(100));
    expect(await serverNames(parts())).toEqual(new Map());
  });
});
