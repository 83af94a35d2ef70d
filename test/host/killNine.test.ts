// `kill -9` of the cloud at random moments of resizes, and of 50 creates and deletes, on real parts: nothing is stuck and nothing is left.
// KILL_SEED=<number> repeats a run's choices; what the machine does between them is its own.
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { idleContent, installCloud, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import type { CloudClient, Content, ServerBody } from '../support/realCloud';

const SERVERS = 50;
const USERS = 4;
/** Of the servers, how many are deleted while others are made. */
const EARLY = 30;
/** Kills while servers are made and while the rest is deleted, at most: a slow machine also gets to an end. */
const MAKE_KILLS = 12;
const DELETE_KILLS = 8;
/** Servers that are resized, and kills meanwhile, at most. */
const RESIZED = 4;
const RESIZE_KILLS = 8;

jest.setTimeout(420_000);
const seed = Number(process.env['KILL_SEED'] ?? randomInt(2 ** 31));
let machine: OwnMachine;
let cloud: MachineCloud;
let client: CloudClient;
let content: Content;

/** Numbers from 0 to 1 that the seed decides (mulberry32). */
function chances(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  process.stderr.write(`KILL_SEED=${seed}\n`);
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  // Room for all: guests that do nothing take no time.
  cloud = installCloud(machine, { controller: { ratios: { vcpus: 64 } }, compute: { shutdown_seconds: 1 } });
  client = await cloud.start();
  content = await idleContent(client, machine.directory);
});
afterAll(() => machine?.remove());

interface Listed extends ServerBody {
  readonly name: string;
  readonly flavor: { readonly original_name: string };
  readonly 'OS-EXT-STS:task_state': string | null;
}

/** Kills the cloud again and again while `work` goes on, sometimes while it starts; leaves it running. `work` can ask how often. */
async function underKills(
  most: number,
  chance: () => number,
  work: (killed: () => number) => Promise<void>,
): Promise<number> {
  const state = { working: true };
  let kills = 0;
  const worked = work(() => kills).finally(() => (state.working = false));
  worked.catch(() => undefined);
  while (state.working && kills < most) {
    await pause(4_000 * chance());
    await cloud.kill();
    kills++;
    cloud.launch();
    if (chance() < 0.8) await cloud.ready();
  }
  await cloud.ready();
  await worked;
  return kills;
}

/** A request that is repeated until the cloud answers it. `again`: an earlier one may have been carried out. */
async function insist<T>(tries: (again: boolean) => Promise<T>): Promise<T> {
  for (let again = false; ; again = true) {
    try {
      return await tries(again);
    } catch (error) {
      // What `fetch` throws when there is no (whole) answer; it comes from another realm than the test's TypeError.
      if ((error as Error).name !== 'TypeError') throw error;
      await pause(100);
    }
  }
}

const list = async (): Promise<Listed[]> =>
  (await insist(() => client.call<{ servers: Listed[] }>('GET', '/compute/v2.1/servers/detail'))).servers;

/** Makes a server, once: after a request without an answer it looks for it by name. */
function create(name: string): Promise<string> {
  return insist(async (again) => {
    const made = again ? (await list()).find((server) => server.name === name) : undefined;
    if (made) return made.id;
    const body = { name, imageRef: content.image, flavorRef: content.flavor, networks: [{ uuid: content.network }] };
    return (await client.call<{ server: ServerBody }>('POST', '/compute/v2.1/servers', { server: body })).server.id;
  });
}

function remove(id: string): Promise<void> {
  return insist(async () => {
    const answer = await client.request('DELETE', `/compute/v2.1/servers/${id}`);
    const text = await answer.text();
    if (![204, 404].includes(answer.status)) throw new Error(`DELETE ${id}: ${answer.status} ${text}`);
  });
}

/** Waits until no server is on its way and `gone` are gone. @throws Error that names those that are stuck */
async function settled(gone: ReadonlySet<string> = new Set()): Promise<Listed[]> {
  for (const end = Date.now() + 90_000; ; await pause(500)) {
    const servers = await list();
    const busy = servers.filter((server) => server['OS-EXT-STS:task_state'] !== null || gone.has(server.id));
    if (busy.length === 0) return servers;
    if (Date.now() > end)
      throw new Error(
        `stuck: ${busy.map((one) => `${one.name} ${one.status} ${one['OS-EXT-STS:task_state']}`).join()}`,
      );
  }
}

/** What the audit says; the network agent removes what is gone from the database within seconds. */
async function findings(): Promise<string[]> {
  for (const end = Date.now() + 30_000; ; await pause(500)) {
    const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
    if (findings.length === 0 || Date.now() > end) return findings.map(({ message }) => message);
  }
}

/** An action, once: after a request without an answer a conflict says that it was heard. */
function act(id: string, body: object): Promise<void> {
  return insist(async (again) => {
    const answer = await client.request('POST', `/compute/v2.1/servers/${id}/action`, {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    const text = await answer.text();
    if (answer.status >= 300 && !(again && [400, 409].includes(answer.status)))
      throw new Error(`${JSON.stringify(body)}: ${answer.status} ${text}`);
  });
}

test('servers that are resized by a cloud that is killed all the time get what was said at the end', async () => {
  await client.call('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'more', id: 'more', vcpus: 2, ram: 48, disk: 2 },
  });
  const names = Array.from({ length: RESIZED }, (_none, index) => `r${index}`);
  const ids = await Promise.all(names.map(create));
  await settled();
  const kills = await underKills(RESIZE_KILLS, chances(seed + 3), async (killed) => {
    for (;;) {
      for (const id of ids) await act(id, { resize: { flavorRef: 'more' } });
      expect((await settled()).map(({ status }) => status)).toEqual(names.map(() => 'VERIFY_RESIZE'));
      if (killed() > 1) break;
      // Faster than its enemy: once more.
      for (const id of ids) await act(id, { revertResize: null });
      await settled();
    }
    for (const [index, id] of ids.entries())
      await act(id, index % 2 === 0 ? { confirmResize: null } : { revertResize: null });
    await settled();
  });
  const left = (await list()).sort((one, other) => (one.name < other.name ? -1 : 1));
  expect(left.map(({ status, flavor }) => [status, flavor.original_name])).toEqual(
    names.map((_name, index) => ['ACTIVE', index % 2 === 0 ? 'more' : 'idle']),
  );
  expect(await findings()).toEqual([]);
  for (const [index, id] of ids.entries()) {
    const cpus = await machine.run('virsh', '-c', 'qemu:///system', 'vcpucount', '--live', '--current', id);
    expect(cpus.trim()).toBe(index % 2 === 0 ? '2' : '1');
    const files = readdirSync(join(cloud.data, 'host/disks', id)).sort();
    expect(files.map((name) => name.replace(/\d+/, 'N'))).toEqual(['base-rN', 'disk-rN.qcow2']);
  }
  for (const id of ids) await remove(id);
  await settled(new Set(ids));
  expect(await findings()).toEqual([]);
  process.stderr.write(`killed ${kills} times while servers were resized\n`);
  expect(kills).toBeGreaterThan(1);
});

test('50 servers are made and deleted by a cloud that is killed all the time', async () => {
  const chance = chances(seed);
  const ids: string[] = [];
  const deleted = new Set<string>();

  const makeKills = await underKills(MAKE_KILLS, chances(seed + 1), async () => {
    const names = Array.from({ length: SERVERS }, (_none, index) => `s${index}`);
    const user = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        ids.push(await create(name));
        await pause(1_500 * chance());
        if (deleted.size >= EARLY || chance() < 0.25) continue;
        const [id = ''] = ids.filter((one) => !deleted.has(one)).slice(Math.floor(-2 * chance()));
        deleted.add(id);
        await remove(id);
      }
    };
    await Promise.all(Array.from({ length: USERS }, user));
  });

  const left = await settled(deleted);
  expect(left.map(({ id }) => id).sort()).toEqual(ids.filter((id) => !deleted.has(id)).sort());
  for (const server of left) {
    if (server.status === 'ERROR') expect(server.fault?.message).toMatch(/\w{3}/);
    else expect([server.name, server.status]).toEqual([server.name, 'ACTIVE']);
  }
  // Everything that should be there is there, and nothing else.
  expect(await findings()).toEqual([]);
  const running = await machine.run('virsh', '-c', 'qemu:///system', 'list', '--name', '--state-running');
  const active = left.filter(({ status }) => status === 'ACTIVE').map(({ id }) => `cumulet-${id}`);
  expect(running.trim().split('\n').sort()).toEqual(active.sort());

  const deleteKills = await underKills(DELETE_KILLS, chances(seed + 2), async () => {
    for (const { id } of left) {
      await remove(id);
      await pause(1_000 * chance());
    }
  });
  expect(await settled(new Set(ids))).toEqual([]);
  await client.call('DELETE', `/network/v2.0/networks/${content.network}`);
  await client.call('DELETE', `/image/v2/images/${content.image}`);
  expect(await findings()).toEqual([]);
  expect(await cloud.orphans()).toEqual(['0 orphans']);
  process.stderr.write(
    `killed ${makeKills} + ${deleteKills} times, ${left.length} left, of which ${active.length} ACTIVE\n`,
  );
  expect(Math.min(makeKills, deleteKills)).toBeGreaterThan(1);
});
