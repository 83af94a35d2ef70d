// Two hosts' storage agents on one directory of disks, with real qemu-img: who has a disk, and who must leave it alone.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type CommandBody,
  type DiskEnsure,
} from '@cumulet/common';
import { createStorageAgent, StorageConfig, type StorageAgent } from '@cumulet/storage-agent';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi, sha512, type FakeAgentApi } from '../support/fakeAgentApi';
import { GIB, holds } from '../support/storageScene';

const MARK = '6c8f0a52-0a4e-4f57-8d4e-1f4b8f0c2d11';
interface Host {
  readonly api: FakeAgentApi;
  readonly agent: StorageAgent;
  readonly driver: AgentDriver;
  /** What it reported. */
  inventory(): Record<string, unknown>;
}

let directory: string;
let shared: string;
let image: DiskEnsure['image'];
let bytes: Buffer;
const hosts: Host[] = [];

/** A host whose storage agent has a directory of its own, and disks where it is told. */
async function start(name: string, disks: string | null = shared): Promise<Host> {
  const bus = createMemoryBus();
  const driver = await driveAgent(bus, name);
  const fake = fakeAgentApi();
  fake.images.set(image.digest, bytes);
  let reported: Record<string, unknown> = {};
  const api: FakeAgentApi = Object.assign(fake, {
    register: (registration: Parameters<FakeAgentApi['register']>[0]) => {
      reported = { ...registration.inventory };
      return Promise.resolve({ session: 1, expected: fake.expected });
    },
  });
  const dir = join(directory, name);
  const config = parseConfig(StorageConfig, JSON.stringify({ dir, shared_disks: disks, min_free_mib: 0 }), 'test');
  const agent = createStorageAgent({ host: name, bus, api, exec, log: silentLogger, clock: systemClock, config });
  const host: Host = { api, agent, driver, inventory: () => reported };
  hosts.push(host);
  await agent.start();
  return host;
}
const from = (name: string, host: Host): CommandBody<'disk.find'>['from'] => ({
  host: name,
  card: String(host.inventory()['shared_disks_card']),
});
const find = (server_id: string, name: string, host: Host, more: object = {}): CommandBody<'disk.find'> => ({
  server_id,
  base_format: 'raw',
  revision: 1,
  from: from(name, host),
  take: false,
  ...more,
});
const ensure = (server_id: string): DiskEnsure => ({ server_id, image, size: GIB, revision: 1 });
const folder = (id: string, at = shared): string => join(at, 'disks', id);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-shared-'));
  shared = join(directory, 'shared');
  mkdirSync(shared);
  writeFileSync(join(shared, '.cumulet-disks'), `${MARK}\n`);
  bytes = Buffer.alloc(64 * 1024, 0x5a);
  image = { id: newId(), digest: sha512(bytes), format: 'raw', size: bytes.length };
});
afterEach(async () => {
  for (const { agent } of hosts.splice(0)) await agent.stop();
  rmSync(directory, { recursive: true });
});

test('a disk that one host made the other one finds, with its contents, and takes', async () => {
  const [one, two] = [await start('h1'), await start('h2')];
  expect([one.inventory()['shared_disks'], two.inventory()['shared_disks']]).toEqual([MARK, MARK]);
  const id = newId();
  const made = await one.driver.run('disk.ensure', id, ensure(id));
  expect(made).toMatchObject({ outcome: 'done', observed: { shared: true } });
  const path = join(folder(id), 'disk-r1.qcow2');
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x77 0 64k', path]);
  const found = await two.driver.run('disk.find', id, find(id, 'h1', one, { take: true }), { generation: 2 });
  expect(found.observed).toEqual(made.observed);
  expect(holds(path, 0x77)).toBe(true);
  // What the host was told before, by which it has lost the disk, changes nothing.
  expect(await one.driver.run('disk.remove', id, { server_id: id })).toMatchObject({ outcome: 'done' });
  expect(holds(path, 0x77)).toBe(true);
  const late = newId();
  expect(await one.driver.run('disk.ensure', late, ensure(id))).toMatchObject({ fault: { code: 'disk_elsewhere' } });
  expect(await two.driver.run('disk.remove', id, { server_id: id }, { generation: 2 })).toMatchObject({
    outcome: 'done',
  });
  expect(existsSync(folder(id))).toBe(false);
});

test('a copy beside the disk is made in the directory, nothing is fetched from the other host', async () => {
  const [one, two] = [await start('h1'), await start('h2')];
  const id = newId();
  await one.driver.run('disk.ensure', id, ensure(id));
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x77 0 64k', join(folder(id), 'disk-r1.qcow2')]);
  const adopt = { server_id: id, image, revision: 2, from: { revision: 1, elsewhere: false } };
  expect(await two.driver.run('disk.adopt', id, adopt)).toMatchObject({ outcome: 'done' });
  expect(holds(join(folder(id), 'disk-r2.qcow2'), 0x77)).toBe(true);
  expect(await two.driver.run('disk.remove', id, { server_id: id, revision: 1 })).toMatchObject({ outcome: 'done' });
  expect(readdirSync(folder(id)).sort()).toEqual(['base-r2', 'disk-r2.qcow2', 'generation']);
});

test('an agent that starts removes what nobody has, but no disk that came while it asked who should have one', async () => {
  const one = await start('h1');
  const [kept, gone, new_] = [newId(), newId(), newId()];
  for (const id of [kept, gone]) await one.driver.run('disk.ensure', id, ensure(id));
  const bus = createMemoryBus();
  const api = Object.assign(fakeAgentApi(), {
    register: async () => {
      await one.driver.run('disk.ensure', new_, ensure(new_));
      return { session: 1, expected: [{ id: kept, generation: 1 }] };
    },
  });
  const text = JSON.stringify({ dir: join(directory, 'h2'), shared_disks: shared, min_free_mib: 0 });
  const config = parseConfig(StorageConfig, text, 'test');
  const two = createStorageAgent({ host: 'h2', bus, api, exec, log: silentLogger, clock: systemClock, config });
  await two.start();
  await two.stop();
  expect(readdirSync(join(shared, 'disks')).sort()).toEqual([kept, new_].sort());
  await two.purge();
  expect(readdirSync(join(shared, 'disks')).sort()).toEqual([kept, new_].sort());
});

test('a fetch of another host goes on while an agent starts', async () => {
  await start('h1');
  const [own, other] = ['h1', 'h2'].map((name) => join(shared, 'images', `${image.digest}.part-${name}-${newId()}`));
  for (const path of [own, other]) writeFileSync(path ?? '', 'half');
  await start('h1');
  expect([existsSync(own ?? ''), existsSync(other ?? '')]).toEqual([false, true]);
});

test('what lists a host lists the disks and nothing of ours', async () => {
  const one = await start('h1');
  const id = newId();
  await one.driver.run('disk.ensure', id, ensure(id));
  expect((await one.agent.inventoryOfResources()).map(({ name }) => name.slice(folder(id).length))).toEqual([
    '',
    '/base-r1',
    '/disk-r1.qcow2',
  ]);
});

describe('what is not the same directory', () => {
  test('is found out although it is a copy with the same mark', async () => {
    const one = await start('h1');
    const id = newId();
    await one.driver.run('disk.ensure', id, ensure(id));
    const copy = join(directory, 'copy');
    cpSync(shared, copy, { recursive: true });
    await one.agent.stop();
    const again = await start('h1');
    const two = await start('h2', copy);
    expect(two.inventory()['shared_disks']).toBe(MARK);
    expect(await two.driver.run('disk.find', id, find(id, 'h1', again))).toMatchObject({
      fault: { code: 'disks_not_shared', retryable: false },
    });
  });

  test('is not asked for by a host that shares none', async () => {
    const [one, two] = [await start('h1'), await start('h2', null)];
    expect(two.inventory()).not.toHaveProperty('shared_disks');
    expect(await two.driver.run('disk.find', newId(), find(newId(), 'h1', one))).toMatchObject({
      fault: { code: 'disks_not_shared' },
    });
  });

  test('takes no server while it is not mounted, and makes nothing there', async () => {
    const one = await start('h1');
    rmSync(join(shared, '.cumulet-disks'));
    const id = newId();
    expect(await one.driver.run('disk.ensure', id, ensure(id))).toMatchObject({
      fault: { code: 'disks_away', retryable: true },
    });
    expect(await one.driver.run('disk.remove', id, { server_id: id })).toMatchObject({ fault: { code: 'disks_away' } });
    // What can't be read is no mark either.
    mkdirSync(join(shared, '.cumulet-disks'));
    expect(await one.driver.run('disk.remove', newId(), { server_id: id })).toMatchObject({ outcome: 'failed' });
    expect(existsSync(folder(id))).toBe(false);
  });
});

test('a disk that is not there is not made by who looks for it', async () => {
  const [one, two] = [await start('h1'), await start('h2')];
  const id = newId();
  expect(await two.driver.run('disk.find', id, find(id, 'h1', one))).toMatchObject({
    fault: { code: 'disk_missing', retryable: false },
  });
  await one.driver.run('disk.ensure', id, ensure(id));
  writeFileSync(join(folder(id), 'disk-r1.qcow2'), 'no disk');
  expect(await two.driver.run('disk.find', newId(), find(id, 'h1', one))).toMatchObject({
    fault: { code: 'disk_missing' },
  });
  rmSync(join(folder(id), 'disk-r1.qcow2'));
  mkdirSync(join(folder(id), 'disk-r1.qcow2'));
  expect(await two.driver.run('disk.find', newId(), find(id, 'h1', one))).toMatchObject({
    fault: { code: 'disk_failed' },
  });
});

test('a card holds over the next start of its host, whose controller may not have heard of the new one', async () => {
  const one = await start('h1');
  await one.agent.stop();
  const again = await start('h1');
  const two = await start('h2');
  const id = newId();
  await again.driver.run('disk.ensure', id, ensure(id));
  expect(await two.driver.run('disk.find', id, find(id, 'h1', one))).toMatchObject({ outcome: 'done' });
  for (let starts = 0; starts < 3; starts++) await (await start('h1')).agent.stop();
  expect(readFileSync(join(shared, 'hosts/h1'), 'utf8').trim().split('\n')).toHaveLength(3);
  expect(await two.driver.run('disk.find', newId(), find(id, 'h1', one))).toMatchObject({
    fault: { code: 'disks_not_shared' },
  });
});
