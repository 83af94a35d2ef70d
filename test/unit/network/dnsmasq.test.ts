// One dnsmasq per network, with stand-ins for its process: whose rights it keeps, which process is its, and one that does not end.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock, type Clock, type Exec } from '@cumulet/common';
import { createDhcpServers, type DhcpServers } from '../../../network-agent/src/dnsmasq';

const FILES = { conf: 'port=0\n', hosts: 'h\n', options: 'o\n', names: 'n\n', problems: new Map<string, string>() };
/** Time passes as fast as somebody waits. */
const clock: Clock = { ...systemClock, now: () => 0, sleep: () => new Promise((next) => setImmediate(next)) };

let stateDir: string;
let commands: string[];
let servers: DhcpServers;
const children: ChildProcess[] = [];
const folder = (): string => join(stateDir, 'n1');

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'cumulet-dnsmasq-'));
  commands = [];
  const exec: Exec = (argv) => {
    commands.push(argv.join(' '));
    return Promise.resolve({ stdout: '', stderr: '' });
  };
  servers = createDhcpServers(exec, stateDir, clock, silentLogger);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(stateDir, { recursive: true });
});

/** A process that looks like the network's dnsmasq; writes down the signals that it gets, and stays whatever they are. */
async function standIn(): Promise<ChildProcess> {
  const script = "trap 'echo HUP' HUP; trap 'echo TERM' TERM; echo up; while :; do sleep 0.01; done";
  const child = spawn('sh', ['-c', script, 'dnsmasq', `--conf-file=${folder()}/conf`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(child);
  await new Promise((up) => child.stdout?.once('data', up));
  writeFileSync(join(folder(), 'pid'), `${child.pid}\n`);
  return child;
}
const nextLine = (child: ChildProcess): Promise<string> =>
  new Promise((heard) => child.stdout?.once('data', (line: Buffer) => heard(line.toString().trim())));

test('it keeps root where another user could not read its files', async () => {
  await servers.ensure('n1', 'ns', FILES, false);
  // A test's own directory is for its owner alone.
  const start = `nsenter --net=/run/netns/ns dnsmasq --conf-file=${folder()}/conf --pid-file=${folder()}/pid`;
  expect(commands).toEqual([`${start} --user=root`]);
  chmodSync(stateDir, 0o711);
  await servers.ensure('n1', 'ns', FILES, false);
  expect(commands.at(-1)).toBe(start);
  expect(readFileSync(join(folder(), 'hosts'), 'utf8')).toBe('h\n');
});

test('one that runs is told of new entries, and left alone when there are none', async () => {
  await servers.ensure('n1', 'ns', FILES, false);
  const child = await standIn();
  expect(servers.pid('n1')).toBe(child.pid);
  const heard = nextLine(child);
  await servers.ensure('n1', 'ns', FILES, false);
  await servers.ensure('n1', 'ns', { ...FILES, hosts: 'another\n' }, false);
  expect(await heard).toBe('HUP');
  expect(commands).toHaveLength(1);
});

test('one that does not end is a failure, and its files stay', async () => {
  await servers.ensure('n1', 'ns', FILES, false);
  const child = await standIn();
  const heard = nextLine(child);
  await expect(servers.remove('n1')).rejects.toMatchObject({
    code: 'dnsmasq_stuck',
    message: `dnsmasq ${child.pid} of network n1 does not end`,
  });
  expect(await heard).toBe('TERM');
  expect(existsSync(join(folder(), 'conf'))).toBe(true);
});

test('one that ended is not waited for, and its files go', async () => {
  await servers.ensure('n1', 'ns', FILES, false);
  const child = await standIn();
  child.kill('SIGKILL');
  await new Promise((ended) => child.once('exit', ended));
  expect(servers.pid('n1')).toBeUndefined();
  await servers.remove('n1');
  expect(existsSync(folder())).toBe(false);
});

test.each([String(process.pid), '1', 'x', '-5'])('the process %s is not its', async (pid) => {
  mkdirSync(folder());
  writeFileSync(join(folder(), 'pid'), pid);
  expect(servers.pid('n1')).toBeUndefined();
});

test('a file that can not be read is a failure, not a missing one', async () => {
  mkdirSync(join(folder(), 'pid'), { recursive: true });
  expect(() => servers.pid('n1')).toThrow(expect.objectContaining({ code: 'EISDIR' }));
});
