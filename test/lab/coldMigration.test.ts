// A server moves between two hosts that share nothing: each has a libvirtd, QEMU and files of its own, and the disk comes over mutual TLS.
// At last one of them dies and is fenced.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createAgent,
  createAgentApiClient,
  createHostListener,
  createMemoryBus,
  exec,
  parseConfig,
  silentLogger,
  systemClock,
  type Agent,
  type HostApi,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent } from '@cumulet/compute-agent';
import { createAgentListener, createHostClients, taskKinds, type HostClients } from '@cumulet/controller';
import { createStorageAgent, StorageConfig, type StorageAgent } from '@cumulet/storage-agent';
import { agents as agentRows, tasks } from '../../controller/src/db/entities/tasks';
import { makeTestCa, type TestCa } from '../support/certificates';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { tinyImage } from '../support/tinyImage';

jest.setTimeout(240_000);

interface RealHost {
  readonly libvirtd: PrivateLibvirtd;
  readonly dir: string;
  readonly api: HostApi;
  /** Ends its agents, which then have been silent for long; its guests run on. */
  silence(): Promise<void>;
  /** Starts agents again. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const PREFIX = 'cumulet-move-';
/** A host is off when none of its guests runs: here a host is no more than its libvirtd. */
const FENCE = `set -e
uri="qemu+unix:///system?socket=$(cat "$(dirname "$0")/$1")"
for guest in $(virsh -c "$uri" list --name); do virsh -c "$uri" destroy "$guest"; done
[ -z "$(virsh -c "$uri" list --name)" ]
`;
const bus = createMemoryBus();
const hosts = new Map<string, RealHost>();
let ca: TestCa;
let cloud: TestCloud;
let listener: Server;
let clients: HostClients;
let id: string;
let directory: string;

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A host whose storage agent speaks to controllers as a process of its own does. Its servers have no networks, so nobody wires any. */
async function startHost(name: string, controller: string): Promise<RealHost> {
  await ca.add('host', name);
  const libvirtd = await startPrivateLibvirtd();
  const dir = join(libvirtd.directory, 'data');
  mkdirSync(dir, { mode: 0o711 });
  const common = { host: name, bus, exec, log: silentLogger, clock: systemClock };
  const api = cloud.controller.agentApi;
  const settings = { dir, domain_prefix: PREFIX, libvirt_socket: libvirtd.socketPath, shutdown_seconds: 3 };
  const tls = ca.files(name);
  let agents: readonly [ComputeAgent, StorageAgent, Agent] | undefined;
  const running = () => {
    if (!agents) throw new Error(`the agents of ${name} do not run`);
    return agents;
  };
  const openDisk: HostApi['openDisk'] = async (...wanted) => running()[1].openDisk(...wanted);
  const openImage: HostApi['openImage'] = async (...wanted) => running()[1].openImage(...wanted);
  const answers = createHostListener({ openDisk, openImage }, tls, silentLogger);
  const address = await listen(answers);
  const options = { controllers: [`https://${controller}`], tls, clock: systemClock, log: silentLogger };
  const remote = createAgentApiClient({ ...options, listener: address });
  const start = async (): Promise<void> => {
    const compute = createComputeAgent({
      ...common,
      api,
      config: parseConfig(ComputeConfig, JSON.stringify(settings), 'test'),
    });
    const storage = createStorageAgent({
      ...common,
      api: remote,
      config: parseConfig(StorageConfig, JSON.stringify({ dir, min_free_mib: 0 }), 'test'),
    });
    const network = createAgent({
      ...common,
      role: 'network',
      api,
      handlers: {},
      inventory: () => Promise.resolve({}),
      reconcile: () => Promise.resolve(),
    });
    agents = [compute, storage, network];
    await Promise.all(agents.map((agent) => agent.start()));
  };
  const stopAgents = async (): Promise<void> => {
    await Promise.all((agents ?? []).map((agent) => agent.stop()));
    agents = undefined;
  };
  await start();
  writeFileSync(join(directory, name), libvirtd.socketPath);
  return {
    libvirtd,
    dir,
    api: {
      consoleLog: (...wanted) => running()[0].consoleLog(...wanted),
      diagnostics: (...wanted) => running()[0].diagnostics(...wanted),
      setPassword: (...wanted) => running()[0].setPassword(...wanted),
      openConsole: (...wanted) => running()[0].openConsole(...wanted),
      openDisk: (...wanted) => clients.host(name).openDisk(...wanted),
      openImage: (...wanted) => clients.host(name).openImage(...wanted),
      inventoryOfResources: async () => {
        const [compute, storage] = running();
        return [...(await compute.inventoryOfResources()), ...(await storage.inventoryOfResources())];
      },
    },
    start,
    async silence() {
      await stopAgents();
      await cloud.cloud.db.write((session) => session.update(agentRows, { host: name }, { heard_at: 0 }));
    },
    async stop() {
      await stopAgents();
      remote.close();
      answers.close();
      answers.closeAllConnections();
      await libvirtd.stop();
    },
  };
}

/** As the administrator, whose answers must be good. */
async function call(method: string, path: string, body?: unknown) {
  const bytes = { 'content-type': 'application/octet-stream' };
  const headers: Record<string, string> = Buffer.isBuffer(body) ? bytes : { 'openstack-api-version': 'compute 2.79' };
  const answer = await cloud.call(method, path, { token: 'admin', body, headers });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

beforeAll(async () => {
  const image = readFileSync(tinyImage());
  directory = mkdtempSync(join(tmpdir(), 'cumulet-fence-'));
  writeFileSync(join(directory, 'fence.sh'), FENCE);
  ca = await makeTestCa();
  await ca.add('controller', 'controller-1');
  cloud = await startTestCloud({
    bus,
    host: (name) => hosts.get(name)?.api,
    engine: { kinds: taskKinds, pollMs: 100 },
    config: { fence_command: ['sh', join(directory, 'fence.sh')] },
  });
  const tls = ca.files('controller-1');
  clients = createHostClients(cloud.cloud.db, tls);
  const api = cloud.controller.agentApi;
  listener = createAgentListener({ api, tls, log: silentLogger, revoked: [] });
  const address = await listen(listener);
  for (const name of ['host-1', 'host-2']) hosts.set(name, await startHost(name, address));
  const made = await call('POST', '/image/v2/images', {
    name: 'tiny',
    disk_format: 'qcow2',
    container_format: 'bare',
  });
  await call('PUT', `/image/v2/images/${made.id}/file`, image);
  await call('POST', '/compute/v2.1/flavors', { flavor: { name: 'nano', id: 'nano', vcpus: 1, ram: 128, disk: 2 } });
  const server = { name: 'mover', imageRef: made.id, flavorRef: 'nano', networks: 'none' };
  const placed = { ...server, availability_zone: 'nova:host-1' };
  id = (await call('POST', '/compute/v2.1/servers', { server: placed })).server.id;
  await settled();
}, 240_000);

afterAll(async () => {
  for (const host of hosts.values()) await host.stop();
  clients?.close();
  listener?.close();
  listener?.closeAllConnections();
  await cloud?.stop();
  ca?.stop();
  if (directory) rmSync(directory, { recursive: true });
});

async function soon(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (await holds()) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`never came: ${what}`);
}
const settled = () =>
  soon('the end of the task', () =>
    cloud.cloud.db.read(async (session) => (await session.count(tasks, { active: 1 })) === 0),
  );
const act = async (action: string): Promise<void> => {
  await call('POST', `/compute/v2.1/servers/${id}/action`, { [action]: null });
  await settled();
};
const shown = async (): Promise<[string, string]> => {
  const { server } = await call('GET', `/compute/v2.1/servers/${id}`);
  return [server.status, server['OS-EXT-SRV-ATTR:host']];
};
const findings = async (): Promise<string[]> =>
  (await call('GET', '/cumulet/v1/audit')).findings.map(({ message }: { message: string }) => message);
const at = (name: string): RealHost => {
  const host = hosts.get(name);
  if (!host) throw new Error(`no host ${name}`);
  return host;
};
/** The disk on a host; undefined when there is none. */
function diskOn(name: string): string | undefined {
  const directory = join(at(name).dir, 'disks', id);
  const file = existsSync(directory) && readdirSync(directory).find((one) => /^disk-r\d+\.qcow2$/.test(one));
  return file ? join(directory, file) : undefined;
}
const qemuIo = (path: string, command: string): string =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path], { encoding: 'utf8' });
const booted = (name: string): Promise<void> =>
  soon(`the guest on ${name}`, async () => (await at(name).api.consoleLog(id, 65_536)).includes('TINY-READY'));

test('a server that is off takes its data along, through a controller that holds hardly any of them', async () => {
  await act('os-stop');
  // Behind what the image and its files take.
  qemuIo(diskOn('host-1') ?? '', 'write -P 0x33 1200M 512M');
  const before = process.memoryUsage().rss;
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
  await act('migrate');
  clearInterval(watch);
  expect(await shown()).toEqual(['VERIFY_RESIZE', 'host-2']);
  // Both agents and the controller are in this process.
  expect(Math.round((most - before) / 2 ** 20)).toBeLessThan(200);
  expect(qemuIo(diskOn('host-2') ?? '', 'read -P 0x33 1200M 512M')).not.toContain('failed');
  expect(diskOn('host-1')).toBeDefined();
  expect(await findings()).toEqual([]);
  await act('confirmResize');
  expect(await shown()).toEqual(['SHUTOFF', 'host-2']);
  expect(diskOn('host-1')).toBeUndefined();
  expect(await findings()).toEqual([]);
});

test('it boots there from the disk that came', async () => {
  await act('os-start');
  expect(await shown()).toEqual(['ACTIVE', 'host-2']);
  await booted('host-2');
  expect([at('host-1').libvirtd.qemus().length, at('host-2').libvirtd.qemus().length]).toEqual([0, 1]);
});

test('a running server goes, runs there, and comes back', async () => {
  await act('migrate');
  expect(await shown()).toEqual(['VERIFY_RESIZE', 'host-1']);
  expect([at('host-1').libvirtd.qemus().length, at('host-2').libvirtd.qemus().length]).toEqual([1, 0]);
  await act('revertResize');
  expect(await shown()).toEqual(['ACTIVE', 'host-2']);
  await booted('host-2');
  expect([at('host-1').libvirtd.qemus().length, at('host-2').libvirtd.qemus().length]).toEqual([0, 1]);
  expect(diskOn('host-1')).toBeUndefined();
  expect(await findings()).toEqual([]);
});

test('when its host is dead it is built anew on the other one once nothing of it runs, and the host removes its copy when it is back', async () => {
  const dead = at('host-2');
  await dead.silence();
  expect([at('host-1').libvirtd.qemus().length, dead.libvirtd.qemus().length]).toEqual([0, 1]);
  await call('POST', `/compute/v2.1/servers/${id}/action`, { evacuate: {} });
  await soon('the end of the guest', () => dead.libvirtd.qemus().length === 0);
  await settled();
  expect(await shown()).toEqual(['ACTIVE', 'host-1']);
  await booted('host-1');
  expect(qemuIo(diskOn('host-2') ?? '', 'read -P 0x33 1200M 512M')).not.toContain('failed');
  await dead.start();
  expect([at('host-1').libvirtd.qemus().length, dead.libvirtd.qemus().length]).toEqual([1, 0]);
  expect(await dead.api.inventoryOfResources()).toEqual([]);
  expect(await findings()).toEqual([]);
});

test('shelved, it comes back with its data, and moves on to a host that never had the image, which is deleted', async () => {
  await act('os-stop');
  qemuIo(diskOn('host-1') ?? '', 'write -P 0x44 1200M 64M');
  await act('shelve');
  expect(await shown()).toEqual(['SHELVED_OFFLOADED', null]);
  for (const name of hosts.keys()) expect(await at(name).api.inventoryOfResources()).toEqual([]);
  await call('POST', `/compute/v2.1/servers/${id}/action`, { unshelve: { availability_zone: 'nova' } });
  await settled();
  const [status, host] = await shown();
  expect(status).toBe('ACTIVE');
  await booted(host);
  expect((await call('GET', '/image/v2/images')).images.map(({ name }: { name: string }) => name)).toEqual(['tiny']);
  const other = host === 'host-1' ? 'host-2' : 'host-1';
  await act('migrate');
  expect(await shown()).toEqual(['VERIFY_RESIZE', other]);
  await booted(other);
  await act('confirmResize');
  await act('os-stop');
  expect(qemuIo(diskOn(other) ?? '', 'read -P 0x44 1200M 64M')).not.toContain('failed');
  expect(await findings()).toEqual([]);
  await act('os-start');
});

test('after its deletion neither host has anything of it', async () => {
  await act('os-stop');
  await act('migrate');
  await call('DELETE', `/compute/v2.1/servers/${id}`);
  await settled();
  for (const name of hosts.keys()) expect(await at(name).api.inventoryOfResources()).toEqual([]);
  expect(await findings()).toEqual([]);
});
