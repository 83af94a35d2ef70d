// cumulet server shelve and unshelve, and what a drained host does with shelved servers, against a cloud with simulated hosts.
import { HostError } from '@cumulet/common';
import { startCommandCloud, type CommandCloud } from '../support/commandCloud';

let all: CommandCloud;
let ok: CommandCloud['ok'];
let json: CommandCloud['json'];
let fails: CommandCloud['fails'];

const HOST = 'OS-EXT-SRV-ATTR:host';
const boot = (name: string) => ok(`server create --image tiny --flavor m1.tiny --network demo --wait ${name}`);
const stay = (seconds: number): void => void (all.cloud.test.cloud.config.shelved_offload_time = seconds);
const shown = (name: string) => json(`server show ${name}`);

beforeAll(async () => {
  all = await startCommandCloud();
  ({ ok, json, fails } = all);
});
afterAll(() => all.stop());
beforeEach(() => stay(0));
afterEach(() => {
  all.host.before = () => undefined;
});

test('a server is shelved, and runs again', async () => {
  await boot('s1');
  await ok('server shelve --wait s1');
  expect(await shown('s1')).toMatchObject({ status: 'SHELVED_OFFLOADED', [HOST]: null });
  await ok('server unshelve --availability-zone nova --wait s1');
  expect(await shown('s1')).toMatchObject({ status: 'ACTIVE', [HOST]: 'node-1' });
  await ok('server shelve --offload --wait s1');
  await ok('--os-compute-api-version 2.91 server unshelve --host node-1 --no-availability-zone --wait s1');
  await ok('server shelve s1');
  await ok('server delete --wait s1');
});

test('what fails says that the server is what it was', async () => {
  await boot('s2');
  all.host.before = (kind) => {
    if (kind === 'snapshot.upload') throw new HostError('image_refused', 'no such image', { retryable: false });
  };
  expect(await fails(1, 'server shelve --wait s2')).toBe(
    'server "s2" could not be shelved, it is what it was (see: cumulet server why s2)',
  );
  all.host.before = () => undefined;
  await ok('server shelve --wait s2');
  all.host.before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('guest_refused', 'it can not start', { retryable: false });
  };
  expect(await fails(1, 'server unshelve --wait s2')).toContain('could not be unshelved, it is what it was');
  await ok('server delete --wait s2');
});

test('one that stays on its host leaves it when it is told to, or with the host', async () => {
  stay(-1);
  for (const name of ['s3', 's4']) await boot(name);
  await ok('server shelve --wait s3');
  expect(await shown('s3')).toMatchObject({ status: 'SHELVED', [HOST]: 'node-1' });
  await ok('server shelve --offload --wait s4');
  expect(await shown('s4')).toMatchObject({ status: 'SHELVED_OFFLOADED', [HOST]: null });
  await ok('host drain node-1');
  expect(await shown('s3')).toMatchObject({ status: 'SHELVED_OFFLOADED', [HOST]: null });
  await ok('host undrain node-1');
  await ok('server delete --wait s3 s4');
});
