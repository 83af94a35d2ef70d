// The command `cumulet` as a process against a cloud with a simulated host: what it shows, and how it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus } from '@cumulet/common';
import { taskKinds } from '@cumulet/controller';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { createSimulatedHost, type SimulatedHost } from '../support/simulatedHost';

const MAIN = join(__dirname, '../../cli/dist/main.js');
let cloud: IdentityCloud;
let host: SimulatedHost;
let directory: string;

interface Run {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command in a directory with a clouds.yaml; `env` replaces OS_CLOUD. */
function cumulet(args: readonly string[], env: Record<string, string> = { OS_CLOUD: 'test' }): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: directory, ...env },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (exit) => resolve({ exit, out, err }));
  });
}

/** The parsed answer of a command that must succeed. */
async function json(...args: string[]) {
  const { exit, out, err } = await cumulet([...args, '-f', 'json']);
  if (exit !== 0) throw new Error(`cumulet ${args.join(' ')} ended with ${exit}: ${err}`);
  return JSON.parse(out);
}

beforeAll(async () => {
  const bus = createMemoryBus();
  const found: { host?: SimulatedHost } = {};
  const engine = { kinds: taskKinds, leaseMs: 200, pollMs: 20, maxBackoffMs: 30, askAgainFactor: 0.01 };
  cloud = await startIdentity({ bus, host: () => found.host?.api, engine });
  host = found.host = createSimulatedHost('node-1', bus, cloud.test.controller.agentApi);
  await host.start();
  const must = async (path: string, body: object) => {
    const answer = await cloud.test.call('POST', path, { token: cloud.admin, body });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const image = await must('/image/v2/images', { name: 'tiny', disk_format: 'raw', container_format: 'bare' });
  const type = { 'content-type': 'application/octet-stream' };
  const upload = { token: cloud.admin, body: Buffer.alloc(1024), headers: type };
  await cloud.test.call('PUT', `/image/v2/images/${image.id}/file`, upload);
  await must('/compute/v2.1/flavors', { flavor: { name: 'm1.tiny', vcpus: 1, ram: 128, disk: 1 } });
  const { network } = await must('/network/v2.0/networks', { network: { name: 'demo' } });
  await must('/network/v2.0/subnets', { subnet: { network_id: network.id, ip_version: 4, cidr: '10.0.0.0/24' } });
  directory = mkdtempSync(join(tmpdir(), 'cumulet-cli-'));
  const auth = { auth_url: `${cloud.test.url}/v3`, username: 'admin', password: ADMIN_PASSWORD, project_name: 'admin' };
  const clouds = { test: { auth }, wrong: { auth: { ...auth, password: 'wrong' } } };
  writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds }));
});
afterAll(async () => {
  await host.stop();
  await cloud.stop();
  rmSync(directory, { recursive: true });
});

const create = ['server', 'create', '--image', 'tiny', '--flavor', 'm1.tiny', '--network', 'demo', '--wait'];

describe('a server', () => {
  test('is created, shown, explained, stopped and deleted', async () => {
    const made = await json(...create, 'hello');
    expect(made).toMatchObject({ name: 'hello', status: 'ACTIVE' });
    const [row] = await json('server', 'list');
    expect(row).toMatchObject({ ID: made.id, Name: 'hello', Status: 'ACTIVE', Flavor: 'm1.tiny' });
    expect(row.Networks).toMatch(/^demo=10\.0\.0\.\d+$/);
    const steps = await json('server', 'why', 'hello');
    expect(steps.length).toBeGreaterThan(2);
    expect(steps[0]).toMatchObject({
      Task: expect.stringContaining('server'),
      'Request ID': expect.stringMatching(/^req-/),
    });
    expect((await cumulet(['console', 'log', 'show', 'hello'])).out).toBe('simulated\n');
    expect((await cumulet(['server', 'stop', '--wait', 'hello'])).exit).toBe(0);
    expect((await cumulet(['server', 'show', 'hello', '-f', 'value', '-c', 'status'])).out).toBe('SHUTOFF\n');
    expect(await cumulet(['server', 'delete', '--wait', 'hello'])).toEqual({ exit: 0, out: '', err: '' });
    expect(host.domains.size).toBe(0);
    expect((await cumulet(['audit'])).exit).toBe(0);
  });

  test('with a name that another one has must be given by its id', async () => {
    const ids = [(await json(...create, 'twin')).id, (await json(...create, 'twin')).id];
    const { exit, err } = await cumulet(['server', 'stop', 'twin']);
    expect(exit).toBe(1);
    for (const id of ids) expect(err).toContain(id);
    expect((await cumulet(['server', 'delete', '--wait', ...ids])).exit).toBe(0);
  });
});

describe('a failure', () => {
  test.each([
    ['a misspelled command', ['sever', 'list'], 2, 'did you mean "server list"'],
    ['a misspelled option', ['server', 'list', '--all-project'], 2, 'did you mean "--all-projects"'],
    ['a lacking argument', ['server', 'show'], 2, 'server show needs SERVER'],
    ['a lacking option', ['server', 'create', 'x'], 2, 'server create needs --image IMAGE'],
    [
      'a misspelled name',
      ['server', 'create', '--image', 'tini', '--flavor', 'm1.tiny', 'x'],
      1,
      'no image is called "tini": did you mean "tiny"?',
    ],
    ['an unknown column', ['server', 'list', '-c', 'Nam'], 2, 'there is no column "Nam": did you mean "Name"?'],
    ['an unknown cloud', ['server', 'list', '--os-cloud', 'tset'], 1, 'has no cloud "tset": did you mean "test"?'],
    ['a wrong password', ['server', 'list', '--os-cloud', 'wrong'], 1, '(HTTP 401) (Request-ID: req-'],
    ['an audit that cannot look', ['audit', '--os-cloud', 'wrong'], 2, '(HTTP 401)'],
  ])('of %s is told in words', async (_what, args, exit, words) => {
    const run = await cumulet(args);
    expect(run.err).toContain(words);
    expect(run).toMatchObject({ exit, out: '' });
  });

  test('says that nothing listens', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const env = { OS_AUTH_URL: `http://127.0.0.1:${port}/v3`, OS_USERNAME: 'a', OS_PASSWORD: 'b' };
    const { exit, err } = await cumulet(['server', 'list'], env);
    expect(exit).toBe(1);
    expect(err).toMatch(/\/v3\/auth\/tokens got no answer: .*ECONNREFUSED/);
  });
});

test('an audit with findings ends with 1', async () => {
  host.domains.set('orphan', 'running');
  const { exit, out } = await cumulet(['audit']);
  host.domains.delete('orphan');
  expect(exit).toBe(1);
  expect(out).toContain('orphan');
});

test('help shows an example', async () => {
  const { exit, out } = await cumulet(['server', 'create', '--help'], {});
  expect(exit).toBe(0);
  expect(out).toContain('cumulet server create --image tiny');
});

test('networks, images and the other nouns are made, listed and deleted', async () => {
  const ok = async (line: string): Promise<string> => {
    const { exit, out, err } = await cumulet(line.split(' '));
    expect({ line, exit, err }).toEqual({ line, exit: 0, err: '' });
    return out;
  };
  await ok('network create n1');
  await ok('subnet create --network n1 --subnet-range 10.9.0.0/24 s1');
  await ok('router create r1');
  await ok('router add subnet r1 s1');
  await ok('router remove subnet r1 s1');
  await ok('security group create web');
  await ok('security group rule create --protocol tcp --dst-port 22 web');
  const rules = await json('security', 'group', 'rule', 'list', 'web');
  expect(rules).toContainEqual(expect.objectContaining({ 'IP Protocol': 'tcp', 'Port Range': '22:22' }));
  await ok(`image create --file ${join(directory, 'clouds.yaml')} data`);
  await ok(`image save --file ${join(directory, 'saved')} data`);
  expect(readFileSync(join(directory, 'saved'))).toEqual(readFileSync(join(directory, 'clouds.yaml')));
  for (const noun of ['flavor', 'keypair', 'port', 'floating ip', 'project', 'user', 'role', 'catalog', 'hypervisor'])
    await ok(`${noun} list`);
  await ok('image delete data');
  await ok('security group delete web');
  await ok('router delete r1');
  await ok('network delete n1');
}, 30000);
