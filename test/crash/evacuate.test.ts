// Evacuation: nothing starts elsewhere before a real command said that the dead host is off, and the host that comes back starts nothing.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '@cumulet/common';
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { portAddresses, ports } from '../../controller/src/db/entities/network';
import { agents, allocations, hosts, residues, tasks, type Task } from '../../controller/src/db/entities/tasks';
import type { SimulatedHost } from '../support/simulatedHost';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
let directory: string;
/** What happens before a step runs; set by a test. */
let before: (task: Task) => Promise<unknown> | void;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-fence-'));
  before = () => undefined;
});
afterEach(async () => {
  await world.stop();
  rmSync(directory, { recursive: true });
});

const file = (name: string): string => join(directory, name);
/** A fencing command: a program of these lines. */
function hook(...lines: string[]): string[] {
  writeFileSync(file('fence.sh'), lines.join('\n'));
  return ['sh', file('fence.sh')];
}
const works = (): string[] => hook(`echo "$1" >> ${file('fenced')}`);
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what() && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A cloud of two hosts, the second of which takes no servers yet. */
async function start(fence_command: string[] | null, fence_timeout = 30, names = ['node-1', 'node-2']): Promise<void> {
  world = await startCloudWithHost(undefined, names, { fence_command, fence_timeout });
  await world.startEngine({ beforeStep: async (task) => void (await before(task)) });
  await enable('node-2', false);
}
const enable = (name: string, enabled: boolean) =>
  world.test.cloud.db.write((session) => session.update(hosts, { name }, { enabled }));
async function boot(name?: string): Promise<string> {
  const id = await world.boot(name);
  await world.settled();
  return id;
}
async function powerOff(): Promise<void> {
  await world.powerOff(world.host);
  await enable('node-2', true);
}

const path = (id: string): string => `/compute/v2.1/servers/${id}`;
async function act(id: string, action: string, value: unknown, version = '2.90'): Promise<void> {
  const headers = { 'x-openstack-nova-api-version': version };
  const answer = await world.test.call('POST', `${path(id)}/action`, {
    token: 'admin',
    headers,
    body: { [action]: value },
  });
  expect(answer.status).toBeLessThan(300);
}
async function evacuate(id: string, version?: string): Promise<void> {
  await act(id, 'evacuate', {}, version);
  await world.settled();
}
async function server(id: string): Promise<Server> {
  const row = await world.test.cloud.db.read((session) => session.findOne(servers, { id }));
  if (!row) throw new Error('the server has no row');
  return row;
}
const show = async (id: string) => (await world.test.call('GET', path(id))).body.server;
/** The words that the last task of a server ended with. */
async function lastWords(id: string): Promise<string> {
  const timeline = (await world.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body;
  return timeline.tasks.at(-1).steps.at(-1).message;
}
const records = async () =>
  (await world.test.call('GET', '/compute/v2.1/os-migrations?migration_type=evacuation', { token: 'admin' })).body
    .migrations;
const other = (): SimulatedHost => {
  const [, host] = world.hosts;
  if (!host) throw new Error('there is no other host');
  return host;
};
const portOf = (id: string) => world.test.cloud.db.read((session) => session.findOne(ports, { server_id: id }));
const commandsOf = (host: SimulatedHost): number => [...host.done.values()].reduce((sum, count) => sum + count, 0);

/** The dead host is started again, with another boot of its kernel, and does what agents do by themselves. */
async function comeBack(): Promise<void> {
  const asked = commandsOf(world.host);
  const register = (boot_id: string) =>
    world.test.controller.agentApi.register({
      host: 'node-1',
      role: 'compute',
      inventory: { vcpus: 64, memory_mib: 65536, boot_id },
    });
  for (const id of ['before', 'afterwards']) await register(id);
  await world.host.start();
  await world.settled();
  expect(commandsOf(world.host)).toBe(asked);
}

test('a fenced host loses its server to another one, with a new disk and the same address, and removes its copy when it is back', async () => {
  await start(works());
  const id = await boot();
  const port = await portOf(id);
  const { addresses } = await show(id);
  await powerOff();
  before = (task) => {
    if (task.kind === 'server.evacuate' && task.step !== 'fence')
      expect(readFileSync(file('fenced'), 'utf8')).toBe('node-1\n');
  };
  await evacuate(id);
  expect(await server(id)).toMatchObject({
    ...{ host: 'node-2', vm_state: 'active', task_state: null, power_state: 1, disk_revision: 2 },
  });
  expect(await show(id)).toMatchObject({ status: 'ACTIVE', addresses });
  expect([other().domains.get(id), [...(other().disks.get(id) ?? [])]]).toEqual(['running', [2]]);
  expect(await portOf(id)).toMatchObject({
    ...{ id: port?.id, host: 'node-2', status: 'ACTIVE', generation: (port?.generation ?? 0) + 1 },
  });
  const claims = await world.test.cloud.db.read((session) => session.find(allocations));
  expect(claims.map(({ host, server_id }) => [host, server_id])).toEqual([['node-2', id]]);
  expect(await records()).toMatchObject([{ source_compute: 'node-1', dest_compute: 'node-2', status: 'done' }]);
  expect([world.host.domains.get(id), world.host.disks.size]).toEqual(['shutdown', 1]);
  await comeBack();
  const started = await world.test.cloud.db.read((session) => session.count(tasks, { kind: 'server.start' }));
  expect([started, world.host.domains.size, world.host.disks.size, world.host.taps.size]).toEqual([0, 0, 0, 0]);
  await world.expectClean();
});

test.each([
  ['one that was off stays off', '2.1', true],
  ['from 2.95 on one that ran is left off', '2.95', false],
])('%s', async (_, version, stopped) => {
  await start(works());
  const id = await boot();
  if (stopped) await act(id, 'os-stop', null);
  await world.settled();
  await powerOff();
  await act(id, 'evacuate', version === '2.1' ? { onSharedStorage: 'False', host: 'node-2' } : {}, version);
  await world.settled();
  expect(await show(id)).toMatchObject({ status: 'SHUTOFF', 'OS-EXT-STS:power_state': 4 });
  expect(other().domains.get(id)).toBe('shutdown');
  await act(id, 'os-start', null);
  await world.settled();
  await comeBack();
  expect(other().domains.get(id)).toBe('running');
  await world.expectClean();
});

describe('the server stays where it is, and nothing starts elsewhere', () => {
  test.each<[string, () => string[] | null, string]>([
    ['without a fencing command', () => null, 'no fencing command is configured.'],
    [
      'when it fails',
      () => hook('echo "no power unit is called $1" >&2', 'exit 3'),
      'the fencing command did not say that the host is off: it exited with 3: no power unit is called node-1',
    ],
    ['when it says nothing', () => ['false'], 'off: it exited with 1: it printed nothing'],
    ['when it hangs', () => hook('echo asking', 'sleep 20', 'exit 0'), 'off: timed out after 1000 ms: asking'],
    ['when it is not there', () => ['no-such-command'], 'ENOENT'],
    ['when it can not be run', () => ['true', '\0'], 'null bytes'],
  ])('%s', async (_, command, words) => {
    await start(command(), 1);
    const id = await boot();
    await powerOff();
    await evacuate(id);
    expect(await lastWords(id)).toMatch(/^Nothing was started elsewhere, and the server stays where it is: /);
    expect(await lastWords(id)).toContain(words);
    expect(await server(id)).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null, disk_revision: 1 });
    expect([commandsOf(other()), other().domains.size]).toEqual([0, 0]);
    expect(await portOf(id)).toMatchObject({ host: 'node-1' });
    expect(await world.test.cloud.db.read((session) => session.count(residues))).toBe(0);
    expect(await records()).toMatchObject([{ source_compute: 'node-1', dest_compute: null, status: 'failed' }]);
    await world.host.start();
    expect([...world.host.domains.keys()]).toEqual([id]);
  });

  const hear = () =>
    world.test.cloud.db.write((session) =>
      session.update(agents, { host: 'node-1', role: 'network' }, { heard_at: Date.now() }),
    );

  test('when the host is heard again', async () => {
    await start(works());
    const id = await boot();
    await powerOff();
    before = (task) => (task.step === 'fence' ? hear() : undefined);
    await evacuate(id);
    expect(await lastWords(id)).toContain('its host is heard again.');
    expect([existsSync(file('fenced')), commandsOf(other())]).toEqual([false, 0]);
  });

  test('when the command says yes and the host is heard', async () => {
    await start(hook(`touch ${file('asked')}`, `until [ -e ${file('heard')} ]; do sleep 0.02; done`));
    const id = await boot();
    await powerOff();
    await act(id, 'evacuate', {});
    await until(() => existsSync(file('asked')));
    await hear();
    writeFileSync(file('heard'), '');
    await world.settled();
    expect(await lastWords(id)).toContain('said that the host is off, but the host is heard.');
    expect(commandsOf(other())).toBe(0);
  });

  test('when no other host has room', async () => {
    await start(works(), 30, ['node-1']);
    const id = await boot();
    await world.powerOff(world.host);
    await evacuate(id);
    expect(await lastWords(id)).toContain('No valid host was found.');
    expect(await server(id)).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    // Nor is its own turned off.
    expect(existsSync(file('fenced'))).toBe(false);
  });

  test('when the room elsewhere is gone by the time its host is off', async () => {
    await start(works());
    const id = await boot();
    await powerOff();
    before = (task) => (task.step === 'schedule' ? enable('node-2', false) : undefined);
    await evacuate(id);
    expect(await lastWords(id)).toContain('No valid host was found.');
    expect(await server(id)).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    await world.host.start();
    await act(id, 'reboot', { type: 'HARD' });
    await world.settled();
    await world.expectClean();
  });
});

test('a server that is deleted meanwhile is gone, and the command is not waited for', async () => {
  await start(hook(`echo $$ > ${file('pid')}`, 'exec sleep 60'));
  const id = await boot();
  await powerOff();
  await act(id, 'evacuate', {});
  await until(() => existsSync(file('pid')) && readFileSync(file('pid'), 'utf8') !== '');
  expect((await world.test.call('DELETE', path(id))).status).toBe(204);
  await world.settled();
  expect((await server(id)).deleted_at).not.toBeNull();
  const pid = Number(readFileSync(file('pid'), 'utf8'));
  await until(() => !existsSync(`/proc/${pid}`));
  expect([existsSync(`/proc/${pid}`), commandsOf(other())]).toEqual([false, 0]);
  await comeBack();
  await world.expectClean();
});

test('one that its new host can not start is in ERROR there, and a hard reboot tries again', async () => {
  await start(works());
  const id = await boot();
  await powerOff();
  other().before = (kind) => {
    if (kind === 'server.ensure') throw new HostError('guest_refused', 'it can not start', { retryable: false });
  };
  await evacuate(id);
  expect(await show(id)).toMatchObject({ status: 'ERROR', fault: { message: 'it can not start' } });
  expect(await records()).toMatchObject([{ dest_compute: 'node-2', status: 'failed' }]);
  other().before = () => undefined;
  await act(id, 'reboot', { type: 'HARD' });
  await world.settled();
  expect(await show(id)).toMatchObject({ status: 'ACTIVE' });
  await comeBack();
  await world.expectClean();
});

test('what a fenced host has left holds no addresses', async () => {
  await start(works());
  const [deleted, evacuated] = [await boot('deleted'), await boot('evacuated')];
  const addressOf = async (id: string) => {
    const where = { port_id: (await portOf(id))?.id ?? '' };
    const row = await world.test.cloud.db.read((session) => session.findOne(portAddresses, where));
    if (!row) throw new Error('no address');
    return row;
  };
  const [one, two] = [await addressOf(deleted), await addressOf(evacuated)];
  const take = async ({ network_id, address: ip_address }: typeof one) =>
    (
      await world.test.call('POST', '/network/v2.0/ports', {
        body: { port: { network_id, fixed_ips: [{ ip_address }] } },
      })
    ).status;
  await powerOff();
  const remove = async (id: string) => {
    expect((await world.test.call('DELETE', path(id))).status).toBe(204);
    await world.settled();
  };
  await remove(deleted);
  expect(await take(one)).toBe(409);
  await evacuate(evacuated);
  expect(await take(one)).toBe(201);
  await remove(evacuated);
  expect(await take(two)).toBe(201);
  await comeBack();
  await world.expectClean();
});
