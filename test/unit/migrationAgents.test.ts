// Two compute agents and what they make of a migration between them, whatever goes wrong: the guest runs once, and who knows it says so.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import {
  createMemoryBus,
  CumuletError,
  exec,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type MigrationPeer,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent } from '@cumulet/compute-agent';
import { ErrorCode } from '@cumulet/libvirt';
import { driveAgent, type AgentDriver } from '../support/agentDriver';
import { fakeAgentApi } from '../support/fakeAgentApi';
import { fakeHypervisor, libvirtError, type FakeHypervisor } from '../support/fakeHypervisor';

interface Side {
  readonly dir: string;
  readonly fake: FakeHypervisor;
  readonly agent: ComputeAgent;
  readonly driver: AgentDriver;
}

const sides: Side[] = [];
let from: Side;
let to: Side;
/** What happens to words between the hosts. */
let broken: Partial<MigrationPeer>;
let server: ServerEnsure;
let migration: string;

async function startSide(
  host: string,
  virt_type = 'qemu',
  dir = mkdtempSync(join(tmpdir(), 'cumulet-move-')),
): Promise<Side> {
  writeFileSync(join(dir, 'disk.qcow2'), '');
  const bus = createMemoryBus();
  const driver = await driveAgent(bus, host);
  const fake = sides.find((side) => side.dir === dir)?.fake ?? fakeHypervisor();
  const peer: MigrationPeer = {
    examine: (id, xml) => to.agent.target.examine('h1', id, xml),
    prepare: (id, offer) => to.agent.target.prepare('h1', id, offer),
    finish: (id, cookie) => to.agent.target.finish('h1', id, cookie),
    open: (id, channel) => to.agent.target.open('h1', id, channel),
    close: () => undefined,
  };
  const config = parseConfig(ComputeConfig, JSON.stringify({ dir, virt_type }), 'test');
  const common = { host, bus, api: fakeAgentApi(), exec, log: silentLogger, clock: systemClock, config };
  const agent = createComputeAgent({
    ...common,
    connect: () => Promise.resolve(fake.hypervisor),
    neighbours: () => ({ ...peer, ...broken }),
  });
  await agent.start();
  const side = { dir, fake, agent, driver };
  sides.push(side);
  return side;
}

const at = ({ dir }: Side, power: ServerEnsure['power'] = 'running'): ServerEnsure => ({
  ...server,
  disk: { path: join(dir, 'disk.qcow2'), format: 'qcow2' },
  power,
});
const expectThere = (changes: object = {}): Promise<Reply> => {
  const body = { migration_id: migration, from: 'h1', server: at(to), shared_disk: false, ...changes };
  return to.driver.run('migration.expect', server.server_id, body, { generation: 1 });
};
const sendBody = (address: string | null = '127.0.0.1:1', more: object = {}) => {
  const of = { server_id: server.server_id, migration_id: migration, to: { host: 'h2', address } };
  return { ...of, shared_disk: false, auto_converge: true, bandwidth: 0, ...more };
};
const send = (...body: Parameters<typeof sendBody>): Promise<Reply> =>
  from.driver.run('migration.send', server.server_id, sendBody(...body), { generation: 1 });
const ask = (side: Side, kind: 'migration.abort' | 'migration.conclude'): Promise<Reply> =>
  side.driver.run(kind, server.server_id, { server_id: server.server_id, migration_id: migration }, { generation: 1 });
const state = ({ fake }: Side): string | undefined => fake.domains.get(server.server_id)?.state;
const states = () => [state(from), state(to)];

beforeEach(async () => {
  broken = {};
  sides.length = 0;
  from = await startSide('h1');
  to = await startSide('h2');
  migration = newId();
  server = {
    ...{ server_id: newId(), name: 'web', project_id: newId(), vcpus: 1, memory_mib: 128, interfaces: [] },
    ...{ disk: { path: '', format: 'qcow2' as const }, config_drive: null, power: 'running' as const, reboot: null },
    redefine: false,
  };
  await from.driver.run('server.ensure', server.server_id, at(from), { generation: 1 });
});
afterEach(async () => {
  for (const { agent, dir } of sides) {
    await agent.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});

test('the guest goes with its memory, runs there with the files of that host, and waits here to be removed', async () => {
  await expectThere();
  expect(await send()).toMatchObject({ outcome: 'done', observed: {} });
  expect(states()).toEqual(['paused', 'running']);
  expect(to.fake.received).toBe('memory');
  expect(to.fake.domains.get(server.server_id)?.live).toContain(`<source file='${to.dir}/disk.qcow2'/>`);
  expect(existsSync(join(from.dir, 'servers', server.server_id, 'migration'))).toBe(false);
  expect((await ask(to, 'migration.conclude')).observed).toEqual({ outcome: 'moved' });
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'moved' });
  // Told again, it is still so.
  expect((await send()).outcome).toBe('done');
  expect(to.fake.calls.filter((call) => call === 'receiveDomain')).toHaveLength(1);
});

test('a paused guest is paused there', async () => {
  await from.driver.run('server.ensure', server.server_id, at(from, 'paused'), { generation: 1 });
  await expectThere({ server: at(to, 'paused'), shared_disk: true });
  expect(await send('h', { shared_disk: true, bandwidth: 5 })).toMatchObject({ outcome: 'done' });
  expect(states()).toEqual(['paused', 'paused']);
});

test.each<[string, string, () => Promise<unknown> | void]>([
  ['nobody expects it', 'does not expect', () => undefined],
  ['another host is expected', 'does not expect', () => expectThere({ from: 'h3' })],
  [
    'libvirt does not receive it',
    'has not enough free memory',
    () => {
      to.fake.failNext('receiveDomain', libvirtError(ErrorCode.INTERNAL_ERROR, 'cannot allocate memory'));
      return expectThere();
    },
  ],
  [
    'libvirt does not send it',
    'refused it',
    () => {
      from.fake.failNext('sendDomain', libvirtError(ErrorCode.OPERATION_INVALID));
      return expectThere();
    },
  ],
  [
    'it breaks off on the way',
    'sending the server failed',
    () => {
      from.fake.onPerform = () => Promise.reject(libvirtError(ErrorCode.OPERATION_FAILED, 'broken pipe'));
      return expectThere();
    },
  ],
  [
    'the other side can not start it',
    'could not start the server',
    () => {
      to.fake.failNext('finish', libvirtError(ErrorCode.INTERNAL_ERROR));
      return expectThere();
    },
  ],
])('when %s it stays, and everybody knows', async (what, why, before) => {
  await before();
  expect(await send()).toMatchObject({ outcome: 'failed', fault: { message: expect.stringContaining(why) } });
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'stayed' });
  // Who never expected it can't say what another agent before may have done.
  const unsure = what === 'nobody expects it' ? { may_have_run: true } : {};
  expect((await ask(to, 'migration.conclude')).observed).toEqual({ outcome: 'refused', ...unsure });
  expect(states()).toEqual(['running', undefined]);
  // Whatever comes late finds it over.
  expect(await send()).toMatchObject({ outcome: 'failed', fault: { code: 'already_over' } });
});

test('a host without a way to others, and a guest that does not run, say so', async () => {
  expect((await send(null)).fault).toMatchObject({ code: 'no_way' });
  migration = newId();
  await from.driver.run('server.ensure', server.server_id, at(from, 'shutdown'), { generation: 1 });
  expect((await send()).fault).toMatchObject({ code: 'not_running' });
});

test('when the word of the other side is lost, only it knows, and what it says holds', async () => {
  const away = new CumuletError('unreachable', 'cut off');
  for (const started of [false, true]) {
    migration = newId();
    broken = {
      async finish(id, cookie) {
        if (started) await to.agent.target.finish('h1', id, cookie);
        throw away;
      },
    };
    await expectThere();
    expect(await send()).toMatchObject({ outcome: 'failed', fault: { code: 'outcome_unknown' } });
    expect(state(from)).toBe('paused');
    expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'unknown' });
    expect(await send()).toMatchObject({ fault: { code: 'outcome_unknown' } });
    expect((await ask(to, 'migration.conclude')).observed).toEqual({ outcome: started ? 'moved' : 'refused' });
    await expect(to.agent.target.finish('h1', migration, Buffer.alloc(0))).rejects.toThrow('does not expect');
    expect(states()).toEqual(['paused', started ? 'running' : undefined]);
    await from.driver.run('server.ensure', server.server_id, at(from), { generation: 1 });
  }
});

test('what an agent before them began is judged by what the guest does', async () => {
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'stayed' });
  migration = newId();
  await from.fake.hypervisor.suspendDomain(server.server_id);
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'unknown' });
  migration = newId();
  await from.fake.hypervisor.destroyDomain(server.server_id);
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'unknown' });
  expect((await ask(to, 'migration.abort')).observed).toEqual({ outcome: 'unknown' });
  expect((await ask(to, 'migration.conclude')).observed).toEqual({ outcome: 'refused', may_have_run: true });
  await to.driver.run('server.ensure', server.server_id, at(to), { generation: 1 });
  const there = to.fake.domains.get(server.server_id);
  expect((await ask(to, 'migration.conclude')).observed).toEqual({ outcome: 'moved' });
  Object.assign(there ?? {}, { state: 'paused', reason: 2 });
  expect(await ask(to, 'migration.conclude')).toMatchObject({ outcome: 'failed', fault: { retryable: true } });
});

/** Resolves when the guest is being sent, which ends when its job is ended or `go` is called. */
function sending(): { readonly begun: Promise<void>; go(): void } {
  let go: () => void = () => undefined;
  from.fake.onJob = () => 'running';
  const begun = new Promise<void>((resolve) => {
    from.fake.onPerform = async (domain) => {
      resolve();
      const gone = new Promise<void>((done) => (go = done));
      for (let over = false; !over && domain.job === 'running';)
        over = await Promise.race([
          gone.then(() => true),
          new Promise<boolean>((next) => setTimeout(() => next(false), 5)),
        ]);
    };
  });
  return { begun, go: () => go() };
}

test('an abort ends the sending, and the guest goes on', async () => {
  await expectThere();
  const { begun } = sending();
  // Who asked for it has gone on by then, so no answer comes.
  await from.driver.send('migration.send', server.server_id, sendBody(), { generation: 1 });
  await begun;
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'stayed' });
  expect(states()[0]).toBe('running');
  expect(from.fake.calls).toContain('abortJob');
});

test.each<[string, (way: PassThrough) => Promise<PassThrough>]>([
  ['ends', (way) => (setTimeout(() => way.destroy(), 50), Promise.resolve(way))],
  ['is not opened', () => Promise.reject(new CumuletError('unreachable', 'nobody listens'))],
])('when the way of the disks %s the sending ends, though the hypervisor sleeps', async (_what, open) => {
  await expectThere();
  broken = { open: () => open(new PassThrough()) };
  const { begun } = sending();
  const { onPerform } = from.fake;
  from.fake.onPerform = async (domain, memory) => {
    const disks = connect(memory.replace(/memory$/, 'disks'));
    await onPerform(domain, memory);
    disks.destroy();
  };
  // Asked in a bad moment it is asked again.
  from.fake.failNext('abortJob', libvirtError(ErrorCode.OPERATION_TIMEOUT));
  const sent = send();
  await begun;
  expect(await sent).toMatchObject({ outcome: 'failed', fault: { code: 'way_lost', retryable: false } });
  expect((await ask(from, 'migration.abort')).observed).toEqual({ outcome: 'stayed' });
  expect(states()[0]).toBe('running');
});

test('a guest that is forced is stopped until it is there, and tells meanwhile how far it has come', async () => {
  await expectThere();
  const work = sending();
  const sent = send();
  await work.begun;
  const of = { server_id: server.server_id, migration_id: migration };
  expect((await from.driver.run('migration.force', migration, of, { generation: 1 })).outcome).toBe('done');
  expect(state(from)).toBe('paused');
  await new Promise((next) => setTimeout(next, 1_300));
  work.go();
  expect(await sent).toMatchObject({ outcome: 'done' });
  expect(states()).toEqual(['paused', 'running']);
  const told = from.driver.replies.filter(({ outcome }) => outcome === 'progress');
  expect(told[0]?.observed).toMatchObject({ disk_processed_bytes: 1, disk_total_bytes: 2, memory_total_bytes: 0 });
});

test('one that was forced and breaks off goes on where it is', async () => {
  await expectThere();
  const of = { server_id: server.server_id, migration_id: migration };
  await from.driver.run('migration.force', migration, of, { generation: 1 });
  from.fake.onPerform = () => Promise.reject(libvirtError(ErrorCode.OPERATION_FAILED));
  expect((await send()).outcome).toBe('failed');
  expect(from.fake.calls).toEqual(expect.arrayContaining(['suspendDomain', 'resumeDomain']));
  expect(states()[0]).toBe('running');
});

test('a guest that is stopped after it was not sent is nobody else’s guess', async () => {
  await expectThere();
  from.fake.onPerform = async (domain) => {
    domain.state = 'paused';
    throw libvirtError(ErrorCode.OPERATION_FAILED);
  };
  expect((await send()).fault).toMatchObject({ code: 'outcome_unknown' });
});

test('another processor, another hypervisor and another domain are refused in words', async () => {
  await expectThere();
  broken = { prepare: (id, { cookie }) => to.agent.target.prepare('h1', id, { xml: '<domain/>', cookie }) };
  expect((await send()).fault?.message).toContain('what the other host offers is refused');
  broken = {};
  await to.agent.stop();
  to = await startSide('h2', 'kvm');
  migration = newId();
  await expectThere();
  expect((await send()).fault?.message).toContain('runs guests in another way');
  to.fake.cpu = 'incompatible';
  const xml = "<domain id='1' type='kvm'><cpu mode='custom'><model>Other</model></cpu></domain>";
  await expect(to.agent.target.examine('h1', migration, xml)).rejects.toThrow('the processor of the host lacks');
  to.fake.cpu = 'identical';
  expect(await to.agent.target.examine('h1', migration, xml)).toBe(xml);
});

test('removing a server ends what was coming of it', async () => {
  await expectThere();
  await to.agent.target.prepare('h1', migration, {
    xml: (await from.fake.hypervisor.domainXml(server.server_id)).replaceAll(`'${from.dir}`, `'${to.dir}`),
    cookie: Buffer.alloc(0),
  });
  expect(states()).toEqual(['running', 'paused']);
  await to.driver.run('server.remove', server.server_id, { server_id: server.server_id }, { generation: 2 });
  expect(states()).toEqual(['running', undefined]);
  await expect(to.agent.target.open('h1', migration, 'memory')).rejects.toThrow('does not expect');
});
