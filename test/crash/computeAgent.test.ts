// The compute agent killed before and after every call to libvirt of every kind of command: the next agent completes the work,
// and what must happen once (a boot, a reboot) happened once.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  parseConfig,
  silentLogger,
  systemClock,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent, type Hypervisor } from '@cumulet/compute-agent';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi } from '../support/fakeAgentApi';
import { fakeHypervisor, type FakeHypervisor } from '../support/fakeHypervisor';

const ID = '22222222-2222-4222-8222-222222222222';
const CHANGES = new Set<string>([
  'defineDomain',
  'startDomain',
  'shutdownDomain',
  'destroyDomain',
  'undefineDomain',
  'suspendDomain',
  'resumeDomain',
  'managedSave',
  'managedSaveRemove',
  'attachDevice',
  'detachDeviceByAlias',
]);

interface Kill {
  /** How many changing calls are carried out before the end. */
  readonly calls: number;
  /** Whether the last one still takes effect. */
  readonly moment: 'before' | 'after';
}

/** The hypervisor as seen by an agent that dies: from the fatal call on nothing gets through. */
function mortal(hypervisor: Hypervisor, kill: Kill): Hypervisor {
  let calls = 0;
  let dead = false;
  const die = (): never => {
    dead = true;
    throw new Error('killed');
  };
  return new Proxy(hypervisor, {
    get: (target, name) => {
      const real = target[name as keyof Hypervisor] as unknown as ((...args: unknown[]) => unknown) | undefined;
      // A promise asks for `then`, which is not there.
      if (typeof real !== 'function' || name === 'on' || name === 'close') return real;
      return async (...args: unknown[]) => {
        if (dead) die();
        if (!CHANGES.has(String(name))) return real(...args);
        if (calls === kill.calls && kill.moment === 'before') die();
        const result = await real(...args);
        if (calls++ === kill.calls) die();
        return result;
      };
    },
  });
}

interface World {
  readonly fake: FakeHypervisor;
  readonly dir: string;
}
const worlds: string[] = [];
afterEach(() => worlds.splice(0).forEach((dir) => rmSync(dir, { recursive: true, force: true })));

function newWorld(): World {
  const dir = mkdtempSync(join(tmpdir(), 'cumulet-crash-'));
  worlds.push(dir);
  writeFileSync(join(dir, 'disk.qcow2'), '');
  return { fake: fakeHypervisor(), dir };
}

/** One agent's life in a world. */
async function withAgent<T>(
  { dir }: World,
  hypervisor: Hypervisor,
  work: (driver: AgentDriver) => Promise<T>,
): Promise<T> {
  const bus = createMemoryBus();
  const driver = await driveAgent(bus, 'h1');
  const api = fakeAgentApi();
  api.expected = [{ id: ID, generation: 1 }];
  const config = parseConfig(ComputeConfig, JSON.stringify({ dir, virt_type: 'qemu' }), 'test');
  const connect = () => Promise.resolve(hypervisor);
  const common = { host: 'h1', bus, api, exec, log: silentLogger, clock: systemClock };
  const agent: ComputeAgent = createComputeAgent({ ...common, config, connect });
  await agent.start();
  try {
    return await work(driver);
  } finally {
    await agent.stop();
  }
}

type Step = Partial<ServerEnsure> | 'remove';
const carryOut = (world: World, driver: AgentDriver, step: Step): Promise<Reply> =>
  step === 'remove'
    ? driver.run('server.remove', ID, { server_id: ID })
    : driver.run('server.ensure', ID, {
        server_id: ID,
        name: 'web',
        project_id: 'p',
        vcpus: 1,
        memory_mib: 128,
        disk: { path: join(world.dir, 'disk.qcow2'), format: 'qcow2' },
        interfaces: [],
        config_drive: null,
        power: 'running',
        reboot: null,
        redefine: false,
        ...step,
      });

/** What can be seen of a world: the domain without numbers and directories, and the files. */
function sight({ fake, dir }: World): object {
  const domain = fake.domains.get(ID);
  const plain = (xml: string | undefined): string | undefined =>
    xml?.replaceAll(dir, '').replace(/ definition="[0-9a-f]+"/, '');
  return {
    domain: domain && { state: domain.state, config: plain(domain.config), live: plain(domain.live) },
    saved: domain?.saved !== undefined,
    files: readdirSync(join(dir, 'servers')),
    boots: fake.calls.filter((call) => call === 'startDomain').length,
  };
}

const card = { port_id: '33333333-3333-4333-8333-333333333333', mac: 'fa:16:3e:00:00:03', mtu: 1450 };
const scenarios: [string, Step[], Step][] = [
  ['create', [], {}],
  ['stop', [{}], { power: 'shutdown' }],
  ['start', [{}, { power: 'shutdown' }], {}],
  ['soft reboot', [{}], { reboot: { nonce: 'n', type: 'soft' } }],
  ['hard reboot', [{}], { reboot: { nonce: 'n', type: 'hard' }, redefine: true }],
  ['second reboot', [{}, { reboot: { nonce: 'm', type: 'hard' } }], { reboot: { nonce: 'n', type: 'hard' } }],
  ['pause', [{}], { power: 'paused' }],
  ['unpause', [{}, { power: 'paused' }], {}],
  ['suspend', [{}], { power: 'suspended' }],
  ['resume', [{}, { power: 'suspended' }], {}],
  ['resize of what is saved', [{}, { power: 'suspended' }], { power: 'shutdown', memory_mib: 256 }],
  ['interface attached', [{}], { power: 'unchanged', interfaces: [card] }],
  ['interface detached', [{ interfaces: [card] }], { power: 'unchanged' }],
  ['remove', [{}], 'remove'],
  ['remove what is saved', [{}, { power: 'suspended' }], 'remove'],
];

test.each(scenarios)('%s: killed before and after each call, then completed', async (_, before, step) => {
  const prepare = (world: World): Promise<void> =>
    withAgent(world, world.fake.hypervisor, async (driver) => {
      for (const one of before) expect(await carryOut(world, driver, one)).toMatchObject({ outcome: 'done' });
    });
  const undisturbed = newWorld();
  await prepare(undisturbed);
  const first = undisturbed.fake.calls.length;
  await withAgent(undisturbed, undisturbed.fake.hypervisor, (driver) => carryOut(undisturbed, driver, step));
  const calls = undisturbed.fake.calls.length - first;
  expect(calls).toBeGreaterThan(0);

  for (let n = 0; n < calls; n++) {
    for (const moment of ['before', 'after'] as const) {
      const world = newWorld();
      await prepare(world);
      const dying = mortal(world.fake.hypervisor, { calls: n, moment });
      const killed = await withAgent(world, dying, (driver) => carryOut(world, driver, step));
      expect(killed.outcome).toBe('failed');
      const again = await withAgent(world, world.fake.hypervisor, (driver) => carryOut(world, driver, step));
      expect({ n, moment, again: again.outcome, ...sight(world) }).toEqual({
        n,
        moment,
        again: 'done',
        ...sight(undisturbed),
      });
    }
  }
});
