// The compute agent against a stand-in for libvirt: waiting for guests, faults in the middle, reports, registration.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { newId, type Reply } from '@cumulet/common';
import { ConnectionLostError, ErrorCode } from '@cumulet/libvirt';
import { computeScene } from '../support/computeScene';
import { until } from '../support/engineTasks';
import { libvirtError } from '../support/fakeHypervisor';

const scene = computeScene();
const { aServer, ensure, remove, startAgent } = scene;

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
  expect(scene.fake.calls).toEqual(['defineDomain', 'startDomain']);
});

test('a guest that does not listen is asked every 10 s for 60 s, with progress, then its power is cut', async () => {
  const server = aServer();
  await ensure(server);
  scene.fake.calls.length = 0;
  scene.fake.onPowerButton = () => undefined;
  const reply = await ensure({ ...server, power: 'shutdown' });
  expect(reply).toMatchObject({ outcome: 'done', observed: { power: 'shutdown', actions: ['shutdown'] } });
  expect(scene.fake.calls).toEqual([...Array<string>(6).fill('shutdownDomain'), 'destroyDomain']);
  const progress = scene.driver.replies.filter(({ outcome }) => outcome === 'progress');
  expect(progress.map(({ observed }) => observed['waiting_for_guest_seconds'])).toEqual([10, 20, 30, 40, 50]);
});

test('a guest that is off before it is asked, or vanishes, is no error; another refusal is', async () => {
  const server = aServer();
  await ensure(server);
  scene.fake.onPowerButton = ({ uuid }) => {
    scene.fake.stopped(uuid, 1);
    throw libvirtError(ErrorCode.OPERATION_INVALID, 'domain is not running');
  };
  expect(await ensure({ ...server, power: 'shutdown' })).toMatchObject({
    outcome: 'done',
    observed: { power: 'shutdown' },
  });
  await ensure(server);
  scene.fake.failNext('shutdownDomain', libvirtError(ErrorCode.ACCESS_DENIED));
  expect((await ensure({ ...server, power: 'shutdown' })).fault).toMatchObject({ code: 'hypervisor_refused' });
});

test('a soft reboot that the guest ignores becomes a hard one, once', async () => {
  const server = aServer({ reboot: { nonce: 'n', type: 'soft' } });
  await ensure({ ...server, reboot: null });
  scene.fake.onPowerButton = () => undefined;
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
  const { domainState } = scene.fake.hypervisor;
  scene.fake.hypervisor.domainState = (uuid) => (scene.fake.domains.delete(uuid), domainState(uuid));
  expect(await ensure(server)).toMatchObject({ outcome: 'done', observed: { power: 'shutdown' } });
});

test('a domain that vanishes while it is looked at is made anew', async () => {
  const server = aServer();
  await ensure(server);
  const { lookupDomain } = scene.fake.hypervisor;
  scene.fake.hypervisor.lookupDomain = async (uuid) => {
    const found = await lookupDomain(uuid);
    scene.fake.domains.delete(uuid);
    return found;
  };
  expect(await ensure(server)).toMatchObject({ observed: { actions: ['define', 'start'] } });
});

test("a domain of somebody else with the server's id is not touched", async () => {
  const server = aServer();
  await scene.fake.hypervisor.defineDomain(`<domain><name>theirs</name><uuid>${server.server_id}</uuid></domain>`);
  for (const reply of [await ensure(server), await remove(server.server_id)]) {
    expect(reply.fault).toMatchObject({ code: 'foreign_domain', retryable: false });
  }
  expect(scene.fake.domains.size).toBe(1);
});

test('a removal that libvirt only claims is not believed', async () => {
  const server = aServer();
  await ensure(server);
  scene.fake.hypervisor.undefineDomain = () => Promise.resolve();
  expect((await remove(server.server_id)).fault).toMatchObject({ code: 'still_there', retryable: true });
});

test('a start that fails tells why; the state that it left is reported; the next try goes on from there', async () => {
  const server = aServer();
  scene.fake.failNext('startDomain', new ConnectionLostError('/run/libvirt/libvirt-sock', 'closed', true));
  expect((await ensure(server)).fault).toMatchObject({
    code: 'hypervisor_away',
    message: 'starting the server failed: the hypervisor service of the host does not answer',
  });
  await until('report', () => scene.api.reports.length === 1);
  expect(scene.api.reports).toEqual([{ id: server.server_id, power: 'shutdown' }]);
  expect(await ensure(server)).toMatchObject({ observed: { actions: ['start'] } });
});

test('a newer command ends the work between two actions', async () => {
  const server = aServer();
  const { defineDomain } = scene.fake.hypervisor;
  let removal: Promise<Reply> | undefined;
  scene.fake.hypervisor.defineDomain = async (xml, options) => {
    removal ??= remove(server.server_id);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return defineDomain(xml, options);
  };
  await scene.driver.send('server.ensure', server.server_id, server);
  await until('the removal', () => removal !== undefined);
  expect(await removal).toMatchObject({ outcome: 'done' });
  expect(scene.fake.calls).not.toContain('startDomain');
  expect(scene.fake.domains.size).toBe(0);
});

test('the drive of an earlier definition goes when the new one runs', async () => {
  const server = aServer({ config_drive: { a: 'MQ==' } });
  await ensure(server);
  const [old] = (await scene.agent.inventoryOfResources()).filter(({ kind }) => kind === 'server_file');
  await ensure({ ...server, config_drive: { a: 'Mg==' } });
  expect(existsSync(old?.name ?? '')).toBe(true);
  await ensure({ ...server, config_drive: { a: 'Mw==' }, redefine: true }, 2);
  const files = (await scene.agent.inventoryOfResources()).filter(({ kind }) => kind === 'server_file');
  expect(files).toHaveLength(1);
  expect(files[0]?.name).not.toBe(old?.name);
});

test('what happens by itself is reported once it differs from what the controller knows', async () => {
  const server = aServer();
  const id = server.server_id;
  await ensure(server);
  scene.fake.stopped(id, 3);
  await until('crash', () => scene.api.reports.length === 1);
  expect(scene.api.reports[0]).toEqual({ id, power: 'crashed', why: 'the guest or its emulator crashed' });
  // Domains of others are nobody's business.
  await scene.fake.hypervisor.defineDomain('<domain><name>other</name><uuid>u</uuid></domain>');
  await scene.fake.hypervisor.startDomain('u');
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(scene.api.reports).toHaveLength(1);
});

test('a report that fails is made again; a domain that is gone by then is off', async () => {
  const [one, two] = [aServer(), aServer()];
  await ensure(one);
  await ensure(two);
  const report = scene.api.reportServers.bind(scene.api);
  let refused = 0;
  scene.api.reportServers = (host, servers) =>
    refused++ === 0 ? Promise.reject(new Error('no controller')) : report(host, servers);
  scene.fake.stopped(one.server_id, 1);
  await until('second try', () => scene.api.reports.length === 1);
  expect(refused).toBe(2);
  scene.fake.stopped(two.server_id, 1);
  scene.fake.domains.delete(two.server_id);
  await until('report of the other', () => scene.api.reports.length === 2);
  expect(scene.api.reports).toEqual([
    { id: one.server_id, power: 'shutdown', why: 'the guest shut itself down' },
    { id: two.server_id, power: 'shutdown', why: VANISHED },
  ]);
});

test('after libvirt came back everything is looked at again; a listing that fails is only logged', async () => {
  const server = aServer();
  await ensure(server);
  const domain = scene.fake.domains.get(server.server_id);
  if (domain) domain.state = 'paused';
  const list = scene.fake.hypervisor.allDomainStats;
  scene.fake.hypervisor.allDomainStats = () => Promise.reject(libvirtError(1));
  scene.fake.emit('connected');
  scene.fake.hypervisor.allDomainStats = list;
  scene.fake.emit('connected');
  await until('report', () => scene.api.reports.length === 1);
  expect(scene.api.reports).toEqual([{ id: server.server_id, power: 'paused' }]);
});

test('now and then everything is told again: a report may have come at a bad time', async () => {
  const server = aServer();
  await ensure(server);
  for (const count of [1, 2]) {
    scene.lookNow();
    await until('report', () => scene.api.reports.length === count);
  }
  expect(scene.api.reports).toEqual(Array(2).fill({ id: server.server_id, power: 'running' }));
});

test('what a look saw before a command ended is not told after it: the server is looked at again', async () => {
  const [server, removed] = [aServer(), aServer()];
  await ensure(server);
  await ensure(removed);
  const { hypervisor } = scene.fake;
  const stats = hypervisor.allDomainStats.bind(hypervisor);
  hypervisor.allDomainStats = async (...asked) => {
    const seen = await stats(...asked);
    hypervisor.allDomainStats = stats;
    await ensure({ ...server, power: 'paused' });
    await remove(removed.server_id);
    return seen;
  };
  const paused = { id: server.server_id, power: 'paused' };
  for (const count of [1, 2]) {
    scene.lookNow();
    await until('report', () => scene.api.reports.length === count);
  }
  expect(scene.api.reports).toEqual([paused, paused]);
});

test('a server whose domain vanished is told as off, however that came; a removed one is not told of again', async () => {
  const [kept, removed] = [aServer(), aServer()];
  await ensure(kept);
  await ensure(removed);
  scene.lookNow();
  await until('report', () => scene.api.reports.length === 2);
  scene.fake.domains.delete(kept.server_id);
  await remove(removed.server_id);
  scene.lookNow();
  await until('report', () => scene.api.reports.length === 3);
  scene.lookNow();
  await until('report', () => scene.api.reports.length === 4);
  expect(scene.api.reports.slice(2)).toEqual(Array(2).fill({ id: kept.server_id, power: 'shutdown', why: VANISHED }));
});

test('a registration reports saved servers as suspended and removes directories without a domain', async () => {
  const server = aServer();
  await ensure(server);
  await ensure({ ...server, power: 'suspended' });
  const stray = newId();
  mkdirSync(join(scene.dir, 'servers', stray));
  await scene.agent.stop();
  scene.api.expected = [{ id: server.server_id, generation: 1 }];
  await startAgent();
  expect(scene.api.reports).toEqual([{ id: server.server_id, power: 'suspended' }]);
  expect(existsSync(join(scene.dir, 'servers', stray))).toBe(false);
});

test('a hypervisor that can not be reached, or asked, is tried again at registration', async () => {
  await scene.agent.stop();
  let attempts = 0;
  let closed = 0;
  const { hypervisor } = scene.fake;
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
  expect(scene.agent.session()).toBeDefined();
  expect(await scene.agent.consoleLog(newId(), 10)).toEqual(Buffer.alloc(0));
});
