// The generic crash test: task kinds at every step, run twice, killed before and after, failing, their messages lost, doubled and
// late. Whatever happens, every task ends, and database and host agree. Several files, each with some kinds, so that they run at once.
import { type Mischief } from '@cumulet/common';
import { type EngineObserver, type TaskKind } from '@cumulet/controller';
import { servers } from '../../controller/src/db/entities/compute';
import { ports } from '../../controller/src/db/entities/network';
import { createSharedPool } from '../support/simulatedHost';
import { startCloudWithHost, type CloudWithHost } from './cloudWithHost';
import { act, forgive, goesElsewhere, scenarioOf } from './faultScenarios';

type FaultName =
  | 'killed before'
  | 'killed after'
  | 'fails once'
  | 'runs twice'
  | 'command lost'
  | 'reply lost'
  | 'command doubled'
  | 'reply doubled'
  | 'reply late';
/** Faults that the database sees; what happens to messages is the same whatever database there is. */
const DATABASE_FAULTS: readonly FaultName[] = ['killed before', 'killed after', 'runs twice', 'reply doubled'];
const MESSAGE_FAULTS: readonly FaultName[] = [
  'fails once',
  'command lost',
  'reply lost',
  'command doubled',
  'reply late',
];
const FAULTS: readonly FaultName[] = process.env['CUMULET_TEST_DATABASE']
  ? DATABASE_FAULTS
  : [...DATABASE_FAULTS, ...MESSAGE_FAULTS];

/** Kinds whose tasks are about two hosts from the beginning. */
const TWO_HOSTS = /[mM]igrat|evacuate|(confirm|revert|undo)Resize/;

/** The statuses of the images of a server. */
async function imagesOf(world: CloudWithHost, id: string): Promise<string[]> {
  const { images } = (await world.test.call('GET', `/image/v2/images?instance_uuid=${id}`)).body;
  return images.map((image: { status: string }) => image.status);
}

interface Fault {
  readonly mischief: Mischief;
  readonly observer: EngineObserver;
  /** Told when an engine must die. */
  onDeath: () => void;
  armed: boolean;
  /** Whether the fault has struck. */
  struck: boolean;
}

function faultAt(kind: string, step: string, name: FaultName): Fault {
  const strike = (): boolean => {
    if (!fault.armed || fault.struck) return false;
    return (fault.struck = true);
  };
  const die = async (): Promise<never> => {
    fault.onDeath();
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('killed');
  };
  const here = (task: { kind: string; step: string }): boolean => task.kind === kind && task.step === step;
  const fault: Fault = {
    armed: false,
    struck: false,
    onDeath: () => undefined,
    mischief: (direction, message) => {
      if (message.step !== step || !name.startsWith(direction)) return 'deliver';
      if (!strike()) return 'deliver';
      if (name.endsWith('lost')) return 'drop';
      return name.endsWith('doubled') ? 'double' : { delayMs: 300 };
    },
    observer: {
      beforeStep: async (task) => {
        if (!here(task)) return;
        if (name === 'killed before' && strike()) await die();
        if (name === 'fails once' && strike()) throw new Error('it fails before it has done anything');
      },
      afterStep: async (task) => {
        if (!here(task)) return;
        if (name === 'killed after' && strike()) await die();
        if (name === 'runs twice' && strike()) throw new Error('this run does not count');
      },
    },
  };
  return fault;
}

/** One fault in a world that has seen others before: what they left would be found here. */
async function play(
  world: CloudWithHost,
  current: { fault: Fault },
  kind: string,
  step: string,
  name: FaultName,
): Promise<void> {
  const fault = (current.fault = faultAt(kind, step, name));
  let restarted: Promise<unknown> | undefined;
  fault.onDeath = () => {
    restarted = world.restartEngine();
  };
  forgive(world);
  const scenario = scenarioOf(kind, step);
  let id = '';
  for (const action of scenario.before) {
    id = await act(world, action, id);
    await world.settled();
  }
  fault.armed = true;
  id = await act(world, scenario.action, id);
  await world.settled();
  await restarted;
  await world.settled();
  // A fault that never happened would show nothing.
  expect(fault.struck).toBe(true);
  await world.expectClean();
  const server = await world.test.cloud.db.read((session) => session.findOne(servers, { id }));
  const state = server?.deleted_at === null ? server.vm_state : 'gone';
  expect(state).toBe(
    /(\.d|AndD)elete$/.test(kind)
      ? 'gone'
      : kind === 'server.cleanup'
        ? 'error'
        : (finalStates[`${kind}.${step}`] ?? finalStates[kind] ?? 'active'),
  );
  if (kind === 'server.cleanup') expect(server?.fault?.message).toContain('this guest can not start');
  if (state !== 'gone' && state !== 'error' && state !== 'shelved_offloaded') {
    const attached = await world.test.cloud.db.read((session) => session.find(ports, { where: { server_id: id } }));
    expect(attached).toHaveLength(kind === 'server.attachInterface' ? 2 : 1);
    const host = world.hosts.find(({ name }) => name === server?.host);
    expect([...(host?.interfaces.get(id) ?? [])].sort()).toEqual(attached.map((port) => port.id).sort());
  }
  const kept = /create(Image|Backup)$/.test(kind) || /^shelved/.test(state) || kind === 'server.undoUnshelve';
  expect(await imagesOf(world, id)).toEqual(kept ? ['active'] : []);
  expect(server?.task_state ?? null).toBeNull();
  // And everything that was made goes again.
  forgive(world);
  if (state !== 'gone') {
    await act(world, 'delete', id);
    await world.settled();
  }
  await world.expectClean();
  if (/[sS]helve/.test(kind)) expect(await imagesOf(world, id)).toEqual([]);
  for (const { domains, disks, taps, snapshots } of world.hosts)
    expect([domains.size, disks.size, taps.size, snapshots.size]).toEqual([0, 0, 0, 0]);
}

/** The steps that send commands; the others have no messages to lose. */
const ASKING = new Set([
  ...['prepare', 'spawn', 'leave', 'vacate', 'domain', 'remains'],
  ...['apply', 'clear', 'plug', 'unplug', 'unwire'],
  ...['copy', 'room', 'flatten', 'upload', 'tidy', 'restart'],
  ...['ready', 'stop', 'depart', 'drop'],
  ...['send', 'decide', 'unknown', 'resume'],
]);
/** Who stays where it is leaves nobody. */
const asks = (kind: string, step: string): boolean => ASKING.has(step) && `${kind}.${step}` !== 'server.resize.depart';
/** What goes on with the disk that both hosts have leaves none behind. */
const asksOnShared = (kind: string, step: string): boolean =>
  asks(kind, step) && `${kind}.${step}` !== 'server.confirmResize.drop';
const faultsOf = (kind: string, step: string, sharedDisks: boolean): readonly FaultName[] =>
  FAULTS.filter((name) => (sharedDisks ? asksOnShared : asks)(kind, step) || !/^(command|reply)/.test(name));

const finalStates: Readonly<Record<string, string>> = {
  'server.stop': 'stopped',
  'server.createBackup': 'stopped',
  'server.pause': 'paused',
  'server.suspend': 'suspended',
  'server.resize': 'resized',
  'server.migrate': 'resized',
  'server.revertResize': 'stopped',
  'server.revertResize.strand': 'resized',
  'server.undoResize.strand': 'error',
  'server.shelve': 'shelved_offloaded',
  'server.shelveOffload': 'shelved_offloaded',
  'server.undoUnshelve': 'shelved_offloaded',
  'server.undoUnshelve.stop': 'shelved',
  'server.undoUnshelve.strand': 'error',
};

/** Kinds with their steps and the hosts of their world. */
const worldsOf = (kinds: readonly TaskKind[]) =>
  kinds.flatMap(({ kind, steps }) => {
    const names = Object.keys(steps);
    const hosts = TWO_HOSTS.test(kind) ? ['node-1', 'node-2'] : ['node-1'];
    const here = [kind, names.filter((step) => !goesElsewhere(kind, step)), hosts] as const;
    const elsewhere = names.filter((step) => goesElsewhere(kind, step));
    return elsewhere.length === 0 ? [here] : [here, [kind, elsewhere, ['node-1', 'node-2']] as const];
  });

/** Declares the tests of some kinds, on hosts with disks of their own or on such as share them. */
export function crossWithFaults(kinds: readonly TaskKind[], { sharedDisks = false } = {}): void {
  describe.each(worldsOf(kinds))('%s', (kind, steps, hosts) => {
    let world: CloudWithHost;
    const current = { fault: faultAt('', '', 'runs twice') };

    beforeAll(async () => {
      const pool = createSharedPool();
      world = await startCloudWithHost(
        (direction, message) => current.fault.mischief(direction, message),
        [...hosts],
        { fence_command: ['true'] },
        sharedDisks ? Object.fromEntries(hosts.map((name) => [name, pool])) : {},
      );
      await world.startEngine({
        beforeStep: (task) => current.fault.observer.beforeStep?.(task),
        afterStep: (task, result) => current.fault.observer.afterStep?.(task, result),
      });
    });
    afterAll(() => world.stop());

    test.each(steps.flatMap((step) => faultsOf(kind, step, sharedDisks).map((name) => [step, name] as const)))(
      'step %s: %s',
      (step, name) => play(world, current, kind, step, name),
    );
  });
}
