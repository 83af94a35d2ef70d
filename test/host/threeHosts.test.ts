// The lab of three hosts as a person uses it: servers on all of them, moved, drained, evacuated; and whatever is killed in it, nothing of it stays.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from '../support/checkout';
import { labCommand } from '../support/labCommand';
import { labStory, soon, type LabStory } from '../support/labStory';
import { commandOf, processIds } from '../support/processTree';
import { until as untilStatus, type CloudClient } from '../support/realCloud';
import { createTalk, LOST_AT_MOST } from '../support/talk';

jest.setTimeout(240_000);
const lab = labCommand();
const talk = createTalk();
let client: CloudClient;
let story: LabStory;
let address: string;

const holders = (): number[] =>
  processIds().filter((pid) => commandOf(pid).some((word) => word.includes(lab.directory)));
/** Whether server-1 reaches a server. */
const reaches = (name: string): Promise<string> => story.ssh(`ping -c 2 -W 2 ${story.address(name)}`);
const expectClean = async (): Promise<void> => expect(await story.wrong()).toEqual([]);

beforeAll(async () => {
  expect(await lab.must('up')).toMatch(/The lab is up: http:\/\/198\.[\d.]+:5000\/v3/);
  client = await lab.client();
  story = labStory(lab, client);
}, 240_000);
afterAll(async () => {
  talk.end();
  await lab.must('down');
});

test('servers on all three hosts reach each other', async () => {
  for (const n of [1, 2, 3]) {
    await story.boot(`server-${n}`, `host-${n}`);
    expect(await story.where(`server-${n}`)).toBe(`ACTIVE host-${n}`);
  }
  address = await story.open('server-1');
  await soon(() => story.ssh('true'));
  for (const name of ['server-2', 'server-3']) await soon(() => reaches(name));
});

test('up starts nothing twice, and status shows what there is', async () => {
  const before = await lab.must('status');
  await lab.must('up');
  expect(await lab.must('status')).toBe(before);
  for (const n of [1, 2, 3]) {
    expect(before).toMatch(new RegExp(`^host +host-${n} +on`, 'm'));
    expect(before).toMatch(new RegExp(`^server +server-${n} +ACTIVE +host-${n} `, 'm'));
    expect(before).toMatch(new RegExp(`^process +compute-agent +runs +host-${n} +pid \\d+$`, 'm'));
  }
  for (const [, pid] of before.matchAll(/pid (\d+)$/gm)) expect(existsSync(`/proc/${pid}`)).toBe(true);
});

test('a server is talked to while it migrates', async () => {
  const connection = await talk.connect(address);
  const lost = talk.ping(address);
  await lab.cumulet('server', 'migrate', '--live-migration', '--host', 'host-2', '--wait', 'server-1');
  await pause(1000);
  const missed = await lost();
  process.stderr.write(`${missed} pings missed between three hosts\n`);
  expect(await story.where('server-1')).toBe('ACTIVE host-2');
  expect(missed).toBeLessThanOrEqual(LOST_AT_MOST);
  expect(await connection.ask()).toBe('200');
});

test('a host is drained, told one by one, while somebody talks to what is on it', async () => {
  const connection = await talk.connect(address);
  const told = await lab.cumulet('host', 'drain', '--reason', 'new memory', 'host-2');
  expect(told).toMatch(/server-\d leaves host-2 \(1 of 2\)/);
  expect(told).toMatch(/server-\d leaves host-2 \(2 of 2\)/);
  for (const name of ['server-1', 'server-2']) expect(await story.where(name)).toMatch(/^ACTIVE host-[13]$/);
  expect(await connection.ask()).toBe('200');
  expect((await lab.must('status')).match(/^server .* host-2 /gm)).toBeNull();
  await reaches('server-2');
  await expectClean();
  await lab.cumulet('host', 'undrain', 'host-2');
});

test('when a host loses its power its servers go on elsewhere once it is known to be off, and it comes back empty', async () => {
  const dead = (await story.where('server-3')).slice('ACTIVE '.length);
  await lab.must('off', dead);
  const lost = [];
  for (const name of ['server-1', 'server-2', 'server-3'])
    if ((await story.where(name)).endsWith(dead)) lost.push(name);
  expect(lost).toContain('server-3');
  for (const name of lost) {
    // Refused while the host is not yet missed.
    await soon(() => lab.cumulet('server', 'evacuate', name));
    await untilStatus(client, story.id(name), 'ACTIVE', 200);
    expect(await story.where(name)).not.toContain(dead);
  }
  await soon(() => reaches('server-3'));
  expect(await lab.must('status')).toMatch(new RegExp(`^host +${dead} +off`, 'm'));
  await lab.must('up');
  await soon(expectClean);
  expect((await lab.must('status')).match(new RegExp(`^server .* ${dead} `, 'gm'))).toBeNull();
});

test('the fencing command turns off a host that still runs though its agents do not', async () => {
  const alive = (await story.where('server-1')).slice('ACTIVE '.length);
  const agents = (await lab.must('status')).matchAll(new RegExp(`^process .* ${alive} +pid (\\d+)$`, 'gm'));
  for (const [, pid] of agents) process.kill(Number(pid), 'SIGKILL');
  await soon(() => lab.cumulet('server', 'evacuate', 'server-1'));
  await untilStatus(client, story.id('server-1'), 'ACTIVE', 200);
  expect(await lab.must('status')).toMatch(new RegExp(`^host +${alive} +off`, 'm'));
  await soon(() => story.ssh('true'));
  await lab.must('up');
  await soon(expectClean);
});

test('what is killed is started again by up', async () => {
  const mariadb = processIds().find((pid) => {
    const words = commandOf(pid);
    return words[0] === 'mariadbd' && words.some((word) => word.includes(lab.directory));
  });
  const controller = /^process +controller-1 .* pid (\d+)$/m.exec(await lab.must('status'))?.[1];
  for (const pid of [mariadb, controller]) process.kill(Number(pid), 'SIGKILL');
  await pause(200);
  const broken = await lab.must('status');
  expect(broken).toMatch(/^process +mariadb +ended/m);
  expect(broken).toMatch(/^process +controller-1 +ended/m);
  await lab.must('up');
  expect(await lab.must('status')).not.toContain('ended');
  await soon(expectClean);
});

test('what can not be done is told in words', async () => {
  const said = async (...args: string[]): Promise<unknown[]> => {
    const { exit, err } = await lab.run(...args);
    return [exit, err.trim()];
  };
  expect(await said('off', 'host-9')).toEqual([1, 'there is no host host-9: there are host-1, host-2, host-3']);
  expect(await said('fly')).toEqual([1, expect.stringMatching(/^usage: npm run lab COMMAND/)]);
});

describe('down leaves nothing', () => {
  afterEach(() => {
    expect([holders(), existsSync(lab.directory), existsSync(`/sys/class/net/${lab.link}`)]).toEqual([
      [],
      false,
      false,
    ]);
  });

  test('of a lab with servers whose keeper was killed', async () => {
    const keeper = holders().filter((pid) => commandOf(pid)[1]?.endsWith('keeper.js'));
    expect(keeper).toHaveLength(1);
    process.kill(keeper[0] ?? 0, 'SIGKILL');
    await lab.must('down');
  });

  test('of half a lab', async () => {
    const env = { ...process.env, CUMULET_LAB: lab.link.replace('lab-', ''), TMPDIR: '/tmp' };
    const half = spawn(process.execPath, [join(root, 'test/dist/threeHosts/main.js'), 'up'], { env, stdio: 'ignore' });
    while (!existsSync(lab.directory)) await pause(10);
    await pause(100);
    half.kill('SIGKILL');
    await lab.must('down');
  });

  test('of no lab, of which nothing can be shown', async () => {
    const { exit, err } = await lab.run('status');
    expect([exit, err.trim()]).toEqual([1, 'the lab does not run: "npm run lab up" starts it']);
    await lab.must('down');
  });
});
