// The compute agent with a real libvirtd and emulated guests: every power state, repeated, interrupted, cleaned up.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  interfaceName,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent } from '@cumulet/compute-agent';
import { LibvirtClient } from '@cumulet/libvirt';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi, type FakeAgentApi } from '../support/fakeAgentApi';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';
import { tinyImage } from '../support/tinyImage';

const PREFIX = 'cumulet-test-';
let image: string;
let libvirtd: PrivateLibvirtd;
let libvirt: LibvirtClient;
let dir: string;
let api: FakeAgentApi;
let agent: ComputeAgent;
let driver: AgentDriver;
let session: number;
const taps: string[] = [];

beforeAll(async () => {
  // Building blocks this process for longer than libvirtd waits for a client that says nothing.
  image = tinyImage();
  libvirtd = await startPrivateLibvirtd();
  libvirt = await LibvirtClient.connect({ socketPath: libvirtd.socketPath });
  libvirt.on('warning', () => undefined);
});
afterAll(async () => {
  await libvirt?.close();
  await libvirtd?.stop();
});

async function startAgent(): Promise<void> {
  const bus = createMemoryBus();
  driver = await driveAgent(bus, 'h1');
  const settings = { dir, domain_prefix: PREFIX, libvirt_socket: libvirtd.socketPath, shutdown_seconds: 25 };
  const config = parseConfig(ComputeConfig, JSON.stringify(settings), 'test');
  // The regular report of everything would come in the middle of some tests.
  const tellAllMs = 3_600_000;
  agent = createComputeAgent({ host: 'h1', bus, api, exec, log: silentLogger, clock: systemClock, config, tellAllMs });
  await agent.start();
  session = agent.session() ?? 0;
}

beforeEach(async () => {
  dir = mkdtempSync(join(libvirtd.directory, 'data-'));
  execFileSync('chmod', ['0711', dir]);
  api = fakeAgentApi();
  await startAgent();
});
afterEach(async () => {
  await agent.stop();
  for (const { uuid, name } of await libvirt.domains()) {
    if (!name.startsWith(PREFIX)) continue;
    await libvirt.destroyDomain(uuid);
    await libvirt.undefineDomain(uuid);
  }
  for (const tap of taps.splice(0)) execFileSync('ip', ['link', 'delete', tap]);
  rmSync(dir, { recursive: true, force: true });
});

const until = async (what: string, holds: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> => {
  for (const end = Date.now() + limitMs; Date.now() < end;) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`never came: ${what}`);
};

/** A server whose disk is empty: its guest is the firmware that finds nothing to boot. */
function emptyServer(changes: Partial<ServerEnsure> = {}): ServerEnsure {
  const id = newId();
  const path = join(dir, `${id}.qcow2`);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '16M']);
  return {
    server_id: id,
    name: 'a <server> & "its" name',
    project_id: newId(),
    vcpus: 1,
    memory_mib: 64,
    disk: { path, format: 'qcow2' },
    interfaces: [],
    config_drive: null,
    power: 'running',
    reboot: null,
    redefine: false,
    ...changes,
  };
}

/** A server that boots the demo guest. */
function tinyServer(changes: Partial<ServerEnsure> = {}): ServerEnsure {
  const server = emptyServer({ memory_mib: 128, ...changes });
  const base = join(dir, 'base');
  execFileSync('cp', [image, base]);
  execFileSync('chmod', ['0444', base]);
  const { path } = server.disk;
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-F', 'qcow2', '-b', base, path, '1G']);
  return { ...server, disk: { path, format: 'qcow2', backing: { path: base, format: 'qcow2' } } };
}

const ensure = (server: ServerEnsure, generation = 1): Promise<Reply> =>
  driver.run('server.ensure', server.server_id, server, { generation, session });
const remove = (id: string): Promise<Reply> =>
  driver.run('server.remove', id, { server_id: id }, { generation: 99, session });
const domainId = async (id: string): Promise<number> => (await libvirt.lookupDomain(id))?.id ?? -1;
const consoleText = async (id: string): Promise<string> => (await agent.consoleLog(id, 1 << 20)).toString('latin1');
const done = (power: string, actions: string[]): object => ({
  outcome: 'done',
  observed: { power, actions, virt_type: expect.stringMatching(/^(kvm|qemu)$/) },
});

test('an empty server through every power state, each command repeated, until nothing is left', async () => {
  const server = emptyServer();
  const id = server.server_id;
  const steps: [Partial<ServerEnsure>, string, string[]][] = [
    [{ power: 'running' }, 'running', ['define', 'start']],
    [{ power: 'paused' }, 'paused', ['pause']],
    [{ power: 'running' }, 'running', ['resume']],
    [{ power: 'suspended' }, 'suspended', ['save']],
    [{ power: 'running' }, 'running', ['start']],
    [{ power: 'suspended' }, 'suspended', ['save']],
    [{ power: 'shutdown' }, 'shutdown', ['discard-saved']],
    [{ power: 'paused' }, 'paused', ['start-paused']],
    [{ power: 'shutdown' }, 'shutdown', ['destroy']],
  ];
  for (const [change, power, actions] of steps) {
    expect(await ensure({ ...server, ...change })).toMatchObject(done(power, actions));
    const domain = await domainId(id);
    expect(await ensure({ ...server, ...change })).toMatchObject(done(power, []));
    expect(await domainId(id)).toBe(domain);
  }
  expect(api.reports).toEqual([]);
  const impossible = await ensure({ ...server, power: 'suspended' });
  expect(impossible.fault).toMatchObject({ code: 'not_running', retryable: false });

  for (let i = 0; i < 2; i++) expect(await remove(id)).toMatchObject({ outcome: 'done' });
  expect(await libvirt.domains()).toEqual([]);
  expect(readdirSync(join(dir, 'servers'))).toEqual([]);
  expect(await agent.inventoryOfResources()).toEqual([]);
});

/** A tap as the network agent makes it, for a port of its own. */
function wiredPort(mac: string): ServerEnsure['interfaces'][number] {
  const port_id = newId();
  const tap = interfaceName('tap', port_id);
  execFileSync('ip', ['tuntap', 'add', tap, 'mode', 'tap', 'vnet_hdr']);
  taps.push(tap);
  return { port_id, mac, mtu: 1400 };
}

test('a guest gets and gives back interfaces while it runs, is paused, or is off', async () => {
  const [one, two, three] = [1, 2, 3].map((n) => wiredPort(`fa:16:3e:00:01:0${n}`)) as [
    ServerEnsure['interfaces'][number],
    ServerEnsure['interfaces'][number],
    ServerEnsure['interfaces'][number],
  ];
  const server = tinyServer({ interfaces: [one] });
  const id = server.server_id;
  const macs = async (flags: number): Promise<string[]> =>
    [...(await libvirt.domainXml(id, flags)).matchAll(/<mac address='([^']+)'/g)].map(([, mac]) => mac ?? '');
  await ensure(server);
  const domain = await domainId(id);
  // Asked while it boots, a guest does not hear that it shall let a card go; later it does.
  expect(await ensure({ ...server, interfaces: [], power: 'unchanged' }, 2)).toMatchObject({ outcome: 'done' });
  expect([await macs(0), await macs(2)]).toEqual([[], []]);
  const both = { ...server, interfaces: [two, three], power: 'unchanged' as const };
  for (let i = 0; i < 2; i++) expect(await ensure(both, 3)).toMatchObject({ outcome: 'done', fault: null });
  expect([await macs(0), await macs(2)]).toEqual([
    [two.mac, three.mac],
    [two.mac, three.mac],
  ]);
  await ensure({ ...both, power: 'paused' }, 4);
  expect(await ensure({ ...both, interfaces: [two, three, one] }, 5)).toMatchObject({ observed: { power: 'paused' } });
  expect(await macs(0)).toEqual([two.mac, three.mac, one.mac]);
  expect(await domainId(id)).toBe(domain);
  // The definition of a server that is off.
  await libvirt.destroyDomain(id);
  expect(await ensure({ ...both, interfaces: [one] }, 6)).toMatchObject(done('shutdown', ['define']));
  expect(await macs(2)).toEqual([one.mac]);
});

test('the disk of a running guest is copied as it is at one moment, once, while the guest runs on', async () => {
  const server = tinyServer();
  const id = server.server_id;
  const copy = (path: string | null) =>
    driver.run('disk.copy', id, { server_id: id, path }, { session, generation: 2 });
  const path = join(dir, 'copy.qcow2');
  await ensure({ ...server, power: 'shutdown' });
  expect(await copy(path)).toMatchObject({ outcome: 'done', observed: { copied: false } });
  await ensure(server, 2);
  await until('the boot', async () => (await consoleText(id)).includes('TINY-BOOT'));
  const domain = await domainId(id);
  for (let i = 0; i < 2; i++) expect(await copy(path)).toMatchObject({ outcome: 'done', observed: { copied: true } });
  expect(existsSync(`${path}.part`)).toBe(false);
  const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' })) as object;
  expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': 2 ** 30 });
  expect(info).not.toHaveProperty('backing-filename');
  execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', path]);
  expect(await domainId(id)).toBe(domain);
  expect((await libvirt.domainState(id))?.state).toBe('running');
  // A paused guest's disk stands still, so its copy is the disk, byte by byte. What an agent before left is no matter.
  await ensure({ ...server, power: 'paused' }, 2);
  rmSync(path);
  writeFileSync(`${path}.part`, 'half');
  expect(await copy(path)).toMatchObject({ observed: { copied: true } });
  await libvirt.destroyDomain(id);
  execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'qcow2', server.disk.path, path]);
  expect(await copy(null)).toMatchObject({ observed: { copied: false } });
});

test('diagnostics of a running guest, and a password that no agent takes', async () => {
  const card = wiredPort('fa:16:3e:00:01:09');
  const server = emptyServer({ interfaces: [card], config_drive: { a: '' }, guest_agent: true });
  const id = server.server_id;
  await ensure(server);
  await until('the guest has computed and read', async () => {
    const { cpuTimes, disks } = await agent.diagnostics(id);
    return (cpuTimes[0] ?? 0) > 0 && (disks[0]?.readRequests ?? 0) > 0;
  });
  const found = await agent.diagnostics(id);
  expect(found).toMatchObject({ maximumMemory: 64 * 1024, hypervisor: 'qemu', cpuTimes: [expect.any(Number)] });
  expect(found.disks.map(({ device }) => device)).toEqual(['vda', 'vdz']);
  expect(found.interfaces).toMatchObject([{ device: interfaceName('tap', card.port_id), received: { bytes: 0 } }]);
  expect(found.memory['rss']).toBeGreaterThan(0);
  const set = (): Promise<void> => agent.setPassword(id, 'root', 'secret');
  await expect(set()).rejects.toMatchObject({ code: 'agent_missing' });
  const bare = emptyServer();
  await ensure(bare);
  await expect(agent.setPassword(bare.server_id, 'root', 'x')).rejects.toMatchObject({ code: 'not_running' });
  await libvirt.destroyDomain(id);
  await expect(set()).rejects.toMatchObject({ code: 'not_running' });
  await expect(agent.diagnostics(id)).rejects.toMatchObject({ code: 'not_running' });
  await expect(agent.diagnostics(newId())).rejects.toMatchObject({ code: 'not_running' });
  await expect(agent.setPassword(newId(), 'root', 'x')).rejects.toMatchObject({ code: 'not_running' });
});

test('the definition is ours in every detail that others rely on', async () => {
  const port = newId();
  const tap = interfaceName('tap', port);
  execFileSync('ip', ['tuntap', 'add', tap, 'mode', 'tap', 'vnet_hdr']);
  taps.push(tap);
  const server = emptyServer({
    interfaces: [{ port_id: port, mac: 'fa:16:3e:00:00:01', mtu: 1400 }],
    config_drive: { a: '' },
  });
  expect(await ensure(server, 7)).toMatchObject({ outcome: 'done', fault: null });
  const xml = await libvirt.domainXml(server.server_id);
  for (const part of [
    `<name>${PREFIX}${server.server_id}</name>`,
    '<title>a &lt;server&gt; &amp; &quot;its&quot; name</title>',
    `id="${server.server_id}" project="${server.project_id}" generation="7"`,
    `<entry name='serial'>${server.server_id}</entry>`,
    "<mac address='fa:16:3e:00:00:01'/>",
    `<target dev='${tap}' managed='no'/>`,
    "<mtu size='1400'/>",
    "<listen type='socket'",
    "cache='none' discard='unmap'",
    '<on_crash>destroy</on_crash>',
  ]) {
    expect(xml).toContain(part);
  }
  expect(xml).not.toContain("autoport='yes'");
  expect(await libvirt.autostart(server.server_id)).toBe(false);
  const resources = await agent.inventoryOfResources();
  expect(resources).toContainEqual({ kind: 'domain', id: server.server_id, name: PREFIX + server.server_id });
  expect(resources.filter(({ kind }) => kind === 'server_file')).toHaveLength(2);
});

test('a guest boots from its overlay, reads its config drive, reboots softly and hard, once each', async () => {
  const metadata = Buffer.from(JSON.stringify({ hostname: 'hello', uuid: 'x' })).toString('base64');
  const server = tinyServer({ config_drive: { 'openstack/latest/meta_data.json': metadata } });
  const id = server.server_id;
  expect(await ensure(server)).toMatchObject({ outcome: 'done', observed: { power: 'running' } });
  await until('the config drive', async () => (await consoleText(id)).includes('TINY-CONFIGDRIVE'));
  const base = server.disk.backing?.path ?? '';
  expect(execFileSync('stat', ['-c', '%u', base], { encoding: 'utf8' }).trim()).toBe('0');

  const stops: string[] = [];
  libvirt.on('lifecycle', ({ domain, event, detail }) => {
    if (domain.uuid === id && event === 'stopped') stops.push(detail);
  });
  const soft: ServerEnsure = { ...server, reboot: { nonce: 'n1', type: 'soft' } };
  const first = await domainId(id);
  await until('the power button', async () => /TINY-(READY|NOMETA)/.test(await consoleText(id)));
  expect(await ensure(soft, 2)).toMatchObject(done('running', ['define', 'shutdown', 'start']));
  await until('the end that the guest made itself', () => stops.length === 1);
  expect(stops).toEqual(['shutdown']);
  const second = await domainId(id);
  expect(second).not.toBe(first);
  expect(await ensure(soft, 2)).toMatchObject(done('running', []));

  const hard: ServerEnsure = { ...server, reboot: { nonce: 'n2', type: 'hard' }, redefine: true };
  expect(await ensure(hard, 3)).toMatchObject(done('running', ['define', 'destroy', 'start']));
  await until('the end by cutting the power', () => stops.length === 2);
  expect(stops).toEqual(['shutdown', 'destroyed']);
  const third = await domainId(id);
  expect(third).not.toBe(second);
  expect(await ensure(hard, 3)).toMatchObject(done('running', []));
  expect(await domainId(id)).toBe(third);

  await until('the console', async () => (await consoleText(id)).includes('TINY-'));
  expect((await agent.consoleLog(id, 10)).length).toBe(10);
});

test('an agent killed between any two steps is completed by the next one', async () => {
  const server = emptyServer();
  const id = server.server_id;
  // Half a create: defined by a first attempt, never started, with what a killed config drive leaves.
  await ensure({ ...server, power: 'shutdown' });
  await agent.stop();
  api.expected = [{ id, generation: 1 }];
  mkdirSync(join(dir, 'servers', id, 'config-1.iso.half'), { recursive: true });
  await startAgent();
  expect(api.reports).toEqual([{ id, power: 'shutdown' }]);
  expect(await ensure({ ...server, config_drive: { a: '' } }, 2)).toMatchObject(done('running', ['define', 'start']));
  expect(readdirSync(join(dir, 'servers', id))).toEqual(
    ['config-1.iso.half', 'config-', 'console.log'].slice(1).map((name) => expect.stringContaining(name)),
  );
  // Half a reboot: the new definition is there, the guest still the old one.
  const reboot: ServerEnsure = { ...server, config_drive: { a: '' }, reboot: { nonce: 'n', type: 'hard' } };
  const before = await domainId(id);
  await libvirt.defineDomain((await libvirt.domainXml(id, 2)).replace('definition=', 'reboot="n" definition='));
  expect(await ensure(reboot, 3)).toMatchObject(done('running', ['destroy', 'start']));
  expect(await domainId(id)).not.toBe(before);
  // Half a removal: the domain gone, its files not.
  await libvirt.destroyDomain(id);
  await libvirt.undefineDomain(id);
  expect(await remove(id)).toMatchObject({ outcome: 'done' });
  expect(existsSync(join(dir, 'servers', id))).toBe(false);
});

test('libvirtd that is killed in the middle is a fault in words; when it is back the guest was never touched', async () => {
  const server = emptyServer();
  const id = server.server_id;
  await ensure(server);
  const qemus = libvirtd.qemus();
  expect(qemus).toHaveLength(1);
  await libvirtd.kill('SIGKILL');
  const away = await ensure({ ...server, power: 'paused' });
  expect(away.fault).toMatchObject({ code: 'hypervisor_away', retryable: true });
  expect(away.fault?.message).not.toContain('/');
  await libvirtd.start();
  await until('the report after reconnecting', () =>
    api.reports.some((report) => report.id === id && report.power === 'running'),
  );
  expect(libvirtd.qemus()).toEqual(qemus);
  expect(await ensure({ ...server, power: 'paused' })).toMatchObject(done('paused', ['pause']));
  // Each client comes back after a pause of its own, and what follows uses this one.
  await until("the test's own connection", () => libvirt.connected);
});

test('a command that comes while another waits for the guest takes over at once', async () => {
  const server = emptyServer();
  const id = server.server_id;
  await ensure(server);
  // The empty guest never listens to the power button, so this would take 25 s.
  await driver.send('server.ensure', id, { ...server, power: 'shutdown' }, { session, generation: 2, task: 'stop' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await remove(id)).toMatchObject({ outcome: 'done' });
  expect(driver.replies.filter(({ task }) => task === 'stop')).toEqual([]);
  expect(await libvirt.domains()).toEqual([]);
});

test('servers that stop or crash by themselves are reported; what a command does is not', async () => {
  const server = emptyServer();
  const id = server.server_id;
  await ensure(server);
  await ensure({ ...server, power: 'paused' });
  await ensure(server);
  expect(api.reports).toEqual([]);
  await libvirt.suspendDomain(id);
  await until('paused', () => api.reports.at(-1)?.power === 'paused');
  await libvirt.resumeDomain(id);
  await until('running', () => api.reports.at(-1)?.power === 'running');
  for (const pid of libvirtd.qemus()) process.kill(pid, 'SIGKILL');
  await until('crashed', () => api.reports.at(-1)?.power === 'crashed');
  expect(await ensure(server)).toMatchObject(done('running', ['start']));
  await libvirt.destroyDomain(id);
  await until('shutdown', () => api.reports.at(-1)?.power === 'shutdown');
});

test('what is not expected is removed at registration, what only looks like ours is not', async () => {
  const [kept, gone] = [emptyServer(), emptyServer()];
  await ensure(kept);
  await ensure(gone);
  const foreign = newId();
  const xml = `<domain type='qemu'><name>${PREFIX}${foreign}</name><uuid>${foreign}</uuid><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>`;
  await libvirt.defineDomain(xml);
  await agent.stop();
  mkdirSync(join(dir, 'servers', newId()));
  writeFileSync(join(dir, 'servers', gone.server_id, 'anything'), '');
  api.expected = [
    { id: kept.server_id, generation: 1 },
    { id: 'lost', generation: 1 },
  ];
  await startAgent();
  expect((await libvirt.domains()).map(({ uuid }) => uuid).sort()).toEqual([kept.server_id, foreign].sort());
  expect(readdirSync(join(dir, 'servers'))).toEqual([kept.server_id]);
  expect(api.reports).toEqual(
    expect.arrayContaining([
      { id: kept.server_id, power: 'running' },
      { id: 'lost', power: 'shutdown', why: expect.stringContaining('no longer defined') },
    ]),
  );
  const refused = await ensure(emptyServer({ server_id: foreign }));
  expect(refused).toMatchObject({ outcome: 'done' });
});

test('what libvirt refuses is said without paths or names of the host, its own words are in the facts', async () => {
  const missing = emptyServer({ interfaces: [{ port_id: newId(), mac: 'fa:16:3e:00:00:02', mtu: 1500 }] });
  const unwired = await ensure(missing);
  expect(unwired.fault).toEqual({
    code: 'port_missing',
    message: 'starting the server failed: a port of the server is not wired on the host',
    retryable: true,
  });
  expect(unwired.observed).toMatchObject({ libvirt: { code: expect.any(Number), procedure: expect.any(String) } });
  const huge = await ensure(emptyServer({ memory_mib: 64 << 20 }));
  expect(huge.fault).toMatchObject({
    code: 'host_memory',
    message: 'starting the server failed: the host has not enough free memory',
  });
  const lost = await ensure({ ...emptyServer(), disk: { path: join(dir, 'nowhere.qcow2'), format: 'qcow2' } });
  expect(lost.fault).toMatchObject({ code: 'disk_missing', message: "the server's disk is not on the host" });
});

test('the registration describes the host', () => {
  expect(api.registrations[0]).toMatchObject({
    host: 'h1',
    role: 'compute',
    inventory: {
      vcpus: expect.any(Number),
      memory_mib: expect.any(Number),
      disk_gib: expect.any(Number),
      hypervisor_type: 'QEMU',
      hypervisor_version: expect.any(Number),
      libvirt_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      virt_type: expect.stringMatching(/^(kvm|qemu)$/),
      cpu_info: { arch: 'x86_64', topology: { cores: expect.any(Number) } },
      traits: expect.arrayContaining(['COMPUTE_NODE', 'HW_ARCH_X86_64']),
    },
  });
});
