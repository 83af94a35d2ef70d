// `kill -9` of the cloud at random moments of 50 creates and deletes on real parts: nothing is stuck and nothing is left.
// KILL_SEED=<number> repeats a run's choices; what the machine does between them is its own.
import { randomInt } from 'node:crypto';
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

jest.setTimeout(420_000);
const seed = Number(process.env['KILL_SEED'] ?? randomInt(2 ** 31));
let machine: OwnMachine;
let cloud: MachineCloud;

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
  cloud = installCloud(machine, { controller: { ratios: { vcpus: 64 } } });
}, 60_000);
afterAll(() => machine?.remove());

interface Listed extends ServerBody {
  readonly name: string;
  readonly 'OS-EXT-STS:task_state': string | null;
}

/** Kills the cloud again and again while `work` goes on, sometimes while it starts; leaves it running. */
async function underKills(most: number, chance: () => number, work: () => Promise<void>): Promise<number> {
  const state = { working: true };
  const worked = work().finally(() => (state.working = false));
  worked.catch(() => undefined);
  let kills = 0;
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

const list = async (client: CloudClient): Promise<Listed[]> =>
  (await insist(() => client.call<{ servers: Listed[] }>('GET', '/compute/v2.1/servers/detail'))).servers;

/** Makes a server, once: after a request without an answer it looks for it by name. */
function create(client: CloudClient, content: Content, name: string): Promise<string> {
  return insist(async (again) => {
    const made = again ? (await list(client)).find((server) => server.name === name) : undefined;
    if (made) return made.id;
    const body = { name, imageRef: content.image, flavorRef: content.flavor, networks: [{ uuid: content.network }] };
    return (await client.call<{ server: ServerBody }>('POST', '/compute/v2.1/servers', { server: body })).server.id;
  });
}

function remove(client: CloudClient, id: string): Promise<void> {
  return insist(async () => {
    const answer = await client.request('DELETE', `/compute/v2.1/servers/${id}`);
    const text = await answer.text();
    if (![204, 404].includes(answer.status)) throw new Error(`DELETE ${id}: ${answer.status} ${text}`);
  });
}

/** Waits until no server is on its way and `gone` are gone. @throws Error that names those that are stuck */
async function settled(client: CloudClient, gone: ReadonlySet<string>): Promise<Listed[]> {
  for (const end = Date.now() + 90_000; ; await pause(500)) {
    const servers = await list(client);
    const busy = servers.filter((server) => server['OS-EXT-STS:task_state'] !== null || gone.has(server.id));
    if (busy.length === 0) return servers;
    if (Date.now() > end)
      throw new Error(
        `stuck: ${busy.map((one) => `${one.name} ${one.status} ${one['OS-EXT-STS:task_state']}`).join()}`,
      );
  }
}

/** What the audit says; the network agent removes what is gone from the database within seconds. */
async function findings(client: CloudClient): Promise<string[]> {
  for (const end = Date.now() + 30_000; ; await pause(500)) {
    const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
    if (findings.length === 0 || Date.now() > end) return findings.map(({ message }) => message);
  }
}

test('50 servers are made and deleted by a cloud that is killed all the time', async () => {
  const chance = chances(seed);
  const client = await cloud.start();
  const content = await idleContent(client, machine.directory);
  const ids: string[] = [];
  const deleted = new Set<string>();

  const makeKills = await underKills(MAKE_KILLS, chances(seed + 1), async () => {
    const names = Array.from({ length: SERVERS }, (_none, index) => `s${index}`);
    const user = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        ids.push(await create(client, content, name));
        await pause(1_500 * chance());
        if (deleted.size >= EARLY || chance() < 0.25) continue;
        const [id = ''] = ids.filter((one) => !deleted.has(one)).slice(Math.floor(-2 * chance()));
        deleted.add(id);
        await remove(client, id);
      }
    };
    await Promise.all(Array.from({ length: USERS }, user));
  });

  const left = await settled(client, deleted);
  expect(left.map(({ id }) => id).sort()).toEqual(ids.filter((id) => !deleted.has(id)).sort());
  for (const server of left) {
    if (server.status === 'ERROR') expect(server.fault?.message).toMatch(/\w{3}/);
    else expect([server.name, server.status]).toEqual([server.name, 'ACTIVE']);
  }
  // Everything that should be there is there, and nothing else.
  expect(await findings(client)).toEqual([]);
  const running = await machine.run('virsh', '-c', 'qemu:///system', 'list', '--name', '--state-running');
  const active = left.filter(({ status }) => status === 'ACTIVE').map(({ id }) => `cumulet-${id}`);
  expect(running.trim().split('\n').sort()).toEqual(active.sort());

  const deleteKills = await underKills(DELETE_KILLS, chances(seed + 2), async () => {
    for (const { id } of left) {
      await remove(client, id);
      await pause(1_000 * chance());
    }
  });
  expect(await settled(client, new Set(ids))).toEqual([]);
  await client.call('DELETE', `/network/v2.0/networks/${content.network}`);
  await client.call('DELETE', `/image/v2/images/${content.image}`);
  expect(await findings(client)).toEqual([]);
  expect(await cloud.orphans()).toEqual(['0 orphans']);
  process.stderr.write(
    `killed ${makeKills} + ${deleteKills} times, ${left.length} left, of which ${active.length} ACTIVE\n`,
  );
  expect(Math.min(makeKills, deleteKills)).toBeGreaterThan(1);
});
