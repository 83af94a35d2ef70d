// What the cloud stands on fails for a while: the host's disk is full, libvirtd is away. It is said in words, nothing is lost, all goes on.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { idleContent, installCloud, type MachineCloud } from '../support/machineCloud';
import { startOwnMachine, type OwnMachine } from '../support/ownMachine';
import { createServer, uploadImage, type CloudClient, type Content, type ServerBody } from '../support/realCloud';

let machine: OwnMachine;
let cloud: MachineCloud;
let client: CloudClient;
let content: Content;

beforeAll(async () => {
  machine = await startOwnMachine();
  await machine.startLibvirtd();
  cloud = installCloud(machine, {
    storage: { min_free_mib: 0 },
    compute: { shutdown_seconds: 1 },
    controller: { ratios: { disk: 16 } },
  });
  await mountSmallDisk(join(cloud.data, 'host'));
  client = await cloud.start();
  content = await idleContent(client, machine.directory);
});
afterAll(() => machine?.remove());

/** A disk of the host's own that can be filled: a file where the machine has loop devices, memory where it has none, as in containers. */
async function mountSmallDisk(directory: string): Promise<void> {
  const disk = join(machine.directory, 'disk');
  await machine.run('mkdir', directory);
  await machine.run('truncate', '--size', '2G', disk);
  await machine.run('mkfs.ext4', '-q', '-m', '0', disk);
  await machine
    .run('mount', '-o', 'loop', disk, directory)
    .catch(() => machine.run('mount', '-t', 'tmpfs', '-o', 'size=1200M', 'tmpfs', directory));
  await machine.run('chmod', '711', directory);
}

async function soon<T>(seconds: number, work: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + seconds * 1000; ; await new Promise((next) => setTimeout(next, 200))) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
const server = async (id: string): Promise<string> => {
  const answer = await client.request('GET', `/compute/v2.1/servers/${id}`);
  const text = await answer.text();
  return answer.status === 404 ? 'gone' : (JSON.parse(text) as { server: ServerBody }).server.status;
};
const becomes = (id: string, status: string): Promise<void> =>
  soon(90, async () => expect(await server(id)).toBe(status));
/** What the owner reads of the steps so far. */
const timeline = async (id: string): Promise<string> =>
  JSON.stringify(await client.call('GET', `/cumulet/v1/servers/${id}/timeline`));
const remove = (id: string): Promise<unknown> => client.call('DELETE', `/compute/v2.1/servers/${id}`);
const clean = (): Promise<void> =>
  soon(30, async () => {
    const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
    expect(findings.map(({ message }) => message)).toEqual([]);
  });

/** Takes all but a few MiB of the host's disk. */
const fill = async (): Promise<void> => {
  const available = Number(
    (await machine.run('df', '--output=avail', '-B', '1M', join(cloud.data, 'host'))).split('\n')[1],
  );
  await machine.run('fallocate', '-l', `${available - 6}M`, join(cloud.data, 'host', 'filling'));
};

test('a server whose image does not fit on its host says so and boots when there is room', async () => {
  const before = await createServer(client, content, 'before');
  await becomes(before, 'ACTIVE');
  await fill();
  const file = join(machine.directory, 'big.raw');
  writeFileSync(file, randomBytes(12 << 20));
  const image = await uploadImage(client, file, 'raw', 'big');
  const big = await createServer(client, { ...content, image }, 'big');
  const unwanted = await createServer(client, { ...content, image }, 'unwanted');
  await soon(30, async () => expect(await timeline(big)).toMatch(/there is not enough space on the host for [^"]*/));
  expect(await timeline(big)).not.toContain(cloud.data);
  expect(await server(big)).toBe('BUILD');
  // What fits, and what makes room, works meanwhile.
  const small = await createServer(client, content, 'small');
  await becomes(small, 'ACTIVE');
  await remove(unwanted);
  await becomes(unwanted, 'gone');
  await machine.run('rm', join(cloud.data, 'host', 'filling'));
  await becomes(big, 'ACTIVE');
  for (const id of [before, big, small]) {
    expect(await server(id)).toBe('ACTIVE');
    await remove(id);
    await becomes(id, 'gone');
  }
  await clean();
});

test('what is asked for while libvirtd is away is done when it is back', async () => {
  const [rebooted, deleted, untouched] = [
    await createServer(client, content, 'rebooted'),
    await createServer(client, content, 'deleted'),
    await createServer(client, content, 'untouched'),
  ];
  for (const id of [rebooted, deleted, untouched]) await becomes(id, 'ACTIVE');
  const pids = async (): Promise<string> => machine.run('pgrep', '-f', `guest=cumulet-${untouched}`);
  const pid = await pids();
  await machine.killLibvirtd();
  const created = await createServer(client, content, 'created');
  await client.call('POST', `/compute/v2.1/servers/${rebooted}/action`, { reboot: { type: 'HARD' } });
  await remove(deleted);
  await soon(30, async () => expect(await timeline(created)).toContain('hypervisor'));
  await soon(30, async () => expect(await timeline(rebooted)).toContain('hypervisor'));
  expect([await server(created), await server(untouched)]).toEqual(['BUILD', 'ACTIVE']);
  const { findings } = await client.call<{ findings: { message: string }[] }>('GET', '/cumulet/v1/audit');
  expect(findings.map(({ message }) => message).join()).toContain('could not say what it has');

  await machine.startLibvirtd();
  await becomes(created, 'ACTIVE');
  await becomes(rebooted, 'ACTIVE');
  await becomes(deleted, 'gone');
  expect(await pids()).toBe(pid);
  await clean();
  for (const id of [created, rebooted, untouched]) {
    await remove(id);
    await becomes(id, 'gone');
  }
  await clean();
  expect(await cloud.orphans()).toEqual(['0 orphans']);
});
