// cumulet server resize, migrate, migration and evacuate against a cloud with two simulated hosts.
import { HostError } from '@cumulet/common';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];

const BOOT = 'server create --image tiny --flavor m1.tiny --network demo --wait';

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
});
afterAll(() => all.stop());

async function until(name: string, status: string): Promise<void> {
  while ((await json(`server show ${name}`)).status !== status) await new Promise((next) => setTimeout(next, 50));
}

test('resize, migrate, confirm, revert', async () => {
  await ok('flavor create --ram 256 --disk 1 --vcpus 2 m1.double');
  await ok(`${BOOT} m1`);
  expect(await json('server resize --flavor m1.double m1')).toMatchObject({ name: 'm1', status: 'RESIZE' });
  await until('m1', 'VERIFY_RESIZE');
  await ok('server resize revert --wait m1');
  expect(await json('server show m1')).toMatchObject({ status: 'ACTIVE', flavor: { original_name: 'm1.tiny' } });
  const resized = await json('server resize --flavor m1.double --wait m1');
  expect(resized).toMatchObject({ status: 'VERIFY_RESIZE', flavor: { original_name: 'm1.double' } });
  await ok('server resize confirm m1');
  await until('m1', 'ACTIVE');
  expect(await fails(1, 'server migrate --wait m1')).toBe(
    'server "m1" could not be migrated, it is what it was (see: cumulet server why m1)',
  );
  const other = await all.addHost('node-2');
  expect(await json('server migrate --host node-2 --wait m1')).toMatchObject({ 'OS-EXT-SRV-ATTR:host': 'node-2' });
  await ok('server migration revert --wait m1');
  expect(await json('server migrate --wait m1')).toMatchObject({ status: 'VERIFY_RESIZE' });
  other.before = (kind) => {
    if (kind === 'server.remove') throw new HostError('still_there', 'it does not go', { retryable: true });
  };
  expect(await fails(1, 'server migration revert --wait m1')).toContain('server "m1" could not be reverted');
  other.before = () => undefined;
  await ok('server migration confirm --wait m1');
  expect((await json('server show m1'))['OS-EXT-SRV-ATTR:host']).toBe('node-2');
  const moves = await json('server migration list --server m1 --type migration');
  expect(moves.map((row: object) => Object.values(row).slice(2, 5))).toEqual([
    ['node-1', 'node-2', 'confirmed'],
    ['node-1', 'node-2', 'reverted'],
    ['node-1', null, 'error'],
  ]);
  const steps = await ok('server why m1');
  expect(steps).toContain('the disk is copied');
  await ok('server delete --wait m1');
  expect([all.host.disks.size, other.disks.size]).toEqual([0, 0]);
});

test('evacuate', async () => {
  await ok(`${BOOT} e1`);
  const from = (await json('server show e1'))['OS-EXT-SRV-ATTR:host'] as string;
  const to = from === 'node-1' ? 'node-2' : 'node-1';
  expect(await fails(1, 'server evacuate e1')).toContain(`Compute service of ${from} is still in use.`);
  await all.powerOff(from);
  await ok(`compute service set --disable ${to} nova-compute`);
  expect(await fails(1, 'server evacuate --wait e1')).toBe(
    'server "e1" was not evacuated, it is where it was (see: cumulet server why e1)',
  );
  await ok(`compute service set --enable ${to} nova-compute`);
  expect(await json('server evacuate e1')).toMatchObject({ name: 'e1', status: 'REBUILD' });
  await until('e1', 'ACTIVE');
  expect((await json('server show e1'))['OS-EXT-SRV-ATTR:host']).toBe(to);
  expect(await ok('server why e1')).toContain('the fencing command said that the host is off');
  await all.hosts.get(from)?.start();
  await all.powerOff(to);
  const back = await json(`server evacuate --host ${from} --wait e1`);
  expect(back).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': from });
  const moves = await json('server migration list --server e1 --type evacuation');
  expect(moves.map((row: object) => Object.values(row).slice(2, 5))).toEqual([
    [to, from, 'done'],
    [from, to, 'done'],
    [from, null, 'failed'],
  ]);
});

test('every command was tried', () => {
  // Those of live migrations are tried with them.
  const moves = /^server (resize|migrat|evacuat)(?!ion (abort|force))/;
  expect(all.untried('server').filter((name) => moves.test(name))).toEqual([]);
});

test.each([
  [2, 'server resize nobody', 'server resize needs --flavor FLAVOR'],
  [1, 'server resize --flavor m1.tiny nobody', 'no server is called "nobody"'],
  [1, 'server evacuate nobody', 'no server is called "nobody"'],
  [1, 'server migrate nobody', 'no server is called "nobody"'],
  [1, 'server migration abort nobody 1', 'no server is called "nobody"'],
  [1, 'server migration force complete nobody 1', 'no server is called "nobody"'],
  [1, 'server migration list --server nobody', 'no server is called "nobody"'],
  ...['resize', 'migration'].flatMap((words) =>
    ['confirm', 'revert'].map((verb) => [1, `server ${words} ${verb} nobody`, 'no server is called "nobody"'] as const),
  ),
] as const)('ends with %i: %s', async (exit, line, words) => expect(await fails(exit, line)).toContain(words));
