// A server that one host can't build is built by another one; groups hold however many servers come at once.
import { HostError } from '@cumulet/common';
import type { EngineObserver } from '@cumulet/controller';
import { servers } from '../../controller/src/db/entities/compute';
import { agents, hosts, tasks } from '../../controller/src/db/entities/tasks';
import type { SimulatedHost } from '../support/simulatedHost';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
/** What happens before a step, or between a step and the writing of its result. */
let meanwhile: EngineObserver;
beforeEach(async () => {
  meanwhile = {};
  world = await startCloudWithHost(() => 'deliver', ['node-1', 'node-2', 'node-3']);
  await world.startEngine({
    beforeStep: (task) => meanwhile.beforeStep?.(task),
    afterStep: (task, result) => meanwhile.afterStep?.(task, result),
  });
});
afterEach(() => world.stop());

const show = async (id: string) => (await world.test.call('GET', `/compute/v2.1/servers/${id}`)).body.server;
const placeOf = (id: string) =>
  world.test.cloud.db.read(async (session) => (await session.findOne(servers, { id }))?.host);
const failedBuilds = async () =>
  Object.fromEntries(
    (await world.test.cloud.db.read((session) => session.find(hosts))).map((host) => [host.name, host.failed_builds]),
  );
const named = (name: string | null | undefined): SimulatedHost => {
  const host = world.hosts.find((one) => one.name === name);
  if (!host) throw new Error(`no host ${name}`);
  return host;
};
const refuse = (host: SimulatedHost, on: string, message: string): void => {
  host.before = (kind) => {
    if (kind === on) throw new HostError('refused', message, { retryable: false });
  };
};
/** Lets a host hang in a kind of command until it is told to go on. */
function hang(host: SimulatedHost, on: string): () => void {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  host.before = (kind) => (kind === on ? gate : undefined);
  return release;
}
/** Keeps a host's agents unheard, whatever they say, until the condition holds. */
async function unheardUntil(host: string, condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await condition());) {
    if (Date.now() > end) throw new Error('it did not come about within 10 s');
    await world.test.cloud.db.write((session) => session.update(agents, { host }, { heard_at: 0 }));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
async function enable(names: readonly string[], enabled: boolean): Promise<void> {
  for (const name of names) await world.test.cloud.db.write((session) => session.update(hosts, { name }, { enabled }));
}
const stepOf = (id: string) =>
  world.test.cloud.db.read(async (session) => (await session.findOne(tasks, { resource_id: id, active: 1 }))?.step);
async function removeAll(ids: readonly string[]): Promise<void> {
  for (const id of ids) await world.test.call('DELETE', `/compute/v2.1/servers/${id}`);
  await world.settled();
  await world.expectClean();
}
async function group(policy: string): Promise<string> {
  const body = { server_group: { name: 'g', policies: [policy] } };
  return (await world.test.call('POST', '/compute/v2.1/os-server-groups', { body })).body.server_group.id as string;
}
/** Servers of a group, all asked for before any is placed. */
async function bootGroup(id: string, count: number): Promise<string[]> {
  const flavor = { imageRef: '', flavorRef: 'nano' };
  const first = await world.boot('first');
  const { image } = await show(first);
  const made = Array.from({ length: count }, async (_, index) => {
    const body = {
      server: { ...flavor, name: `s${index}`, imageRef: image.id },
      'os:scheduler_hints': { group: id },
    };
    const answer = await world.test.call('POST', '/compute/v2.1/servers', { body });
    expect(answer.status).toBe(202);
    return answer.body.server.id as string;
  });
  const ids = await Promise.all(made);
  await world.settled();
  await removeAll([first]);
  return ids;
}

test.each(['disk.ensure', 'ports.ensure', 'server.ensure'])('two hosts refuse %s: the third takes it', async (kind) => {
  for (const host of world.hosts.slice(0, 2)) refuse(host, kind, 'not today');
  const id = await world.boot();
  await world.settled();
  expect([(await show(id)).status, await placeOf(id)]).toEqual(['ACTIVE', 'node-3']);
  await world.expectClean();
  const counts = await failedBuilds();
  expect(counts['node-3']).toBe(0);
  const second = await world.boot();
  await world.settled();
  expect(await placeOf(second)).toBe('node-3');
  await removeAll([id, second]);
});

test('a host that has failed is trusted again once it has built a server', async () => {
  refuse(named('node-1'), 'server.ensure', 'not today');
  const id = await world.boot();
  await world.settled();
  expect(await failedBuilds()).toMatchObject({ 'node-1': 1 });
  named('node-1').before = () => undefined;
  await enable(['node-2', 'node-3'], false);
  const second = await world.boot();
  await world.settled();
  expect(await placeOf(second)).toBe('node-1');
  expect(await failedBuilds()).toMatchObject({ 'node-1': 0 });
  await removeAll([id, second]);
});

test('a failure that may pass is tried again in place before the host is left', async () => {
  let failures = 0;
  for (const host of world.hosts)
    host.before = (kind) => {
      if (kind !== 'server.ensure' || host.name !== 'node-1' || failures >= 2) return;
      failures++;
      throw new HostError('busy', 'busy for a moment', { retryable: true });
    };
  const id = await world.boot();
  await world.settled();
  expect([failures, await placeOf(id)]).toEqual([2, 'node-1']);
  await removeAll([id]);
});

test('when every host refuses, the fault says why and that no other host was left', async () => {
  for (const host of world.hosts) refuse(host, 'server.ensure', `${host.name} has no such machine type`);
  const id = await world.boot();
  await world.settled();
  const { status, fault } = await show(id);
  expect(status).toBe('ERROR');
  expect(fault.message).toContain('has no such machine type');
  for (const host of world.hosts) expect([host.domains.size, host.disks.size, host.taps.size]).toEqual([0, 0, 0]);
  await removeAll([id]);
});

test('when the last other host goes while the first one is left, the fault says both', async () => {
  refuse(named('node-1'), 'server.ensure', 'It has no such machine type.');
  meanwhile.afterStep = async (task) => {
    if (task.step === 'release') await enable(['node-2', 'node-3'], false);
  };
  const id = await world.boot();
  await world.settled();
  expect((await show(id)).fault.message).toBe(
    'It has no such machine type. No other host is left. No valid host was found. ' +
      '1 host: it failed there already; 2 hosts: disabled by the administrator.',
  );
  await removeAll([id]);
});

test.each([
  [['node-1'], 'node-2'],
  [['node-1', 'node-2', 'node-3'], 'node-1'],
])('a server that finds no room on %j any more when it claims it goes to %s', async (taken, place) => {
  let runs = 0;
  meanwhile = {
    beforeStep: async (task) => {
      if (task.step === 'schedule') await enable(taken, true);
    },
    afterStep: async (task) => {
      if (task.step === 'schedule' && ++runs === 1) await enable(taken, false);
    },
  };
  const id = await world.boot();
  await world.settled();
  expect([(await show(id)).status, await placeOf(id)]).toEqual(['ACTIVE', place]);
  await removeAll([id]);
});

test('the policy of a group counts members that came since the host was chosen', async () => {
  const id = await group('anti-affinity');
  const [image] = (await world.test.call('GET', '/image/v2/images')).body.images;
  const member = async (): Promise<string> => {
    const server = { name: 'm', flavorRef: 'nano', imageRef: image.id };
    const body = { server, 'os:scheduler_hints': { group: id } };
    return (await world.test.call('POST', '/compute/v2.1/servers', { body })).body.server.id as string;
  };
  const move = (server: string, host: string) =>
    world.test.cloud.db.write((session) => session.update(servers, { id: server }, { host }));
  const one = await member();
  await world.settled();
  expect(await placeOf(one)).toBe('node-1');
  meanwhile.afterStep = async (task) => {
    if (task.step === 'schedule') await move(one, 'node-2');
  };
  const two = await member();
  await world.settled();
  meanwhile = {};
  await move(one, 'node-1');
  expect(await placeOf(two)).toBe('node-3');
  await removeAll([one, two]);
});

test('a host that falls silent before it was told to start the server is left', async () => {
  const release = hang(named('node-1'), 'disk.ensure');
  const id = await world.boot();
  await unheardUntil('nobody', async () => (await stepOf(id)) === 'prepare');
  await unheardUntil(
    'node-1',
    async () => !['prepare', 'leave', 'unbind', 'vacate'].includes((await stepOf(id)) ?? ''),
  );
  await world.settled();
  expect([(await show(id)).status, await placeOf(id)]).toEqual(['ACTIVE', 'node-2']);
  release();
});

test('a host that may run the server is not replaced: the create fails with the reason', async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  named('node-1').before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('refused', 'It may run or not.', { retryable: false });
    return kind === 'server.remove' ? gate : undefined;
  };
  const id = await world.boot();
  await unheardUntil('nobody', async () => (await stepOf(id)) === 'leave');
  await unheardUntil('node-1', async () => (await stepOf(id)) === undefined);
  const { status, fault } = await show(id);
  expect(status).toBe('ERROR');
  expect(fault.message).toBe(
    "It may run or not. The host can't be asked to take the server back, so no other host was tried.",
  );
  expect(named('node-2').domains.size + named('node-3').domains.size).toBe(0);
  release();
});

test('servers of an anti-affinity group that come at once are all on different hosts, and one too many says so', async () => {
  const ids = await bootGroup(await group('anti-affinity'), 4);
  const shown = await Promise.all(ids.map(show));
  const active = ids.filter((_, index) => shown[index].status === 'ACTIVE');
  expect(active).toHaveLength(3);
  expect(new Set(await Promise.all(active.map(placeOf))).size).toBe(3);
  const failed = shown.find(({ status }) => status === 'ERROR');
  expect(failed.fault.message).toContain('3 hosts: it has 1 server of the anti-affinity group already');
  await removeAll(ids);
});

test('servers of an affinity group that come at once are all on one host', async () => {
  const ids = await bootGroup(await group('affinity'), 4);
  expect(new Set(await Promise.all(ids.map(placeOf))).size).toBe(1);
  expect((await Promise.all(ids.map(show))).map(({ status }) => status)).toEqual(Array(4).fill('ACTIVE'));
  await removeAll(ids);
});

test('the hints same_host and different_host are followed', async () => {
  const first = await world.boot();
  await world.settled();
  const { image } = await show(first);
  const boot = async (hints: object): Promise<string> => {
    const body = { server: { name: 'h', flavorRef: 'nano', imageRef: image.id }, 'os:scheduler_hints': hints };
    return (await world.test.call('POST', '/compute/v2.1/servers', { body })).body.server.id as string;
  };
  const same = await boot({ same_host: first });
  const different = await boot({ different_host: [first] });
  await world.settled();
  expect(await placeOf(same)).toBe(await placeOf(first));
  expect(await placeOf(different)).not.toBe(await placeOf(first));
  await removeAll([first, same, different]);
});
