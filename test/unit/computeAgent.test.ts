// The compute agent against a stand-in for libvirt: waiting for guests, faults in the middle, reports, registration.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  newId,
  parseConfig,
  silentLogger,
  type Clock,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent } from '@cumulet/compute-agent';
import { ConnectionLostError, ErrorCode } from '@cumulet/libvirt';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi, type FakeAgentApi } from '../support/fakeAgentApi';
import { fakeHypervisor, libvirtError, type FakeHypervisor } from '../support/fakeHypervisor';

/** Ends the pause before the next regular look at everything. */
let lookNow: () => void;

/** Time passes as fast as somebody waits for a guest; heartbeats and regular looks would make it fly for nobody. */
function fastClock(): Clock {
  let now = 1_000_000;
  return {
    now: () => now,
    sleep: (milliseconds, signal) => {
      if (milliseconds === 2_000 || milliseconds === 20_000) {
        return new Promise((resolve) => {
          if (milliseconds === 20_000) lookNow = resolve;
          signal?.addEventListener('abort', () => resolve());
        });
      }
      now += milliseconds;
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
}

let dir: string;
let fake: FakeHypervisor;
let api: FakeAgentApi;
let agent: ComputeAgent;
let driver: AgentDriver;

async function startAgent(
  changes: { connect?: () => Promise<FakeHypervisor['hypervisor']>; virt_type?: string } = {},
): Promise<void> {
  const bus = createMemoryBus();
  driver = await driveAgent(bus, 'h1');
  const { connect = () => Promise.resolve(fake.hypervisor), virt_type = 'qemu' } = changes;
  const config = parseConfig(ComputeConfig, JSON.stringify({ dir, virt_type }), 'test');
  agent = createComputeAgent({ host: 'h1', bus, api, exec, log: silentLogger, clock: fastClock(), config, connect });
  await agent.start();
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'cumulet-compute-'));
  writeFileSync(join(dir, 'disk.qcow2'), '');
  fake = fakeHypervisor();
  api = fakeAgentApi();
  await startAgent();
});
afterEach(async () => {
  await agent.stop();
  rmSync(dir, { recursive: true, force: true });
});

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let i = 0; i < 400; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never came: ${what}`);
};
const aServer = (changes: Partial<ServerEnsure> = {}): ServerEnsure => ({
  server_id: newId(),
  name: 'web',
  project_id: newId(),
  vcpus: 1,
  memory_mib: 128,
  disk: { path: join(dir, 'disk.qcow2'), format: 'qcow2' },
  interfaces: [],
  config_drive: null,
  power: 'running',
  reboot: null,
  redefine: false,
  ...changes,
});
const ensure = (server: ServerEnsure, generation = 1): Promise<Reply> =>
  driver.run('server.ensure', server.server_id, server, { generation });
const remove = (id: string): Promise<Reply> => driver.run('server.remove', id, { server_id: id }, { generation: 99 });

const VANISHED = 'its domain is no longer defined on its host; starting the server defines it again';

test('a create asks libvirt only what it must: define and start', async () => {
  const server = aServer();
  expect(await ensure(server)).toMatchObject({
    outcome: 'done',
    observed: {
      power: 'running',
      domain: `cumulet-${server.server_id}`,
      virt_type: 'qemu',
      actions: ['define', 'start'],
    },
  });
  expect(fake.calls).toEqual(['defineDomain', 'startDomain']);
});

test('a guest that does not listen is asked every 10 s for 60 s, with progress, then its power is cut', async () => {
  const server = aServer();
  await ensure(server);
  fake.calls.length = 0;
  fake.onPowerButton = () => undefined;
  const reply = await ensure({ ...server, power: 'shutdown' });
  expect(reply).toMatchObject({ outcome: 'done', observed: { power: 'shutdown', actions: ['shutdown'] } });
  expect(fake.calls).toEqual([...Array<string>(6).fill('shutdownDomain'), 'destroyDomain']);
  const progress = driver.replies.filter(({ outcome }) => outcome === 'progress');
  expect(progress.map(({ observed }) => observed['waiting_for_guest_seconds'])).toEqual([10, 20, 30, 40, 50]);
});

test('a guest that is off before it is asked, or vanishes, is no error; another refusal is', async () => {
  const server = aServer();
  await ensure(server);
  fake.onPowerButton = ({ uuid }) => {
    fake.stopped(uuid, 1);
    throw libvirtError(ErrorCode.OPERATION_INVALID, 'domain is not running');
  };
  expect(await ensure({ ...server, power: 'shutdown' })).toMatchObject({
    outcome: 'done',
    observed: { power: 'shutdown' },
  });
  await ensure(server);
  fake.failNext('shutdownDomain', libvirtError(ErrorCode.ACCESS_DENIED));
  expect((await ensure({ ...server, power: 'shutdown' })).fault).toMatchObject({ code: 'hypervisor_refused' });
});

test('a soft reboot that the guest ignores becomes a hard one, once', async () => {
  const server = aServer({ reboot: { nonce: 'n', type: 'soft' } });
  await ensure({ ...server, reboot: null });
  fake.onPowerButton = () => undefined;
  expect(await ensure(server)).toMatchObject({
    observed: { actions: ['define', 'shutdown', 'start'], power: 'running' },
  });
  expect(await ensure(server)).toMatchObject({ observed: { actions: [], power: 'running' } });
  // A command that knows of no reboot does not forget this one.
  await ensure({ ...server, reboot: null, memory_mib: 256 });
  expect(await ensure({ ...server, memory_mib: 256 })).toMatchObject({ observed: { actions: [] } });
});

test('a domain that is gone right after its work is reported as off', async () => {
  const server = aServer({ power: 'shutdown' });
  const { domainState } = fake.hypervisor;
  fake.hypervisor.domainState = (uuid) => (fake.domains.delete(uuid), domainState(uuid));
  expect(await ensure(server)).toMatchObject({ outcome: 'done', observed: { power: 'shutdown' } });
});

test('a domain that vanishes while it is looked at is made anew', async () => {
  const server = aServer();
  await ensure(server);
  const { lookupDomain } = fake.hypervisor;
  fake.hypervisor.lookupDomain = async (uuid) => {
    const found = await lookupDomain(uuid);
    fake.domains.delete(uuid);
    return found;
  };
  expect(await ensure(server)).toMatchObject({ observed: { actions: ['define', 'start'] } });
});

test("a domain of somebody else with the server's id is not touched", async () => {
  const server = aServer();
  await fake.hypervisor.defineDomain(`<domain><name>theirs</name><uuid>${server.server_id}</uuid></domain>`);
  for (const reply of [await ensure(server), await remove(server.server_id)]) {
    expect(reply.fault).toMatchObject({ code: 'foreign_domain', retryable: false });
  }
  expect(fake.domains.size).toBe(1);
});

test('a removal that libvirt only claims is not believed', async () => {
  const server = aServer();
  await ensure(server);
  fake.hypervisor.undefineDomain = () => Promise.resolve();
  expect((await remove(server.server_id)).fault).toMatchObject({ code: 'still_there', retryable: true });
});

test('a start that fails tells why; the state that it left is reported; the next try goes on from there', async () => {
  const server = aServer();
  fake.failNext('startDomain', new ConnectionLostError('/run/libvirt/libvirt-sock', 'closed', true));
  expect((await ensure(server)).fault).toMatchObject({
    code: 'hypervisor_away',
    message: 'starting the server failed: the hypervisor service of the host does not answer',
  });
  await until('report', () => api.reports.length === 1);
  expect(api.reports).toEqual([{ id: server.server_id, power: 'shutdown' }]);
  expect(await ensure(server)).toMatchObject({ observed: { actions: ['start'] } });
});

test('a newer command ends the work between two actions', async () => {
  const server = aServer();
  const { defineDomain } = fake.hypervisor;
  let removal: Promise<Reply> | undefined;
  fake.hypervisor.defineDomain = async (xml, options) => {
    removal ??= remove(server.server_id);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return defineDomain(xml, options);
  };
  await driver.send('server.ensure', server.server_id, server);
  await until('the removal', () => removal !== undefined);
  expect(await removal).toMatchObject({ outcome: 'done' });
  expect(fake.calls).not.toContain('startDomain');
  expect(fake.domains.size).toBe(0);
});

test('the drive of an earlier definition goes when the new one runs', async () => {
  const server = aServer({ config_drive: { a: 'MQ==' } });
  await ensure(server);
  const [old] = (await agent.inventoryOfResources()).filter(({ kind }) => kind === 'server_file');
  await ensure({ ...server, config_drive: { a: 'Mg==' } });
  expect(existsSync(old?.name ?? '')).toBe(true);
  await ensure({ ...server, config_drive: { a: 'Mw==' }, redefine: true }, 2);
  const files = (await agent.inventoryOfResources()).filter(({ kind }) => kind === 'server_file');
  expect(files).toHaveLength(1);
  expect(files[0]?.name).not.toBe(old?.name);
});

test('what happens by itself is reported once it differs from what the controller knows', async () => {
  const server = aServer();
  const id = server.server_id;
  await ensure(server);
  fake.stopped(id, 3);
  await until('crash', () => api.reports.length === 1);
  expect(api.reports[0]).toEqual({ id, power: 'crashed', why: 'the guest or its emulator crashed' });
  // Domains of others are nobody's business.
  await fake.hypervisor.defineDomain('<domain><name>other</name><uuid>u</uuid></domain>');
  await fake.hypervisor.startDomain('u');
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(api.reports).toHaveLength(1);
});

test('a report that fails is made again; a domain that is gone by then is off', async () => {
  const [one, two] = [aServer(), aServer()];
  await ensure(one);
  await ensure(two);
  const report = api.reportServers.bind(api);
  let refused = 0;
  api.reportServers = (host, servers) =>
    refused++ === 0 ? Promise.reject(new Error('no controller')) : report(host, servers);
  fake.stopped(one.server_id, 1);
  await until('second try', () => api.reports.length === 1);
  expect(refused).toBe(2);
  fake.stopped(two.server_id, 1);
  fake.domains.delete(two.server_id);
  await until('report of the other', () => api.reports.length === 2);
  expect(api.reports).toEqual([
    { id: one.server_id, power: 'shutdown', why: 'the guest shut itself down' },
    { id: two.server_id, power: 'shutdown', why: VANISHED },
  ]);
});

test('after libvirt came back everything is looked at again; a listing that fails is only logged', async () => {
  const server = aServer();
  await ensure(server);
  const domain = fake.domains.get(server.server_id);
  if (domain) domain.state = 'paused';
  const list = fake.hypervisor.allDomainStats;
  fake.hypervisor.allDomainStats = () => Promise.reject(libvirtError(1));
  fake.emit('connected');
  fake.hypervisor.allDomainStats = list;
  fake.emit('connected');
  await until('report', () => api.reports.length === 1);
  expect(api.reports).toEqual([{ id: server.server_id, power: 'paused' }]);
});

test('now and then everything is told again: a report may have come at a bad time', async () => {
  const server = aServer();
  await ensure(server);
  for (const count of [1, 2]) {
    lookNow();
    await until('report', () => api.reports.length === count);
  }
  expect(api.reports).toEqual(Array(2).fill({ id: server.server_id, power: 'running' }));
});

test('a server whose domain vanished is told as off, however that came; a removed one is not told of again', async () => {
  const [kept, removed] = [aServer(), aServer()];
  await ensure(kept);
  await ensure(removed);
  lookNow();
  await until('report', () => api.reports.length === 2);
  fake.domains.delete(kept.server_id);
  await remove(removed.server_id);
  lookNow();
  await until('report', () => api.reports.length === 3);
  lookNow();
  await until('report', () => api.reports.length === 4);
  expect(api.reports.slice(2)).toEqual(Array(2).fill({ id: kept.server_id, power: 'shutdown', why: VANISHED }));
});

test('a registration reports saved servers as suspended and removes directories without a domain', async () => {
  const server = aServer();
  await ensure(server);
  await ensure({ ...server, power: 'suspended' });
  const stray = newId();
  mkdirSync(join(dir, 'servers', stray));
  await agent.stop();
  api.expected = [{ id: server.server_id, generation: 1 }];
  await startAgent();
  expect(api.reports).toEqual([{ id: server.server_id, power: 'suspended' }]);
  expect(existsSync(join(dir, 'servers', stray))).toBe(false);
});

test('a hypervisor that can not be reached, or asked, is tried again at registration', async () => {
  await agent.stop();
  let attempts = 0;
  let closed = 0;
  const { hypervisor } = fake;
  const broken = {
    ...hypervisor,
    on: (name: string) => {
      if (name === 'warning') throw new Error('broken');
    },
    close: () => Promise.resolve(void closed++),
  } as unknown as typeof hypervisor;
  const connect = (): Promise<typeof hypervisor> => {
    attempts += 1;
    if (attempts === 1) return Promise.reject(new ConnectionLostError('/run/x', 'refused', false));
    return Promise.resolve(attempts === 2 ? broken : hypervisor);
  };
  await startAgent({ connect, virt_type: 'auto' });
  expect([attempts, closed]).toEqual([3, 1]);
  expect(agent.session()).toBeDefined();
  expect(await agent.consoleLog(newId(), 10)).toEqual(Buffer.alloc(0));
});

describe('what a guest has used', () => {
  test('is told in figures, -1 for what is not counted', async () => {
    const server = aServer();
    await ensure(server);
    const domain = fake.domains.get(server.server_id);
    if (domain)
      domain.statistics = {
        'vcpu.current': 2,
        'vcpu.0.time': 17,
        'block.count': 1,
        'block.0.name': 'vda',
        'block.0.rd.reqs': 3,
        'net.count': 1,
        'net.0.name': 'tap1',
        'net.0.rx.bytes': 5,
        'net.0.tx.pkts': 6,
        'balloon.maximum': 131072,
      };
    expect(await agent.diagnostics(server.server_id)).toEqual({
      cpuTimes: [17, -1],
      disks: [{ device: 'vda', readRequests: 3, readBytes: -1, writeRequests: -1, writeBytes: -1, errors: -1 }],
      interfaces: [
        {
          device: 'tap1',
          received: { bytes: 5, packets: -1, errors: -1, drops: -1 },
          sent: { bytes: -1, packets: 6, errors: -1, drops: -1 },
        },
      ],
      maximumMemory: 131072,
      memory: { actualBalloon: 65536 },
      hypervisor: 'qemu',
    });
  });

  test('is not told of a server that is off, unknown, or goes while it is looked at', async () => {
    const server = aServer();
    const id = server.server_id;
    const ask = (): Promise<unknown> => agent.diagnostics(id);
    const notRunning = { name: 'HostError', code: 'not_running', message: 'the server is not running' };
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure({ ...server, power: 'shutdown' });
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure(server);
    const { allDomainStats } = fake.hypervisor;
    fake.hypervisor.allDomainStats = async (wanted) => {
      const all = await allDomainStats(wanted);
      fake.domains.delete(id);
      return all;
    };
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure(server);
    fake.hypervisor.allDomainStats = () => Promise.resolve([]);
    await expect(ask()).rejects.toMatchObject(notRunning);
  });

  test('any other failure is told as such', async () => {
    const server = aServer();
    await ensure(server);
    fake.failNext('memoryStats', libvirtError(ErrorCode.ACCESS_DENIED));
    await expect(agent.diagnostics(server.server_id)).rejects.toMatchObject({ code: 'hypervisor_refused' });
  });
});

describe('the password in a guest', () => {
  const set = (id: string): Promise<void> => agent.setPassword(id, 'root', 'secret');

  test('is set through the agent’s channel', async () => {
    const server = aServer({ guest_agent: true });
    await ensure(server);
    await set(server.server_id);
    expect(fake.calls.at(-1)).toBe('setUserPassword');
  });

  test.each([
    ['AGENT_UNRESPONSIVE', 'agent_missing', 'the agent in the guest does not answer'],
    ['AGENT_COMMAND_TIMEOUT', 'agent_missing', 'the agent in the guest does not answer'],
    ['AGENT_COMMAND_FAILED', 'password_refused', 'the agent in the guest refused it'],
    ['INTERNAL_ERROR', 'password_refused', 'the agent in the guest refused it'],
    ['ACCESS_DENIED', 'hypervisor_refused', expect.stringContaining('setting the password failed') as string],
  ] as const)('libvirt’s %s is %s', async (name, code, message) => {
    const server = aServer({ guest_agent: true });
    await ensure(server);
    fake.failNext('setUserPassword', libvirtError(ErrorCode[name]));
    await expect(set(server.server_id)).rejects.toMatchObject({ name: 'HostError', code, message });
  });

  test('can not be set in a guest that is unknown, off, or has no channel', async () => {
    const refused = { code: 'not_running', retryable: false };
    const server = aServer();
    await expect(set(server.server_id)).rejects.toMatchObject(refused);
    await ensure({ ...server, power: 'shutdown' });
    await expect(set(server.server_id)).rejects.toMatchObject(refused);
    await ensure(server);
    await expect(set(server.server_id)).rejects.toMatchObject(refused);
    expect(fake.calls).not.toContain('setUserPassword');
  });
});

describe('interfaces of a server that exists', () => {
  const one = { port_id: '11111111-1111-4111-8111-111111111111', mac: 'fa:16:3e:00:00:01', mtu: 1450 };
  const two = { port_id: '22222222-2222-4222-8222-222222222222', mac: 'fa:16:3e:00:00:02', mtu: 1400 };
  const taps = (server: ServerEnsure, which: 'live' | 'config'): string[] =>
    [...(fake.domains.get(server.server_id)?.[which] ?? '').matchAll(/dev='(tap\w+)'/g)].map(([, tap]) => tap ?? '');

  test('come to and go from a guest that runs on, also while it is paused, and from its definition', async () => {
    const server = aServer({ interfaces: [one] });
    await ensure(server);
    const more = { ...server, interfaces: [one, two] };
    expect(await ensure({ ...more, power: 'unchanged' }, 2)).toMatchObject({ observed: { power: 'running' } });
    for (const which of ['live', 'config'] as const)
      expect(taps(server, which)).toEqual(['tap11111111111', 'tap22222222222']);
    await ensure({ ...server, interfaces: [two], power: 'paused' }, 3);
    for (const which of ['live', 'config'] as const) expect(taps(server, which)).toEqual(['tap22222222222']);
    expect(fake.calls.filter((call) => call === 'startDomain')).toHaveLength(1);
    const before = fake.calls.length;
    await ensure({ ...server, interfaces: [two], power: 'unchanged' }, 3);
    expect(fake.calls.slice(before)).toEqual([]);
  });

  test('change the definition alone of a server that is off, and it stays off', async () => {
    const server = aServer({ power: 'shutdown' });
    await ensure(server);
    const answer = await ensure({ ...server, interfaces: [one], power: 'unchanged' }, 2);
    expect(answer).toMatchObject({ observed: { power: 'shutdown', actions: ['define'] } });
    expect(taps(server, 'config')).toEqual(['tap11111111111']);
  });

  test('a guest that does not listen is asked again; one that never does keeps the interface, and that is said', async () => {
    const server = aServer({ interfaces: [one] });
    await ensure(server);
    const obey = fake.onUnplug;
    let asked = 0;
    fake.onUnplug = (domain, alias) => {
      if (++asked === 1) return;
      if (asked === 2) throw libvirtError(ErrorCode.OPERATION_FAILED, 'already in the process of unplug');
      obey(domain, alias);
    };
    const without = { ...server, interfaces: [], power: 'unchanged' as const };
    expect(await ensure(without, 2)).toMatchObject({ outcome: 'done' });
    expect(asked).toBe(3);

    await ensure({ ...server, power: 'unchanged' }, 3);
    fake.onUnplug = () => undefined;
    expect((await ensure(without, 4)).fault).toEqual({
      code: 'interface_in_use',
      message: 'the guest did not let the interface go within 60 s',
      retryable: false,
    });
    expect(taps(server, 'live')).toEqual(['tap11111111111']);
  });

  test('a first request that is refused fails, a guest that goes off meanwhile has let go', async () => {
    const server = aServer({ interfaces: [one] });
    const without = { ...server, interfaces: [], power: 'unchanged' as const };
    await ensure(server);
    fake.failNext('detachDeviceByAlias', libvirtError(ErrorCode.OPERATION_FAILED));
    expect((await ensure(without, 2)).fault).toMatchObject({ code: 'hypervisor_refused' });
    fake.onUnplug = ({ uuid }) => fake.stopped(uuid, 1);
    expect(await ensure(without, 2)).toMatchObject({ observed: { power: 'shutdown' } });
  });

  test('a newer command ends the wait for the guest', async () => {
    const server = aServer({ interfaces: [one] });
    await ensure(server);
    let removal: Promise<Reply> | undefined;
    fake.onUnplug = () => void (removal ??= remove(server.server_id));
    await driver.send(
      'server.ensure',
      server.server_id,
      { ...server, interfaces: [], power: 'unchanged' },
      { generation: 2 },
    );
    await until('the removal', () => removal !== undefined);
    expect(await removal).toMatchObject({ outcome: 'done' });
    expect(fake.domains.size).toBe(0);
  });
});

describe('copies of the disk', () => {
  const copy = (id: string, path: string | null) => driver.run('disk.copy', id, { server_id: id, path });
  let id: string;
  let path: string;
  beforeEach(async () => {
    const server = aServer();
    id = server.server_id;
    path = join(dir, 'copy.qcow2');
    await ensure(server);
  });

  test('are made once, with progress, and have their name only when they are whole', async () => {
    let looks = 0;
    fake.onJob = () => {
      expect(existsSync(path)).toBe(false);
      return ++looks < 30 ? 'running' : 'completed';
    };
    expect(await copy(id, path)).toMatchObject({ outcome: 'done', observed: { copied: true } });
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([true, false]);
    const progress = driver.replies.find((reply) => reply.outcome === 'progress');
    expect(Object.keys(progress?.observed ?? {})).toEqual(['copied_bytes', 'disk_bytes']);
    await copy(id, path);
    expect(fake.calls.filter((call) => call === 'beginBackup')).toHaveLength(1);
  });

  test('that fail are faults worth another try, which makes a new one', async () => {
    fake.onJob = () => 'failed';
    expect((await copy(id, path)).fault).toMatchObject({ code: 'copy_failed', retryable: true });
    expect(existsSync(path)).toBe(false);
    fake.onJob = () => 'completed';
    expect(await copy(id, path)).toMatchObject({ observed: { copied: true } });
  });

  test('of an agent before this one are ended; also when they end this moment', async () => {
    await fake.hypervisor.beginBackup(id, "<target file='" + join(dir, 'old') + "'/>");
    fake.onJob = () => 'running';
    const done = copy(id, path);
    fake.onJob = ({ job }) => (fake.calls.includes('abortJob') ? 'completed' : (job as 'running'));
    expect(await done).toMatchObject({ observed: { copied: true } });
    await fake.hypervisor.beginBackup(id, "<target file='" + join(dir, 'old') + "'/>");
    const { abortJob } = fake.hypervisor;
    fake.hypervisor.abortJob = (uuid) => {
      const domain = fake.domains.get(uuid);
      if (domain) domain.job = 'completed';
      return abortJob(uuid);
    };
    fake.onJob = () => 'running';
    expect(await copy(id, null)).toMatchObject({ outcome: 'done', observed: { copied: false } });
    const refused = libvirtError(ErrorCode.ACCESS_DENIED);
    const domain = fake.domains.get(id);
    if (domain) domain.job = 'running';
    fake.hypervisor.abortJob = () => Promise.reject(refused);
    expect((await copy(id, null)).fault).toMatchObject({ code: 'hypervisor_refused' });
  });

  test('end when a newer command comes', async () => {
    let removal: Promise<Reply> | undefined;
    fake.onJob = () => {
      removal ??= remove(id);
      return 'running';
    };
    await driver.send('disk.copy', id, { server_id: id, path });
    await until('the removal', () => removal !== undefined);
    expect(await removal).toMatchObject({ outcome: 'done' });
    expect(fake.calls).toContain('abortJob');
  });

  test('are not made of a server that is off or gone', async () => {
    fake.stopped(id, 1);
    expect(await copy(id, path)).toMatchObject({ observed: { copied: false } });
    await remove(id);
    const other = newId();
    expect(await copy(other, path)).toMatchObject({ observed: { copied: false } });
    expect(fake.calls).not.toContain('beginBackup');
  });
});
