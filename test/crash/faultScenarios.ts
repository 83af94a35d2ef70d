// How each kind of task comes about, and comes to each of its steps, on simulated hosts: what everyFault.ts crosses with faults.
import { HostError } from '@cumulet/common';
import { serverMigrations } from '../../controller/src/db/entities/compute';
import { tasks } from '../../controller/src/db/entities/tasks';
import type { CloudWithHost } from './cloudWithHost';

/** What is done first, then the call that begins the task. */
export interface Scenario {
  readonly before: readonly string[];
  readonly action: string;
}

/** How a task of each kind comes about. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  'server.create': { before: [], action: 'create' },
  'server.delete': { before: ['create'], action: 'delete' },
  'server.cleanup': { before: [], action: 'create and fail' },
  'server.stop': { before: ['create'], action: 'os-stop' },
  'server.start': { before: ['create', 'os-stop'], action: 'os-start' },
  'server.reboot': { before: ['create'], action: 'reboot' },
  'server.pause': { before: ['create'], action: 'pause' },
  'server.unpause': { before: ['create', 'pause'], action: 'unpause' },
  'server.suspend': { before: ['create'], action: 'suspend' },
  'server.resume': { before: ['create', 'suspend'], action: 'resume' },
  'server.rebuild': { before: ['create'], action: 'rebuild' },
  'server.attachInterface': { before: ['create'], action: 'attach' },
  'server.detachInterface': { before: ['create', 'attach'], action: 'detach' },
  'server.createImage': { before: ['create'], action: 'createImage' },
  'server.createBackup': { before: ['create', 'os-stop', 'createBackup'], action: 'createBackup' },
  'server.dropImage': { before: ['create'], action: 'createImage and fail' },
  'server.dropImageAndDelete': { before: ['create'], action: 'createImage and delete' },
  'server.takeInterfaceBack': { before: ['create'], action: 'attach and fail' },
  'server.resize': { before: ['create'], action: 'resize' },
  'server.migrate': { before: ['create'], action: 'migrate' },
  'server.confirmResize': { before: ['create', 'migrate'], action: 'confirmResize' },
  'server.revertResize': { before: ['create', 'os-stop', 'migrate'], action: 'revertResize' },
  'server.undoResize': { before: ['create'], action: 'migrate and fail' },
  'server.evacuate': { before: ['create'], action: 'evacuate' },
  'server.liveMigrate': { before: ['create'], action: 'os-migrateLive' },
  'server.undoLiveMigration': { before: ['create'], action: 'os-migrateLive and fail' },
  'server.shelve': { before: ['create'], action: 'shelve' },
  'server.shelveOffload': { before: ['create', 'shelve and stay'], action: 'shelveOffload' },
  'server.undoShelve': { before: ['create'], action: 'shelve and fail' },
  'server.unshelve': { before: ['create', 'shelve'], action: 'unshelve' },
  'server.undoUnshelve': { before: ['create', 'shelve'], action: 'unshelve and fail' },
};
const lost = { before: ['create'], action: 'os-migrateLive and lose' };
const lostThere = { before: ['create'], action: 'os-migrateLive and lose there' };
/** Steps that are reached only when something else goes wrong too: the new host does not give the server back, or its word is lost. */
const otherScenarios: typeof scenarios = {
  'server.revertResize.strand': { before: ['create', 'migrate'], action: 'revertResize and strand' },
  'server.undoResize.strand': { before: ['create'], action: 'migrate and fail and strand' },
  'server.liveMigrate.refuse': { before: ['create'], action: 'os-migrateLive and fail' },
  'server.undoLiveMigration.decide': lost,
  'server.undoLiveMigration.unknown': { before: ['create'], action: 'os-migrateLive and die there' },
  'server.undoLiveMigration.resume': lost,
  'server.undoLiveMigration.land': lostThere,
  'server.undoLiveMigration.settle': lostThere,
  'server.undoLiveMigration.depart': lostThere,
  'server.undoLiveMigration.end': lostThere,
  'server.undoUnshelve.stop': { before: ['create', 'shelve and stay'], action: 'unshelve and fail' },
  'server.undoUnshelve.strand': { before: ['create', 'shelve'], action: 'unshelve and fail and strand' },
};
/** Steps that come only where the first host can't build the server and another one can. */
const LEAVING = new Set(['leave', 'unbind', 'vacate', 'release']);
const ELSEWHERE: Readonly<Record<string, Scenario>> = {
  'server.create': { before: [], action: 'create elsewhere' },
  'server.unshelve': { before: ['create', 'shelve'], action: 'unshelve elsewhere' },
};
export const goesElsewhere = (kind: string, step: string): boolean => kind in ELSEWHERE && LEAVING.has(step);

/** The first host that is asked to start a guest refuses; the others don't. */
function refuseOnce(world: CloudWithHost): void {
  let refusing: string | undefined;
  for (const host of world.hosts) {
    host.before = (kind) => {
      if (kind !== 'server.ensure') return;
      refusing ??= host.name;
      if (refusing === host.name) throw new HostError('guest_refused', 'no room for this guest', { retryable: false });
    };
  }
}

/** Whether a server's task is of a kind. A host that refuses only that refuses it however often it is asked, and takes what undoes it. */
async function isAt(world: CloudWithHost, id: string, kind: string): Promise<boolean> {
  const task = await world.test.cloud.db.read((session) => session.findOne(tasks, { resource_id: id, active: 1 }));
  return task?.kind === kind;
}

/** Changes of a server's interfaces; the one that was attached last goes again. */
async function changeInterface(world: CloudWithHost, action: string, id: string): Promise<string> {
  const path = `/compute/v2.1/servers/${id}/os-interface`;
  if (action === 'attach and fail')
    world.host.before = async (kind) => {
      if (kind === 'server.ensure' && (await isAt(world, id, 'server.attachInterface')))
        throw new HostError('no_slot', 'this guest has no place for a card', { retryable: false });
    };
  const ports = (await world.test.call('GET', path)).body.interfaceAttachments as { port_id: string }[];
  const answer =
    action === 'detach'
      ? await world.test.call('DELETE', `${path}/${ports.at(-1)?.port_id}`)
      : await world.test.call('POST', path, { body: {} });
  expect(answer.status).toBe({ attach: 200, detach: 202, 'attach and fail': 500 }[action]);
  return id;
}

/** Makes an image of a server; the host may fail at it, or the server's owner not wait for it. */
async function makeImage(world: CloudWithHost, action: string, id: string): Promise<string> {
  const path = `/compute/v2.1/servers/${id}`;
  world.host.before = async (kind) => {
    if (action.endsWith('fail') && kind === 'snapshot.upload')
      throw new HostError('image_refused', 'nobody wants this image', { retryable: false });
    if (action.endsWith('delete') && kind === 'disk.copy') await new Promise((resolve) => setTimeout(resolve, 200));
  };
  const body = action.startsWith('createBackup')
    ? { createBackup: { name: 'image', backup_type: 'daily', rotation: 1 } }
    : { createImage: { name: 'image' } };
  expect((await world.test.call('POST', `${path}/action`, { body })).status).toBe(202);
  if (action.endsWith('delete')) expect((await world.test.call('DELETE', path)).status).toBe(204);
  return id;
}

/** Resizes or migrates a server, or ends that; the new host may refuse to run it, and to give it back. */
async function resize(world: CloudWithHost, action: string, id: string): Promise<string> {
  const other = world.hosts[1];
  if (other)
    other.before = (kind) => {
      if (action.includes('fail') && kind === 'server.ensure')
        throw new HostError('guest_refused', 'this guest can not start here', { retryable: false });
      if (action.includes('strand') && kind === 'server.remove')
        throw new HostError('still_there', 'it does not go', { retryable: true });
    };
  const [name = ''] = action.split(' ');
  const answer = await world.test.call('POST', `/compute/v2.1/servers/${id}/action`, {
    body: { [name]: name === 'resize' ? { flavorRef: 'micro' } : null },
    token: name === 'migrate' ? 'admin' : 'demo',
  });
  expect(answer.status).toBe(name === 'confirmResize' ? 204 : 202);
  return id;
}

/**
 * Migrates a server while it runs; the host that sends it may fail, or not learn whether the other one has it, which may be dead: then
 * somebody has that turned off.
 */
async function liveMigrate(world: CloudWithHost, action: string, id: string): Promise<string> {
  const source = world.hosts.find(({ domains }) => domains.has(id));
  const target = world.hosts.find(({ domains }) => !domains.has(id));
  if (!source || !target) throw new Error(`not one of two hosts has server ${id}`);
  const dies = action.endsWith('die there');
  const unknown = new HostError('outcome_unknown', 'the other host does not answer any more', { retryable: true });
  source.before = async (kind) => {
    if (dies && kind === 'migration.sent') await world.powerOff(target);
    if (action.endsWith('fail') && kind === 'migration.send')
      throw new HostError('send_failed', 'this guest can not be sent', { retryable: false });
    if (action.endsWith('there') && kind === 'migration.sent') throw unknown;
    if (!action.endsWith('lose') || kind !== 'migration.send') return;
    source.domains.set(id, 'paused');
    throw unknown;
  };
  const body = { 'os-migrateLive': { host: null, block_migration: 'auto' } };
  const headers = { 'x-openstack-nova-api-version': '2.79' };
  const path = `/compute/v2.1/servers/${id}/action`;
  expect((await world.test.call('POST', path, { token: 'admin', headers, body })).status).toBe(202);
  if (!dies) return id;
  const { db } = world.test.cloud;
  const task = () => db.read((session) => session.findOne(tasks, { resource_id: id, active: 1 }));
  while ((await task())?.step !== 'unknown') await new Promise((resolve) => setTimeout(resolve, 10));
  await db.write((session) => session.update(serverMigrations, { server_id: id, open: 1 }, { wish: 'abort' }));
  await world.settled();
  expect([source.domains.get(id), target.domains.get(id)]).toEqual(['running', 'shutdown']);
  await target.start();
  return id;
}

/** The server's host loses its power; it comes back when the evacuation has ended. */
async function evacuate(world: CloudWithHost, id: string): Promise<string> {
  const dead = world.hosts.find(({ domains }) => domains.has(id));
  if (!dead) throw new Error(`no host has server ${id}`);
  await world.powerOff(dead);
  const path = `/compute/v2.1/servers/${id}/action`;
  expect(
    (await world.test.call('POST', path, { token: 'admin', body: { evacuate: { onSharedStorage: false } } })).status,
  ).toBe(200);
  await world.settled();
  expect(dead.domains.get(id)).toBe('shutdown');
  await dead.start();
  return id;
}

/** Shelves a server, takes it off its host, or has it back; the host may refuse, and not even take it back. */
async function shelve(world: CloudWithHost, action: string, id: string): Promise<string> {
  world.test.cloud.config.shelved_offload_time = action.endsWith('stay') ? -1 : 0;
  if (action.endsWith('elsewhere')) refuseOnce(world);
  if (action.includes('fail'))
    world.host.before = async (kind) => {
      if (kind === 'snapshot.upload')
        throw new HostError('image_refused', 'nobody wants this image', { retryable: false });
      if (kind === 'server.remove' && action.endsWith('strand'))
        throw new HostError('still_there', 'it does not go', { retryable: true });
      if (kind === 'server.ensure' && (await isAt(world, id, 'server.unshelve')))
        throw new HostError('guest_refused', 'this guest can not start here', { retryable: false });
    };
  const [name = ''] = action.split(' ');
  const path = `/compute/v2.1/servers/${id}/action`;
  const answer = await world.test.call('POST', path, { token: 'admin', body: { [name]: null } });
  expect(answer.status).toBe(202);
  return id;
}

/** Does what an action says, on its server or a new one. @returns the server's id */
export async function act(world: CloudWithHost, action: string, id: string): Promise<string> {
  if (action === 'create') return world.boot();
  if (action === 'create and fail') {
    world.host.before = (kind) => {
      if (kind === 'server.ensure')
        throw new HostError('guest_refused', 'this guest can not start', { retryable: false });
    };
    return world.boot();
  }
  if (/^create(Image|Backup)/.test(action)) return makeImage(world, action, id);
  if (/^(resize|migrate|confirmResize|revertResize)/.test(action)) return resize(world, action, id);
  if (action.startsWith('os-migrateLive')) return liveMigrate(world, action, id);
  if (action === 'evacuate') return evacuate(world, id);
  if (/^(un)?shelve/.test(action)) return shelve(world, action, id);
  if (/^(attach|detach)/.test(action)) return changeInterface(world, action, id);
  if (action === 'create elsewhere') {
    refuseOnce(world);
    return world.boot();
  }
  const path = `/compute/v2.1/servers/${id}`;
  const image = (await world.test.call('GET', path)).body.server?.image?.id as string | undefined;
  const bodies: Record<string, unknown> = {
    reboot: { reboot: { type: 'HARD' } },
    rebuild: { rebuild: { imageRef: image } },
  };
  const answer =
    action === 'delete'
      ? await world.test.call('DELETE', path)
      : await world.test.call('POST', `${path}/action`, { body: bodies[action] ?? { [action]: null } });
  if (answer.status >= 300) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return id;
}

/** Hosts refuse nothing any more. */
export function forgive(world: CloudWithHost): void {
  for (const host of world.hosts) host.before = () => undefined;
}

/** What makes a task of this kind come to this step. */
export function scenarioOf(kind: string, step: string): Scenario {
  const scenario = goesElsewhere(kind, step) ? ELSEWHERE[kind] : (otherScenarios[`${kind}.${step}`] ?? scenarios[kind]);
  if (!scenario) throw new Error(`no scenario makes a task of kind ${kind}`);
  return scenario;
}
