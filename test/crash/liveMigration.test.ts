// Live migrations that don't end as they should: hosts that fall silent, administrators who change their mind, time that runs out.
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '@cumulet/common';
import { serverMigrations, servers, type Server, type ServerMigration } from '../../controller/src/db/entities/compute';
import { agents, hosts, residues, type Task } from '../../controller/src/db/entities/tasks';
import { until } from '../support/engineTasks';
import type { SimulatedHost } from '../support/simulatedHost';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';

let world: CloudWithHost;
let source: SimulatedHost;
let target: SimulatedHost;
let id: string;
/** What happens before a step runs; set by a test. */
let before: (task: Task) => Promise<unknown> | void;
beforeEach(() => {
  before = () => undefined;
});
afterEach(() => world.stop());

/** A server on the first of two hosts. */
async function start(live: object = {}): Promise<void> {
  const settings = { timeout: 3600, timeout_action: 'abort' as const, auto_converge: true, bandwidth: 0, ...live };
  world = await startCloudWithHost(undefined, ['node-1', 'node-2'], { live_migration: settings });
  const [first, second] = world.hosts;
  if (!first || !second) throw new Error('two hosts are needed');
  [source, target] = [first, second];
  await world.startEngine({ beforeStep: async (task) => void (await before(task)) });
  await enable('node-2', false);
  id = await world.boot();
  await world.settled();
  await enable('node-2', true);
}
const enable = (name: string, enabled: boolean) =>
  world.test.cloud.db.write((session) => session.update(hosts, { name }, { enabled }));

async function act(action: string, value: unknown): Promise<void> {
  const headers = { 'x-openstack-nova-api-version': '2.79' };
  const path = `/compute/v2.1/servers/${id}/action`;
  const answer = await world.test.call('POST', path, { token: 'admin', headers, body: { [action]: value } });
  if (answer.status >= 300) throw new Error(`${action}: ${answer.status} ${JSON.stringify(answer.body)}`);
}
const migrate = (more: object = {}) => act('os-migrateLive', { host: null, block_migration: 'auto', ...more });
const row = async (): Promise<Server> => {
  const found = await world.test.cloud.db.read((session) => session.findOne(servers, { id }));
  if (!found) throw new Error('the server has no row');
  return found;
};
const migration = async (): Promise<ServerMigration | undefined> =>
  (await world.test.cloud.db.read((session) => session.find(serverMigrations, { where: { server_id: id } }))).at(-1);
const wish = (what: 'abort' | 'force') =>
  world.test.cloud.db.write((session) => session.update(serverMigrations, { server_id: id, open: 1 }, { wish: what }));
/** The words of the steps of the last migration. */
async function story(): Promise<string> {
  const timeline = (await world.test.call('GET', `/cumulet/v1/servers/${id}/timeline`)).body;
  const tasks = timeline.tasks as { kind: string; steps: { message: string }[] }[];
  // What was wished of it is told by itself.
  const last = tasks.findLast(({ kind }) => kind !== 'server.abortLiveMigration');
  return (last?.steps ?? []).map(({ message }) => message).join('\n');
}
const left = () => world.test.cloud.db.read((session) => session.find(residues));

/** It runs where it was, and only there. */
async function expectStayed(status: string): Promise<void> {
  expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null, fault: null });
  expect(await migration()).toMatchObject({ status, open: null });
  expect([source.domains.get(id), target.domains.get(id)]).toEqual(['running', undefined]);
  await world.expectClean();
}
async function expectMoved(power = 'running'): Promise<void> {
  expect(await row()).toMatchObject({ host: 'node-2', task_state: null });
  expect(await migration()).toMatchObject({ status: 'completed', open: null, dest_host: 'node-2' });
  expect([source.domains.get(id), target.domains.get(id)]).toEqual([undefined, power]);
  expect([source.disks.size, source.taps.size]).toEqual([0, 0]);
  await world.expectClean();
}

/** The sending takes until `go` is called, or until it is forced or ended, however late the host hears of that. */
function slow(): { readonly begun: Promise<void>; readonly go: () => void } {
  let go: () => void = () => undefined;
  const until = new Promise<void>((resolve) => (go = resolve));
  const begun = new Promise<void>((resolve) => {
    source.before = async (kind, signal) => {
      if (kind === 'migration.force') go();
      if (kind !== 'migration.send') return;
      resolve();
      await Promise.race([until, signal && once(signal, 'abort')]);
    };
  });
  return { begun, go };
}

test('a server goes, and what it is to its host follows', async () => {
  await start();
  await migrate({ host: 'node-2' });
  await world.settled();
  await expectMoved();
  expect(await story()).toContain('the server was migrated');
});

test('a paused server is paused on its new host', async () => {
  await start();
  await act('pause', null);
  await world.settled();
  await migrate();
  await world.settled();
  await expectMoved('paused');
  expect((await row()).vm_state).toBe('paused');
});

test('without a host that can take it, it stays and says why', async () => {
  await start();
  await enable('node-2', false);
  await migrate();
  await world.settled();
  expect(await story()).toContain('No valid host was found.');
  expect(await migration()).toMatchObject({ dest_host: null });
  await expectStayed('error');
});

test.each(['schedule', 'prepare'])('one that is aborted before %s was never away', async (step) => {
  await start();
  before = ({ step: now }) => (now === step ? wish('abort') : undefined);
  await migrate();
  await world.settled();
  expect(source.done.get('migration.send') ?? 0).toBe(0);
  await expectStayed('cancelled');
});

test('one that is aborted while it is sent stays', async () => {
  await start();
  const { begun } = slow();
  await migrate();
  await begun;
  await wish('abort');
  await world.settled();
  expect(await story()).toContain('was aborted');
  await expectStayed('cancelled');
});

test('one that is there before it could be held back, goes', async () => {
  await start();
  let arrived = false;
  source.before = async (kind) => {
    if (kind !== 'migration.sent' || arrived) return;
    arrived = true;
    await wish('abort');
    await new Promise((resolve) => setTimeout(resolve, 600));
  };
  await migrate();
  await world.settled();
  await expectMoved();
});

test('what takes too long is ended, or forced, as it is configured', async () => {
  await start({ timeout: 1 });
  slow();
  await migrate();
  await world.settled();
  expect(await story()).toContain('could not be sent within 1 s');
  await expectStayed('error');
  await world.stop();
  await start({ timeout: 1, timeout_action: 'force_complete' });
  slow();
  await migrate();
  await world.settled();
  expect(source.done.get('migration.force')).toBeGreaterThan(0);
  await expectMoved();
});

test('one that is to be forced is forced once', async () => {
  await start();
  const { begun } = slow();
  await migrate();
  await begun;
  await wish('force');
  await world.settled();
  expect(source.done.get('migration.force')).toBeGreaterThan(0);
  await expectMoved();
});

test('a new host that falls silent while it is prepared, or while it is sent to, is left, and cleans up when it is back', async () => {
  await start();
  let off = false;
  for (const step of ['prepare', 'send']) {
    off = false;
    const { begun, go } = slow();
    void begun.then(() => setTimeout(go, 1_500));
    before = async ({ step: now }) => {
      if (now !== step || off) return;
      off = true;
      await world.powerOff(target);
    };
    await migrate();
    await world.settled();
    expect(await story()).toContain('does not answer');
    expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    expect((await left()).map(({ host, resource_type }) => [host, resource_type]).sort()).toEqual([
      ['node-2', 'compute'],
      ['node-2', 'storage'],
    ]);
    await target.start();
    await expectStayed('error');
  }
});

test('a host that dies while it sends leaves a server in ERROR that runs nowhere else', async () => {
  await start();
  const { begun, go } = slow();
  await migrate();
  await begun;
  const dying = world.powerOff(source);
  go();
  await dying;
  await world.settled();
  const { vm_state, fault, host } = await row();
  expect([vm_state, host, target.domains.get(id)]).toEqual(['error', 'node-1', undefined]);
  expect(fault?.message).toContain('a hard reboot tries anew');
  await source.start();
  await act('reboot', { type: 'HARD' });
  await world.settled();
  expect(source.domains.get(id)).toBe('running');
  await world.expectClean();
});

test('while nobody knows where it runs nothing starts, and the host that is back decides', async () => {
  await start();
  source.before = async (kind) => {
    if (kind !== 'migration.sent') return;
    await world.test.cloud.db.write((session) => session.update(agents, { host: 'node-2' }, { heard_at: 0 }));
    throw new HostError('outcome_unknown', 'the other host does not answer any more', { retryable: true });
  };
  target.before = (kind) => {
    if (kind === 'migration.conclude') throw new HostError('not_settled', 'not yet', { retryable: true });
  };
  await migrate();
  await until('the server to be sent', () => source.domains.get(id) === 'paused');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(await row()).toMatchObject({ host: 'node-1', task_state: 'migrating' });
  expect(source.domains.get(id)).toBe('paused');
  target.before = () => undefined;
  await world.settled();
  await expectMoved();
});

describe('when the new host dies before it says that it has the server', () => {
  const file = (name: string): string => join(directory, name);
  let directory: string;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cumulet-fence-'));
    await start();
    source.before = async (kind) => {
      if (kind !== 'migration.sent') return;
      // What was wished by then is another matter.
      await wish('abort');
      await world.powerOff(target);
      throw new HostError('outcome_unknown', 'the other host does not answer any more', { retryable: true });
    };
    await migrate();
    await untilUnknown();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const untilUnknown = () =>
    until('the host to be missed', async () => (await story()).includes('that host is not heard'));
  /** A fencing command that notes whom it was told, and then does this. */
  const fencing = (command: string): void =>
    void (world.test.cloud.config.fence_command = ['sh', '-c', `echo "$0" >> ${file('told')}; ${command}`]);
  const told = (): string => (existsSync(file('told')) ? readFileSync(file('told'), 'utf8') : '');
  async function abort(): Promise<void> {
    const path = `/compute/v2.1/servers/${id}/migrations/${(await migration())?.sequence}`;
    const headers = { 'x-openstack-nova-api-version': '2.79' };
    expect((await world.test.call('DELETE', path, { token: 'admin', headers })).status).toBe(202);
  }
  async function expectWaits(): Promise<void> {
    expect(await row()).toMatchObject({ host: 'node-1', task_state: 'migrating' });
    expect([source.domains.get(id), target.domains.get(id)]).toEqual(['paused', 'shutdown']);
  }
  /** It goes on where it was; the host that is back starts nothing and is left nothing. */
  async function expectBack(): Promise<void> {
    expect(await row()).toMatchObject({ host: 'node-1', vm_state: 'active', task_state: null });
    expect([source.domains.get(id), target.domains.get(id)]).toEqual(['running', 'shutdown']);
    const facts = (await left()).map(({ host, resource_type, facts: of }) => [host, resource_type, of]);
    expect(facts.sort()).toEqual(['compute', 'storage'].map((what) => ['node-2', what, { fenced: true }]));
    await target.start();
    await expectStayed('cancelled');
  }

  test('the server waits; who aborts has that host turned off, and it goes on where it was', async () => {
    fencing('true');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(told()).toBe('');
    await expectWaits();
    await abort();
    await world.settled();
    expect(told()).toBe('node-2\n');
    expect(await story()).toContain('the fencing command said that the host is off');
    await expectBack();
  });

  test.each<[string, string, () => Promise<void>]>([
    ['there is none', 'no fencing command is configured.', abort],
    [
      'it fails',
      'the fencing command did not say that the host is off: it exited with 3: no such socket',
      async () => {
        fencing('echo no such socket >&2; exit 3');
        await abort();
      },
    ],
    [
      'the host is heard meanwhile',
      'the fencing command said that the host is off, but the host is heard.',
      async () => {
        fencing(`until [ -e ${file('heard')} ]; do sleep 0.02; done`);
        await abort();
        await until('the command', () => told() !== '');
        await world.test.cloud.db.write((session) =>
          session.update(agents, { host: 'node-2', role: 'network' }, { heard_at: Date.now() }),
        );
        writeFileSync(file('heard'), '');
      },
    ],
  ])('without the word of the fencing command it waits on: %s', async (_, words, abortInVain) => {
    await abortInVain();
    await until('an end', async () => (await story()).includes(`the server still waits: ${words}`));
    await expectWaits();
    // It was tried once, and is tried again when it is asked for again.
    expect((await migration())?.wish).toBeNull();
    await world.test.cloud.db.write((session) => session.update(agents, { host: 'node-2' }, { heard_at: 0 }));
    fencing('true');
    await abort();
    await world.settled();
    await expectBack();
  });

  test('that host decides when it is back first', async () => {
    await target.start();
    await world.settled();
    expect(await story()).toContain('the new host does not have it and takes it no more');
    await expectStayed('cancelled');
  });

  test('when the other host is not heard either, the server is in ERROR and can be evacuated', async () => {
    fencing('true');
    await world.powerOff(source);
    await abort();
    await world.settled();
    const { vm_state, fault, host } = await row();
    expect([vm_state, host]).toEqual(['error', 'node-1']);
    expect(fault?.message).toContain('a hard reboot tries anew');
  });

  test('it can be deleted', async () => {
    expect((await world.test.call('DELETE', `/compute/v2.1/servers/${id}`)).status).toBe(204);
    await world.settled();
    await target.start();
    await world.expectClean();
  });
});

test('what a host does not give up is its residue, and the migration ends', async () => {
  await start();
  source.before = (kind) => {
    if (/remove/.test(kind)) throw new HostError('still_there', 'it does not go', { retryable: true });
  };
  await migrate();
  await world.settled();
  expect(await row()).toMatchObject({ host: 'node-2', task_state: null });
  expect((await left()).map(({ resource_type }) => resource_type).sort()).toEqual(['compute', 'storage']);
  source.before = () => undefined;
  await source.stop();
  await source.start();
  await expectMoved();
});

test('deleted on its way it is nowhere', async () => {
  await start();
  const { begun, go } = slow();
  await migrate();
  await begun;
  expect((await world.test.call('DELETE', `/compute/v2.1/servers/${id}`)).status).toBe(204);
  setTimeout(go, 200);
  await world.settled();
  for (const { domains, disks, taps } of [source, target])
    expect([domains.size, disks.size, taps.size]).toEqual([0, 0, 0]);
  expect(await migration()).toMatchObject({ open: null, status: 'error' });
  await world.expectClean();
});
