// Diagnostics of a server: the hypervisor's own names until 2.47, the same keys everywhere since, and for administrators only.
import { HostError, interfaceName, type Diagnostics, type HostApi } from '@cumulet/common';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { ports } from '../../controller/src/db/entities/network';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { startTestCloud, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
let tap: string;
let answer: () => Promise<Diagnostics>;
const api = { diagnostics: () => answer() } as unknown as HostApi;

beforeAll(async () => {
  cloud = await startTestCloud({ host: (name) => (name === 'h1' ? api : undefined) });
  const image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: image, config_drive: true } };
  id = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server.id;
  await settle(cloud, id, { host: 'h1', launched_at: cloud.cloud.clock.now() - 90_000 });
  const port = await cloud.cloud.db.read((session) => session.findOne(ports, { server_id: id }));
  tap = interfaceName('tap', port?.id ?? '');
});
afterAll(() => cloud.stop());
beforeEach(() => {
  answer = async () => ({
    cpuTimes: [17_300_000_000],
    disks: [
      { device: 'vda', readRequests: 112, readBytes: 262144, writeRequests: 488, writeBytes: 5778432, errors: -1 },
    ],
    interfaces: [
      {
        device: tap,
        received: { bytes: 1, packets: 2, errors: 3, drops: 4 },
        sent: { bytes: 5, packets: 6, errors: 7, drops: 8 },
      },
    ],
    maximumMemory: 131072,
    memory: { actualBalloon: 131072, available: 120000, unused: 20000, swapIn: 0 },
    hypervisor: 'qemu',
  });
});
const show = (version = '2.1', token = 'admin', server = id) =>
  cloud.call('GET', `/compute/v2.1/servers/${server}/diagnostics`, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
  });
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));

test('until 2.47 they are one flat object whose keys name the devices', async () => {
  const shown = await show('2.47');
  expect([shown.status, shown.body]).toEqual([
    200,
    {
      cpu0_time: 17_300_000_000,
      vda_read_req: 112,
      vda_read: 262144,
      vda_write_req: 488,
      vda_write: 5778432,
      vda_errors: -1,
      [`${tap}_rx`]: 1,
      [`${tap}_rx_packets`]: 2,
      [`${tap}_rx_errors`]: 3,
      [`${tap}_rx_drop`]: 4,
      [`${tap}_tx`]: 5,
      [`${tap}_tx_packets`]: 6,
      [`${tap}_tx_errors`]: 7,
      [`${tap}_tx_drop`]: 8,
      memory: 131072,
      'memory-actual': 131072,
      'memory-available': 120000,
      'memory-unused': 20000,
      'memory-swap_in': 0,
    },
  ]);
});

test('from 2.48 on they have the same keys whatever the hypervisor', async () => {
  expect((await show('2.48')).body).toEqual({
    state: 'running',
    driver: 'libvirt',
    hypervisor: 'qemu',
    hypervisor_os: 'linux',
    uptime: expect.any(Number),
    config_drive: true,
    num_cpus: 1,
    num_nics: 1,
    num_disks: 1,
    cpu_details: [{ id: 0, time: 17_300_000_000, utilisation: null }],
    nic_details: [
      {
        mac_address: expect.stringMatching(/^fa:16:3e/),
        rx_octets: 1,
        rx_errors: 3,
        rx_drop: 4,
        rx_packets: 2,
        rx_rate: null,
        tx_octets: 5,
        tx_errors: 7,
        tx_drop: 8,
        tx_packets: 6,
        tx_rate: null,
      },
    ],
    disk_details: [
      { read_bytes: 262144, read_requests: 112, write_bytes: 5778432, write_requests: 488, errors_count: -1 },
    ],
    memory_details: { maximum: 128, used: 97 },
  });
  expect((await show('2.48')).body.uptime).toBeGreaterThanOrEqual(90);
});

test('what is not known is null: whose interface it is, what a guest without a balloon uses, since when it runs', async () => {
  const full = await answer();
  answer = async () => ({
    ...full,
    interfaces: full.interfaces.map((one) => ({ ...one, device: 'vnet7' })),
    memory: { available: 120000 },
  });
  const [row] = await cloud.cloud.db.read((session) => session.find(servers, { where: { id } }));
  await set({ launched_at: null });
  const { body } = await show('2.48');
  expect([body.nic_details[0].mac_address, body.memory_details, body.uptime]).toEqual([
    null,
    { maximum: 128, used: null },
    null,
  ]);
  await set({ launched_at: row?.launched_at ?? null });
});

test('are for administrators, of a server that exists', async () => {
  expect((await show('2.1', 'demo')).status).toBe(403);
  expect((await show('2.1', 'other')).status).toBe(404);
  expect((await show('2.1', 'admin', 'nobody')).body.itemNotFound.code).toBe(404);
});

test('of a server that does not run, or whose host says no, are a conflict', async () => {
  await set({ power_state: 4 });
  expect((await show()).body.conflictingRequest.message).toBe(
    `Cannot 'get_diagnostics' instance ${id} while it is in power state shutdown`,
  );
  await set({ power_state: 1 });
  answer = () => Promise.reject(new HostError('not_running', 'the server is not running', { retryable: false }));
  expect((await show()).body.conflictingRequest.message).toContain('the server is not running');
  await set({ host: 'nowhere' });
  expect((await show()).status).toBe(409);
  await set({ host: 'h1' });
});
