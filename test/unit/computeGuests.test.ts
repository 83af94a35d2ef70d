// What the compute agent does with a server's guest while it is there: figures, passwords, interfaces, copies of its disk.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { newId, type Reply, type ServerEnsure } from '@cumulet/common';
import { ErrorCode } from '@cumulet/libvirt';
import { computeScene } from '../support/computeScene';
import { until } from '../support/engineTasks';
import { libvirtError } from '../support/fakeHypervisor';

const scene = computeScene();
const { aServer, ensure, remove } = scene;

describe('what a guest has used', () => {
  test('is told in figures, -1 for what is not counted', async () => {
    const server = aServer();
    await ensure(server);
    const domain = scene.fake.domains.get(server.server_id);
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
    expect(await scene.agent.diagnostics(server.server_id)).toEqual({
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
    const ask = (): Promise<unknown> => scene.agent.diagnostics(id);
    const notRunning = { name: 'HostError', code: 'not_running', message: 'the server is not running' };
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure({ ...server, power: 'shutdown' });
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure(server);
    const { allDomainStats } = scene.fake.hypervisor;
    scene.fake.hypervisor.allDomainStats = async (wanted) => {
      const all = await allDomainStats(wanted);
      scene.fake.domains.delete(id);
      return all;
    };
    await expect(ask()).rejects.toMatchObject(notRunning);
    await ensure(server);
    scene.fake.hypervisor.allDomainStats = () => Promise.resolve([]);
    await expect(ask()).rejects.toMatchObject(notRunning);
  });

  test('any other failure is told as such', async () => {
    const server = aServer();
    await ensure(server);
    scene.fake.failNext('memoryStats', libvirtError(ErrorCode.ACCESS_DENIED));
    await expect(scene.agent.diagnostics(server.server_id)).rejects.toMatchObject({ code: 'hypervisor_refused' });
  });
});

describe('the password in a guest', () => {
  const set = (id: string): Promise<void> => scene.agent.setPassword(id, 'root', 'secret');

  test('is set through the agent’s channel', async () => {
    const server = aServer({ guest_agent: true });
    await ensure(server);
    await set(server.server_id);
    expect(scene.fake.calls.at(-1)).toBe('setUserPassword');
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
    scene.fake.failNext('setUserPassword', libvirtError(ErrorCode[name]));
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
    expect(scene.fake.calls).not.toContain('setUserPassword');
  });
});

describe('interfaces of a server that exists', () => {
  const one = { port_id: '11111111-1111-4111-8111-111111111111', mac: 'fa:16:3e:00:00:01', mtu: 1450 };
  const two = { port_id: '22222222-2222-4222-8222-222222222222', mac: 'fa:16:3e:00:00:02', mtu: 1400 };
  const taps = (server: ServerEnsure, which: 'live' | 'config'): string[] =>
    [...(scene.fake.domains.get(server.server_id)?.[which] ?? '').matchAll(/dev='(tap\w+)'/g)].map(
      ([, tap]) => tap ?? '',
    );

  test('come to and go from a guest that runs on, also while it is paused, and from its definition', async () => {
    const server = aServer({ interfaces: [one] });
    await ensure(server);
    const more = { ...server, interfaces: [one, two] };
    expect(await ensure({ ...more, power: 'unchanged' }, 2)).toMatchObject({ observed: { power: 'running' } });
    for (const which of ['live', 'config'] as const)
      expect(taps(server, which)).toEqual(['tap11111111111', 'tap22222222222']);
    await ensure({ ...server, interfaces: [two], power: 'paused' }, 3);
    for (const which of ['live', 'config'] as const) expect(taps(server, which)).toEqual(['tap22222222222']);
    expect(scene.fake.calls.filter((call) => call === 'startDomain')).toHaveLength(1);
    const before = scene.fake.calls.length;
    await ensure({ ...server, interfaces: [two], power: 'unchanged' }, 3);
    expect(scene.fake.calls.slice(before)).toEqual([]);
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
    const obey = scene.fake.onUnplug;
    let asked = 0;
    scene.fake.onUnplug = (domain, alias) => {
      if (++asked === 1) return;
      if (asked === 2) throw libvirtError(ErrorCode.OPERATION_FAILED, 'already in the process of unplug');
      obey(domain, alias);
    };
    const without = { ...server, interfaces: [], power: 'unchanged' as const };
    expect(await ensure(without, 2)).toMatchObject({ outcome: 'done' });
    expect(asked).toBe(3);

    await ensure({ ...server, power: 'unchanged' }, 3);
    scene.fake.onUnplug = () => undefined;
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
    scene.fake.failNext('detachDeviceByAlias', libvirtError(ErrorCode.OPERATION_FAILED));
    expect((await ensure(without, 2)).fault).toMatchObject({ code: 'hypervisor_refused' });
    scene.fake.onUnplug = ({ uuid }) => scene.fake.stopped(uuid, 1);
    expect(await ensure(without, 2)).toMatchObject({ observed: { power: 'shutdown' } });
  });

  test('a newer command ends the wait for the guest', async () => {
    const server = aServer({ interfaces: [one] });
    await ensure(server);
    let removal: Promise<Reply> | undefined;
    scene.fake.onUnplug = () => void (removal ??= remove(server.server_id));
    await scene.driver.send(
      'server.ensure',
      server.server_id,
      { ...server, interfaces: [], power: 'unchanged' },
      { generation: 2 },
    );
    await until('the removal', () => removal !== undefined);
    expect(await removal).toMatchObject({ outcome: 'done' });
    expect(scene.fake.domains.size).toBe(0);
  });
});

describe('copies of the disk', () => {
  const copy = (id: string, path: string | null) => scene.driver.run('disk.copy', id, { server_id: id, path });
  let id: string;
  let path: string;
  beforeEach(async () => {
    const server = aServer();
    id = server.server_id;
    path = join(scene.dir, 'copy.qcow2');
    await ensure(server);
  });

  test('are made once, with progress, and have their name only when they are whole', async () => {
    let looks = 0;
    scene.fake.onJob = () => {
      expect(existsSync(path)).toBe(false);
      return ++looks < 30 ? 'running' : 'completed';
    };
    expect(await copy(id, path)).toMatchObject({ outcome: 'done', observed: { copied: true } });
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([true, false]);
    const progress = scene.driver.replies.find((reply) => reply.outcome === 'progress');
    expect(Object.keys(progress?.observed ?? {})).toEqual(['copied_bytes', 'disk_bytes']);
    await copy(id, path);
    expect(scene.fake.calls.filter((call) => call === 'beginBackup')).toHaveLength(1);
  });

  test('that fail are faults worth another try, which makes a new one', async () => {
    scene.fake.onJob = () => 'failed';
    expect((await copy(id, path)).fault).toMatchObject({ code: 'copy_failed', retryable: true });
    expect(existsSync(path)).toBe(false);
    scene.fake.onJob = () => 'completed';
    expect(await copy(id, path)).toMatchObject({ observed: { copied: true } });
  });

  test('of an agent before this one are ended; also when they end this moment', async () => {
    await scene.fake.hypervisor.beginBackup(id, "<target file='" + join(scene.dir, 'old') + "'/>");
    scene.fake.onJob = () => 'running';
    const done = copy(id, path);
    scene.fake.onJob = ({ job }) => (scene.fake.calls.includes('abortJob') ? 'completed' : (job as 'running'));
    expect(await done).toMatchObject({ observed: { copied: true } });
    await scene.fake.hypervisor.beginBackup(id, "<target file='" + join(scene.dir, 'old') + "'/>");
    const { abortJob } = scene.fake.hypervisor;
    scene.fake.hypervisor.abortJob = (uuid) => {
      const domain = scene.fake.domains.get(uuid);
      if (domain) domain.job = 'completed';
      return abortJob(uuid);
    };
    scene.fake.onJob = () => 'running';
    expect(await copy(id, null)).toMatchObject({ outcome: 'done', observed: { copied: false } });
    const refused = libvirtError(ErrorCode.ACCESS_DENIED);
    const domain = scene.fake.domains.get(id);
    if (domain) domain.job = 'running';
    scene.fake.hypervisor.abortJob = () => Promise.reject(refused);
    expect((await copy(id, null)).fault).toMatchObject({ code: 'hypervisor_refused' });
  });

  test('that libvirt lost track of leave nothing to wait for, and are made again after a hard reboot only', async () => {
    const { jobStats } = scene.fake.hypervisor;
    scene.fake.hypervisor.jobStats = () =>
      Promise.reject(libvirtError(ErrorCode.INTERNAL_ERROR, 'internal error: backup job data missing'));
    const { fault } = await copy(id, path);
    expect(fault).toMatchObject({ code: 'copy_lost', retryable: false });
    expect(fault?.message).toContain('after a hard reboot');
    expect(await copy(id, null)).toMatchObject({ outcome: 'done', observed: { copied: false } });
    scene.fake.hypervisor.jobStats = () => Promise.reject(libvirtError(ErrorCode.INTERNAL_ERROR, 'another one'));
    expect((await copy(id, path)).fault).toMatchObject({ code: 'hypervisor_refused', retryable: true });
    scene.fake.hypervisor.jobStats = jobStats;
    expect(await copy(id, path)).toMatchObject({ observed: { copied: true } });
    expect(scene.fake.calls).not.toContain('abortJob');
  });

  test('end when a newer command comes', async () => {
    let removal: Promise<Reply> | undefined;
    scene.fake.onJob = () => {
      removal ??= remove(id);
      return 'running';
    };
    await scene.driver.send('disk.copy', id, { server_id: id, path });
    await until('the removal', () => removal !== undefined);
    expect(await removal).toMatchObject({ outcome: 'done' });
    expect(scene.fake.calls).toContain('abortJob');
  });

  test('are not made of a server that is off or gone', async () => {
    scene.fake.stopped(id, 1);
    expect(await copy(id, path)).toMatchObject({ observed: { copied: false } });
    await remove(id);
    const other = newId();
    expect(await copy(other, path)).toMatchObject({ observed: { copied: false } });
    expect(scene.fake.calls).not.toContain('beginBackup');
  });
});
