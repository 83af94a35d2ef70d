// Hosts that have one directory of disks, in a lab: a server takes none along when it moves, and has its data when its host has died.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { labCommand } from '../support/labCommand';
import { labStory, soon, type LabStory } from '../support/labStory';
import { commandOf, processIds } from '../support/processTree';
import { until as untilStatus, type CloudClient } from '../support/realCloud';
import { createTalk, LOST_AT_MOST } from '../support/talk';

jest.setTimeout(240_000);
/** Seconds after which a host that a server has left gets nothing for it any more; a busy machine may take longer to say so. */
const QUIET_AFTER = process.env['CUMULET_ALONE'] === undefined ? 10 : 1;

const lab = labCommand();
const talk = createTalk();
let client: CloudClient;
let story: LabStory;
let address: string;

const disks = (): string => join(lab.directory, 'disks/disks', story.id('one'));
/** Revisions of the server's disk. */
const revisions = (): string[] => readdirSync(disks()).filter((name) => name.startsWith('disk'));
const host = async (): Promise<string> => (await story.where('one')).split(' ')[1] ?? '';
/** When the steps of the server's last task began, in seconds since the epoch. */
async function began(step: string): Promise<number> {
  interface Timeline {
    readonly tasks: readonly { readonly steps: readonly { readonly step: string; readonly started_at: string }[] }[];
  }
  const { tasks } = await client.call<Timeline>('GET', `/cumulet/v1/servers/${story.id('one')}/timeline`);
  const found = tasks.at(-1)?.steps.find((one) => one.step === step);
  return Date.parse(found?.started_at ?? '') / 1000;
}

/** Records when packets for the server came to a host by VXLAN, in seconds since the epoch. Resolves when it listens. */
async function arrivals(at: string): Promise<() => number[]> {
  const keeper = processIds().find((pid) => {
    const words = commandOf(pid);
    return words[1]?.endsWith('keeper.js') === true && words.includes(lab.directory);
  });
  const filter = `udp port 4789 and dst host 10.50.0.${at.slice(-1)}`;
  const argv = ['--target', String(keeper), '--net', 'tcpdump', '-tt', '-lnn', '-i', 'hosts', filter];
  const child = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('tcpdump ended')));
    child.stderr.on('data', (chunk: Buffer) => chunk.toString().includes('listening on') && resolve());
  });
  return () => {
    child.kill('SIGKILL');
    // Each packet is two lines: when and between which hosts, then what is inside.
    const packets = text.split(/\n(?=\d+\.\d+ )/);
    return packets.filter((one) => one.includes(` > ${story.address('one')}`)).map((one) => Number(one.split(' ')[0]));
  };
}

async function migrate(to: string): Promise<{ missed: number; late: number; before: number }> {
  const from = await host();
  const heard = await arrivals(from);
  const connection = await talk.connect(address);
  const lost = talk.ping(address);
  await pause(1000);
  await lab.cumulet('server', 'migrate', '--live-migration', '--host', to, '--wait', 'one');
  await pause(2000);
  expect(await story.where('one')).toBe(`ACTIVE ${to}`);
  expect(await connection.ask()).toBe('200');
  const [missed, landed] = [await lost(), await began('land')];
  const all = heard();
  return { missed, before: all.length, late: all.length === 0 ? 0 : Math.max(0, (all.at(-1) ?? 0) - landed) };
}

beforeAll(async () => {
  await lab.must('up', '--shared-disks');
  client = await lab.client();
  story = labStory(lab, client);
  await story.boot('one', 'host-1');
  address = await story.open('one');
  await soon(() => story.ssh('echo kept > /root/data; sync'));
}, 240_000);
afterAll(async () => {
  talk.end();
  await lab.must('down');
});

test('a server that runs goes round all hosts with the disk that it has, talked to all the while', async () => {
  let heard = 0;
  for (const to of ['host-2', 'host-3', 'host-1']) {
    const { missed, late, before } = await migrate(to);
    process.stderr.write(
      `to ${to} on shared disks: ${missed} pings missed; the old host got ${before} packets for it, the last ${late.toFixed(2)} s after it had gone\n`,
    );
    expect(missed).toBeLessThanOrEqual(LOST_AT_MOST);
    expect(late).toBeLessThan(QUIET_AFTER);
    heard += before;
  }
  // From at least two of the three hosts it was reached by VXLAN.
  expect(heard).toBeGreaterThan(10);
  expect(revisions()).toEqual(['disk-r1.qcow2']);
  expect(await story.ssh('cat /root/data; echo more >> /root/data; sync')).toBe('kept\n');
  const { migrations } = await client.call<{ migrations: { disk_total_bytes: number; status: string }[] }>(
    'GET',
    '/compute/v2.1/os-migrations?migration_type=live-migration',
  );
  expect(migrations.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  expect(await story.wrong()).toEqual([]);
});

test('copying disks that both hosts have is refused', async () => {
  const body = { 'os-migrateLive': { host: null, block_migration: true } };
  await client.call('POST', `/compute/v2.1/servers/${story.id('one')}/action`, body);
  await untilStatus(client, story.id('one'), 'ACTIVE', 200);
  expect(await lab.cumulet('server', 'why', 'one')).toContain('so that none can be copied');
});

test('a migrated server has no second disk and comes back with what it wrote', async () => {
  const before = await host();
  await lab.cumulet('server', 'migrate', '--wait', 'one');
  expect(await host()).not.toBe(before);
  expect(revisions()).toEqual(['disk-r1.qcow2']);
  await soon(() => story.ssh('echo elsewhere >> /root/data; sync'));
  await lab.cumulet('server', 'migration', 'revert', '--wait', 'one');
  expect(await story.where('one')).toBe(`ACTIVE ${before}`);
  expect(await soon(() => story.ssh('cat /root/data'))).toBe('kept\nmore\nelsewhere\n');
  expect(await story.wrong()).toEqual([]);
});

test('a host whose directory is not the one of the others gets no server, and the server runs on', async () => {
  const before = await host();
  const card = join(lab.directory, 'disks/hosts', before);
  const left = readFileSync(card, 'utf8');
  // As where only the mark is the same.
  rmSync(card);
  await client.call('POST', `/compute/v2.1/servers/${story.id('one')}/action`, {
    'os-migrateLive': { host: null, block_migration: 'auto' },
  });
  await untilStatus(client, story.id('one'), 'ACTIVE', 200);
  writeFileSync(card, left);
  expect(await story.where('one')).toBe(`ACTIVE ${before}`);
  expect(await lab.cumulet('server', 'why', 'one')).toContain(`the disks of ${before} are not seen here`);
  expect(await story.ssh('cat /root/data')).toContain('kept');
});

test('when its host has died a server has its data on another one, also when the host is back', async () => {
  const dead = await host();
  await lab.must('off', dead);
  await soon(() => lab.cumulet('server', 'evacuate', 'one'));
  await untilStatus(client, story.id('one'), 'ACTIVE', 200);
  expect(await host()).not.toBe(dead);
  expect(await soon(() => story.ssh('cat /root/data'))).toBe('kept\nmore\nelsewhere\n');
  await lab.must('up');
  await soon(async () => expect(await story.wrong()).toEqual([]));
  expect(revisions()).toEqual(['disk-r1.qcow2']);
  await story.ssh('echo on >> /root/data; sync');
});

test('a server that is deleted leaves no disk', async () => {
  await lab.cumulet('server', 'delete', '--wait', 'one');
  expect(existsSync(disks())).toBe(false);
  expect(await story.wrong()).toEqual([]);
});
