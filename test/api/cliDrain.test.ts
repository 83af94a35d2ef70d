// cumulet server migrate --live-migration, and cumulet host drain and undrain, against a cloud with simulated hosts.
import { once } from 'node:events';
import { HostError } from '@cumulet/common';
import type { SimulatedHost } from '../support/simulatedHost';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];
let other: SimulatedHost;

const HOST = 'OS-EXT-SRV-ATTR:host';
const boot = (name: string) => ok(`server create --image tiny --flavor m1.tiny --network demo --wait ${name}`);
const hostOf = async (name: string): Promise<unknown> => (await json(`server show ${name}`))[HOST];

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
  other = await all.addHost('node-2');
});
afterAll(() => all.stop());
afterEach(() => {
  for (const host of [all.host, other]) host.before = () => undefined;
});

test('a server goes while it runs, to a host that is named or chosen, or says that it stayed', async () => {
  await boot('l1');
  const from = await hostOf('l1');
  const to = from === 'node-1' ? 'node-2' : 'node-1';
  expect(await json(`server migrate --live-migration --host ${to} --wait l1`)).toMatchObject({
    status: 'ACTIVE',
    [HOST]: to,
  });
  expect(await json('server migrate --live-migration --block-migration --wait l1')).toMatchObject({ [HOST]: from });
  for (const host of [all.host, other])
    host.before = (kind) => {
      if (kind === 'migration.send') throw new HostError('send_failed', 'it can not be sent', { retryable: false });
    };
  expect(await fails(1, 'server migrate --live-migration --wait l1')).toContain(
    'was not migrated, it runs where it was',
  );
  expect(await ok('server why l1')).toContain('it can not be sent');
  expect(await json('server migrate --live-migration --shared-migration l1')).toMatchObject({ status: 'MIGRATING' });
  while ((await json('server show l1')).status !== 'ACTIVE') await new Promise((next) => setTimeout(next, 50));
  const statuses = (await json('server migration list --type live-migration')).map(
    (row: object) => Object.values(row)[4],
  );
  expect(statuses).toEqual(['error', 'error', 'completed', 'completed']);
  expect(await fails(2, 'server migrate --block-migration l1')).toContain('go with --live-migration');
  const both = '--block-migration --shared-migration --live-migration';
  expect(await fails(2, `server migrate ${both} l1`)).toContain('exclude each other');
  await ok('server delete --wait l1');
});

test('a migration under way is forced, or aborted', async () => {
  await boot('l2');
  const from = await hostOf('l2');
  const sending = new Promise<void>((begun) => {
    for (const host of [all.host, other])
      host.before = async (_kind, signal) => {
        if (!signal) return;
        begun();
        // It takes until it is ended, however late that is heard of.
        await once(signal, 'abort');
      };
  });
  await ok('server migrate --live-migration l2');
  await sending;
  const [{ Id: number }] = await json('server migration list --server l2');
  expect(await fails(1, 'server migration force complete l2 999')).toContain('is not found');
  await ok(`server migration force complete l2 ${number}`);
  await ok(`server migration abort l2 ${number}`);
  while ((await json('server show l2')).status !== 'ACTIVE') await new Promise((next) => setTimeout(next, 50));
  expect(await hostOf('l2')).toBe(from);
  expect(await fails(1, `server migration abort l2 ${number}`)).toContain('task_state None');
  await ok('server delete --wait l2');
});

test('everything leaves a host that is drained, as it is; what can not is told, and asking again goes on', async () => {
  await ok('compute service set --disable node-2 nova-compute');
  for (const name of ['d1', 'd2', 'd3']) await boot(name);
  await ok('server stop --wait d2');
  await ok('compute service set --enable node-2 nova-compute');
  all.host.before = (kind) => {
    if (kind === 'migration.send') throw new HostError('send_failed', 'it can not be sent', { retryable: false });
  };
  const words = await fails(1, 'host drain node-1');
  expect(words).toContain('2 of 3 servers did not leave node-1');
  expect(words).toContain('d1: its migration failed');
  expect([await hostOf('d1'), await hostOf('d2')]).toEqual(['node-1', 'node-2']);
  all.host.before = () => undefined;
  const rows: { Name: string; Host: string }[] = await json('host drain --reason memory node-1');
  expect(rows.map(({ Name, Host }) => [Name, Host]).sort()).toEqual([
    ['d1', 'node-2'],
    ['d3', 'node-2'],
  ]);
  expect(
    (await json('server list')).map((row: Record<string, unknown>) => [row['Name'], row['Status']]).sort(),
  ).toEqual([
    ['d1', 'ACTIVE'],
    ['d2', 'SHUTOFF'],
    ['d3', 'ACTIVE'],
  ]);
  expect([...all.host.domains.keys(), ...all.host.disks.keys(), ...all.host.taps]).toEqual([]);
  expect((await json('compute service list --long --host node-1'))[0]).toMatchObject({
    Status: 'disabled',
    'Disabled Reason': 'memory',
  });
  await ok('host undrain node-1');
  expect((await json('compute service list --host node-1'))[0]).toMatchObject({ Status: 'enabled' });
  expect(await fails(1, 'host drain node-9')).toContain('host "node-9" has no service "nova-compute"');
});

test('with nowhere to go nothing leaves, and each server says why', async () => {
  await ok('compute service set --disable node-1 nova-compute');
  await ok('server pause --wait d3');
  const words = await fails(1, 'host drain node-2');
  expect(words).toContain('3 of 3 servers did not leave node-2');
  expect(words).toContain('d3: its migration failed');
});

test('a server that is busy, or neither runs nor is off, stays and says so', async () => {
  await ok('server unpause --wait d3');
  await ok('server suspend --wait d3');
  let go: () => void = () => undefined;
  const copying = new Promise<void>((begun) => {
    other.before = async (kind) => {
      if (kind !== 'disk.copy') return;
      begun();
      await new Promise<void>((resolve) => (go = resolve));
    };
  });
  await ok('server image create --name copy d1');
  await copying;
  const words = await fails(1, 'host drain node-2');
  go();
  expect(words).toContain('d3: it is SUSPENDED, and only servers that run or are off can leave');
  expect(words).toMatch(/d1: .*task_state/);
});

test('every command was tried', () => {
  expect(all.untried('host', 'server migration abort', 'server migration force')).toEqual([]);
});
