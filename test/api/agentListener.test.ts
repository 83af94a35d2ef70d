// The agent API and the agents' listener over mutual TLS: what they answer, to whom, and what a stolen host gets: nothing.
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import {
  connect as createTcpConnection,
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from 'node:net';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  createAgentApiClient,
  createHostListener,
  createMtlsClient,
  exec,
  HostError,
  silentLogger,
  systemClock,
  type AgentApiClient,
  type TlsFiles,
} from '@cumulet/common';
import { addPeer, createAgentListener, createHostClients, initCa, type HostClients } from '@cumulet/controller';
import { servers, serverMigrations } from '../../controller/src/db/entities/compute';
import { agents } from '../../controller/src/db/entities/tasks';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import { makeTestCa, type TestCa } from '../support/certificates';
import { qcow2Header } from '../support/qcow2';

jest.setTimeout(60_000);

let ca: TestCa;
let world: CloudWithHost;
let listener: Server;
let base: string;
let serverId: string;
/** What node-1 needs and knows. */
let digest: string;
let networkId: string;
let address: string;
let portId: string;
const clients: AgentApiClient[] = [];

const listen = async (server: Server | TcpServer): Promise<string> => {
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const clientOf = (name: string, controllers = [base], tls: TlsFiles = ca.files(name)): AgentApiClient => {
  const client = createAgentApiClient({ controllers, tls, clock: systemClock, log: silentLogger });
  clients.push(client);
  return client;
};
const read = async (stream: Readable): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
};
const sha512 = (bytes: Buffer): string => createHash('sha512').update(bytes).digest('hex');
const agentListener = (revoked: string[] = []): Server =>
  createAgentListener({
    api: world.test.controller.agentApi,
    tls: ca.files('ctl'),
    log: silentLogger,
    revoked,
  });

beforeAll(async () => {
  ca = await makeTestCa();
  await ca.add('controller', 'ctl');
  for (const host of ['node-1', 'node-2', 'node-3']) await ca.add('host', host);
  world = await startCloudWithHost();
  await world.startEngine();
  serverId = await world.boot();
  await world.settled();
  listener = agentListener();
  base = await listen(listener);
  const { objects } = await world.test.controller.agentApi.networkChanges('node-1', 0);
  const port = objects.find((one) => one.kind === 'port');
  if (port?.kind !== 'port') throw new Error('no port');
  [networkId, portId, address] = [port.network_id, port.id, port.fixed_ips[0]?.address ?? ''];
  digest = sha512(Buffer.alloc(1024));
});
afterAll(async () => {
  for (const client of clients) client.close();
  listener.close();
  listener.closeAllConnections();
  await world.stop();
  ca.stop();
});

describe('a host', () => {
  test('registers, lives, and is told when its session is over', async () => {
    const host = clientOf('node-2');
    const inventory = { physical_networks: [] };
    const first = await host.register({ host: 'x', role: 'network', inventory, listener: '127.0.0.1:1' });
    expect(first).toEqual({ session: 1, expected: [] });
    await host.heartbeat('x', 'network', 1);
    const second = await host.register({ host: 'x', role: 'network', inventory });
    expect(second.session).toBe(2);
    await expect(host.heartbeat('x', 'network', 1)).rejects.toMatchObject({ code: 'stale_session' });
  });

  test('tells where its listener is', async () => {
    const options = { controllers: [base], tls: ca.files('node-3'), clock: systemClock, log: silentLogger };
    const host = createAgentApiClient({ ...options, listener: '127.0.0.3:9' });
    clients.push(host);
    await host.register({ host: 'x', role: 'storage', inventory: {} });
    const stored = await world.test.cloud.db.read((rows) => rows.findOne(agents, { host: 'node-3', role: 'storage' }));
    expect(stored?.listener).toBe('127.0.0.3:9');
  });

  test('fills the image that it is making, and hears why when it may not', async () => {
    const host = clientOf('node-1');
    const bytes = qcow2Header();
    const store = (client: AgentApiClient, image: string, sent = bytes) =>
      client.storeImage('x', image, { size: sent.length, stream: Readable.from([sent]) });
    let asked = 0;
    world.host.before = async (kind) => {
      if (kind !== 'snapshot.upload' || asked++ > 0) return;
      const { images } = (await world.test.call('GET', '/image/v2/images?name=snap')).body;
      const { id } = images[0];
      await expect(store(clientOf('node-2'), id)).rejects.toMatchObject({ code: 'image_refused' });
      // More than the connection holds: the refusal comes through all the same.
      await expect(store(host, id, Buffer.alloc(8 << 20))).rejects.toMatchObject({ code: 'image_refused' });
      await store(host, id);
    };
    const body = { createImage: { name: 'snap' } };
    await world.test.call('POST', `/compute/v2.1/servers/${serverId}/action`, { body });
    await world.settled();
    world.host.before = () => undefined;
    // A busy host is asked more than once.
    expect(asked).toBeGreaterThan(0);
    const { images } = (await world.test.call('GET', '/image/v2/images?name=snap')).body;
    expect(images).toMatchObject([{ status: 'active', size: bytes.length }]);
    await expect(store(host, images[0].id)).rejects.toMatchObject({ code: 'image_refused' });
  });

  test('gets its networking, its image, its metadata, and reports', async () => {
    const host = clientOf('node-1');
    const { objects, reload } = await host.networkChanges('x', 0);
    expect(reload).toBe(true);
    expect(objects.map(({ id }) => id)).toContain(portId);
    const { size, stream } = await host.openImage('x', digest);
    expect([size, await read(stream)]).toEqual([1024, Buffer.alloc(1024)]);
    const path = '/openstack/latest/meta_data.json';
    const answer = await host.metadata({ host: 'x', networkId, address, method: 'GET', path });
    expect(JSON.parse(answer.body)).toMatchObject({ uuid: serverId });
    await host.reportPorts('x', [{ id: portId, wired: true }]);
    const shown = await world.test.call('GET', `/network/v2.0/ports/${portId}`);
    expect(shown.body.port.status).toBe('ACTIVE');
  });
});

describe('a stolen host', () => {
  test('learns nothing about another: neither its networking, nor its images, nor its metadata', async () => {
    // Whatever name it sends, it is node-2.
    const thief = clientOf('node-2');
    expect((await thief.networkChanges('node-1', 0)).objects).toEqual([]);
    await expect(thief.openImage('node-1', digest)).rejects.toMatchObject({ code: 'image_not_found' });
    const path = '/openstack/latest/meta_data.json';
    expect(await thief.metadata({ host: 'node-1', networkId, address, method: 'GET', path })).toMatchObject({
      status: 404,
    });
  });

  test('can not report for another, nor live or register in its name', async () => {
    const thief = clientOf('node-2');
    await thief.reportServers('node-1', [{ id: serverId, power: 'crashed' }]);
    await thief.reportPorts('node-1', [{ id: portId, wired: false, fault: 'stolen' }]);
    const server = await world.test.call('GET', `/compute/v2.1/servers/${serverId}`);
    expect(server.body.server.status).toBe('ACTIVE');
    expect((await world.test.call('GET', `/network/v2.0/ports/${portId}`)).body.port.status).toBe('ACTIVE');
    const session = (
      await world.test.cloud.db.read((rows) => rows.findOne(agents, { host: 'node-1', role: 'compute' }))
    )?.session;
    await expect(thief.heartbeat('node-1', 'compute', session ?? 0)).rejects.toMatchObject({ code: 'stale_session' });
    const { expected } = await thief.register({ host: 'node-1', role: 'compute', inventory: {} });
    expect(expected).toEqual([]);
    const after = await world.test.cloud.db.read((rows) => rows.findOne(agents, { host: 'node-1', role: 'compute' }));
    expect(after?.session).toBe(session);
  });

  test('is refused once its certificate is revoked', async () => {
    const serial = new X509Certificate(ca.files('node-2').cert).serialNumber;
    const strict = agentListener([serial]);
    const url = await listen(strict);
    await expect(clientOf('node-2', [url]).networkChanges('x', 0)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(clientOf('node-1', [url]).networkChanges('x', 0)).resolves.toMatchObject({ reload: true });
    strict.close();
    strict.closeAllConnections();
  });
});

describe('a host to which a server comes', () => {
  const uuid = '7d7c1f0e-0000-4000-8000-000000000000';
  const insert = (source: string) =>
    world.test.cloud.db.write(async (session) => {
      const server = await session.findOne(servers, { id: serverId });
      if (!server) throw new Error('no server');
      const { flavor, project_id, user_id } = server;
      await session.delete(serverMigrations, { uuid });
      await session.insert(serverMigrations, {
        ...{ uuid, server_id: serverId, project_id, user_id, type: 'migration', status: 'migrating', open: 1 },
        ...{ source_host: source, dest_host: 'node-2', old_flavor: flavor, new_flavor: flavor },
        ...{ shared_disk: false, wish: null, progress: null },
        ...{ old_revision: 1, new_revision: 2, vm_state: 'active', created_at: 1, updated_at: 1 },
      });
    });
  afterAll(() => world.test.cloud.db.write((session) => session.delete(serverMigrations, { uuid })));

  test('gets its disk and its image, and is expected to have the disk; no other host is', async () => {
    await insert('node-1');
    world.host.domains.set(serverId, 'shutdown');
    const host = clientOf('node-2');
    const { size, stream } = await host.openDisk('x', serverId);
    const bytes = (await read(stream)).toString();
    expect([bytes, bytes.length]).toEqual([`${serverId} 1`, size]);
    expect((await host.openImage('x', digest)).size).toBe(1024);
    const expected = async (role: 'storage' | 'compute') =>
      (await host.register({ host: 'x', role, inventory: {} })).expected.map(({ id }) => id);
    expect([await expected('storage'), await expected('compute')]).toEqual([[serverId], []]);
    for (const other of ['node-1', 'node-3'])
      await expect(clientOf(other).openDisk('x', serverId)).rejects.toMatchObject({ code: 'disk_not_found' });
    world.host.domains.set(serverId, 'running');
  });

  test('hears that the disk can not be had now when the other host is not reached', async () => {
    await insert('node-9');
    await expect(clientOf('node-2').openDisk('x', serverId)).rejects.toMatchObject({ code: 'unreachable' });
  });
});

describe('strangers', () => {
  test('without a certificate, or with one of another CA, there is no connection', async () => {
    const other = await makeTestCa();
    await other.add('host', 'node-1');
    const { cert, key } = other.files('node-1');
    const { ca: ours } = ca.files('node-1');
    const empty = Buffer.alloc(0);
    await expect(clientOf('', [base], { ca: ours, cert, key }).networkChanges('x', 0)).rejects.toMatchObject({
      code: 'unreachable',
    });
    await expect(
      clientOf('', [base], { ca: ours, cert: empty, key: empty }).networkChanges('x', 0),
    ).rejects.toMatchObject({ code: 'unreachable' });
    other.stop();
  });

  test('a controller’s certificate is not a host’s', async () => {
    await expect(clientOf('ctl').networkChanges('x', 0)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a host does not take another host for a controller', async () => {
    const false_ = createAgentListener({
      api: world.test.controller.agentApi,
      tls: ca.files('node-2'),
      log: silentLogger,
      revoked: [],
    });
    const url = await listen(false_);
    await expect(clientOf('node-1', [url]).networkChanges('x', 0)).rejects.toThrow(/not that of a controller/);
    false_.close();
  });
});

test('requests that are wrong are refused in words', async () => {
  const raw = createMtlsClient(ca.files('node-1'), () => true, 'anybody');
  const call = (method: 'GET' | 'POST', path: string, json?: unknown, headers = {}) =>
    raw.bytes({ method, base, path, json, headers, timeout: 5_000 });
  for (const [path, json] of [
    ['/agent/v1/register', { role: 'king', inventory: {} }],
    ['/agent/v1/register', { role: 'compute', inventory: {}, host: 'node-2' }],
    ['/agent/v1/heartbeat', {}],
    ['/agent/v1/ports', [{ id: 1 }]],
    ['/agent/v1/servers', 'none'],
    ['/agent/v1/metadata', undefined],
  ] as const)
    await expect(call('POST', path, json)).rejects.toMatchObject({ code: 'bad_request' });
  await expect(call('GET', '/agent/v1/network-changes?since=many')).rejects.toMatchObject({ code: 'bad_request' });
  await expect(call('GET', `/agent/v1/images/${digest}`, undefined, { range: 'bytes=5-1' })).rejects.toMatchObject({
    code: 'bad_request',
  });
  await expect(call('GET', '/agent/v2/anything')).rejects.toMatchObject({ code: 'not_found' });
  await expect(call('GET', '/identity/v3')).rejects.toMatchObject({ code: 'not_found' });
  await expect(call('POST', '/agent/v1/servers', 'x'.repeat(5_000_000))).rejects.toThrow();
  raw.close();
});

describe('with several controllers', () => {
  test('the next one is asked when one does not answer', async () => {
    const dead = createTcpServer();
    const url = await listen(dead);
    await new Promise((done) => dead.close(done));
    const host = clientOf('node-1', [url, base]);
    await expect(host.networkChanges('x', 0)).resolves.toMatchObject({ reload: true });
    await expect(clientOf('node-1', [url]).networkChanges('x', 0)).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('an image that is cut off goes on where it was', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251));
    const answer = await world.test.call('POST', '/image/v2/images', {
      token: 'admin',
      body: { name: 'large', disk_format: 'raw', container_format: 'bare', visibility: 'public' },
    });
    await world.test.call('PUT', `/image/v2/images/${answer.body.id}/file`, {
      token: 'admin',
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    });
    await world.boot('larger', { imageRef: answer.body.id });
    await world.settled();
    // A wire in between that is cut after every 100,000 bytes.
    let connections = 0;
    const wire = createTcpServer((near: Socket) => {
      connections++;
      const far = new URL(base);
      const to = createTcpConnection(Number(far.port));
      let passed = 0;
      near.on('error', () => to.destroy()).on('close', () => to.destroy());
      to.on('error', () => near.destroy()).on('close', () => near.destroy());
      near.on('data', (chunk) => to.write(chunk));
      to.on('data', (chunk: Buffer) => {
        passed += chunk.length;
        near.write(chunk, () => passed > 100_000 && near.destroy());
      });
    });
    const host = clientOf('node-1', [await listen(wire)]);
    const { size, stream } = await host.openImage('x', sha512(bytes));
    expect(size).toBe(bytes.length);
    expect((await read(stream)).equals(bytes)).toBe(true);
    expect(connections).toBeGreaterThan(2);
    wire.close();
  });
});

describe('an image', () => {
  /** A controller that gives an image of ten bytes: as much of it each time as is said, then it hangs up. */
  const giving = async (...parts: readonly { says: number; gives: string }[]) => {
    const ranges: (string | undefined)[] = [];
    const controller = createServer(ca.files('ctl'), (request, response) => {
      const { says, gives } = parts[Math.min(ranges.length, parts.length - 1)] ?? { says: 0, gives: '' };
      ranges.push(request.headers.range);
      response.writeHead(ranges.length > 1 ? 206 : 200, { 'content-length': says }).flushHeaders();
      response.write(gives);
      if (gives.length === says) response.end();
      // Not before what was written is out.
      else setTimeout(() => response.destroy(), 50);
    });
    const clock = { ...systemClock, sleep: () => Promise.resolve() };
    const controllers = [await listen(controller)];
    const host = createAgentApiClient({ controllers, tls: ca.files('node-1'), clock, log: silentLogger });
    clients.push(host);
    return { host, ranges, close: () => controller.close() };
  };

  test('that ends early is asked for from there', async () => {
    const { host, ranges, close } = await giving(
      { says: 10, gives: 'abcde' },
      { says: 3, gives: 'fgh' },
      { says: 2, gives: 'ij' },
    );
    const { size, stream } = await host.openImage('x', digest);
    expect([size, (await read(stream)).toString()]).toEqual([10, 'abcdefghij']);
    expect(ranges).toEqual([undefined, 'bytes=5-', 'bytes=8-']);
    close();
  });

  test('whose rest never comes fails after some tries', async () => {
    const { host, ranges, close } = await giving({ says: 10, gives: 'abcde' }, { says: 5, gives: '' });
    const { stream } = await host.openImage('x', digest);
    await expect(read(stream)).rejects.toThrow(/aborted/);
    expect(ranges.length).toBeGreaterThan(4);
    expect(new Set(ranges.slice(1))).toEqual(new Set(['bytes=5-']));
    close();
  });
});

describe('the listener of an agent', () => {
  let agent: Server;
  let hosts: HostClients;
  const asked: string[] = [];
  const register = (host: string, where: string): Promise<unknown> =>
    Promise.all(
      (['compute', 'network', 'storage'] as const).map((role) =>
        clientOf(host).register({ host, role, inventory: {}, listener: new URL(where).host }),
      ),
    );
  const passwords: string[] = [];
  beforeAll(async () => {
    agent = createHostListener(
      {
        consoleLog: async (id, bytes) => Buffer.from(`${asked.push(id)} ${bytes}`),
        inventoryOfResources: async () => [{ kind: 'domain', id: serverId, name: 'a domain' }],
        diagnostics: (id) => world.host.api.diagnostics(id),
        openDisk: (id, revision) =>
          revision === 1
            ? Promise.resolve({ size: 3, stream: Readable.from([Buffer.from(id.slice(0, 3))]) })
            : Promise.reject(new HostError('disk_missing', 'no such disk', { retryable: true })),
        setPassword: (_id, user, password) => {
          passwords.push(`${user} ${password}`);
          if (user === 'root') return Promise.resolve();
          return Promise.reject(new HostError('password_refused', 'the agent refused it', { retryable: false }));
        },
      },
      ca.files('node-2'),
      silentLogger,
    );
    await register('node-2', await listen(agent));
    hosts = createHostClients(world.test.cloud.db, ca.files('ctl'));
  });
  afterAll(() => {
    hosts.close();
    agent.close();
    agent.closeAllConnections();
  });

  test('gives console logs and what is on the host to a controller', async () => {
    expect((await hosts.host('node-2').consoleLog(serverId, 100)).toString()).toBe('1 100');
    expect(await hosts.host('node-2').inventoryOfResources()).toHaveLength(3);
  });

  test('gives diagnostics and sets passwords, and says in its words what it can’t', async () => {
    const host = hosts.host('node-2');
    expect(await host.diagnostics(serverId)).toMatchObject({ maximumMemory: 131072 });
    const words = { name: 'HostError', code: 'not_running', message: 'the server is not running' };
    await expect(host.diagnostics('99999999-9999-4999-8999-999999999999')).rejects.toMatchObject(words);
    await expect(host.diagnostics('nobody')).rejects.toMatchObject({ code: 'bad_request' });
    await host.setPassword(serverId, 'root', 'secret');
    expect(passwords).toEqual(['root secret']);
    await expect(host.setPassword(serverId, 'boss', 'x')).rejects.toMatchObject({ code: 'password_refused' });
  });

  test('gives the disk of a server to the controller that asks for the right one', async () => {
    const host = hosts.host('node-2');
    const { size, stream } = await host.openDisk(serverId, 1);
    expect([size, (await read(stream)).toString()]).toEqual([3, serverId.slice(0, 3)]);
    await expect(host.openDisk(serverId, 2)).rejects.toMatchObject({ name: 'HostError', code: 'disk_missing' });
    await expect(host.openDisk('nobody', 1)).rejects.toMatchObject({ code: 'bad_request' });
    await expect(host.openDisk(serverId, NaN)).rejects.toMatchObject({ code: 'bad_request' });
  });

  test('gives nothing to another host', async () => {
    const base = `https://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const thief = createMtlsClient(ca.files('node-1'), () => true, 'anybody');
    for (const path of [
      `/host/v1/diagnostics/${serverId}`,
      '/host/v1/resources',
      `/host/v1/disks/${serverId}?revision=1`,
      `/host/v1/console-logs/${serverId}?bytes=9`,
    ])
      await expect(thief.bytes({ method: 'GET', base, path, timeout: 5_000 })).rejects.toMatchObject({
        code: 'forbidden',
      });
    thief.close();
  });

  test('refuses ids that could be paths', async () => {
    for (const id of ['..%2f..%2fetc%2fpasswd', 'x', '..'])
      await expect(hosts.host('node-2').consoleLog(id, 9)).rejects.toMatchObject({
        code: expect.any(String) as string,
      });
    expect(asked).toHaveLength(1);
  });

  test('a host that registers the address of another is not taken for it', async () => {
    await register('node-3', `https://127.0.0.1:${(agent.address() as AddressInfo).port}`);
    await expect(hosts.host('node-3').consoleLog(serverId, 9)).rejects.toThrow(/not that of host node-3/);
    await expect(hosts.host('nobody').consoleLog(serverId, 9)).rejects.toThrow(/has not said where/);
  });
});

describe('the administrator’s commands', () => {
  const at = (...path: string[]): string => join(ca.directory, ...path);

  test('keep secrets to the administrator and put no password into the broker’s file', () => {
    for (const file of ['ca/ca.key', 'ca/broker-password', 'ctl/certificate.key', 'node-1/certificate.key'])
      expect([file, statSync(at(file)).mode & 0o777]).toEqual([file, 0o600]);
    expect(statSync(at('ca')).mode & 0o777).toBe(0o700);
    const password = readFileSync(at('node-1/broker-password'), 'utf8').trim();
    expect(readFileSync(at('node-1/broker.json'), 'utf8')).not.toContain(password);
    expect(readFileSync(at('ctl/broker-password'), 'utf8')).toBe(readFileSync(at('ca/broker-password'), 'utf8'));
    expect(existsSync(at('node-1/ca.key'))).toBe(false);
  });

  test('a certificate is from our CA, names its host, and is no CA itself', () => {
    const certificate = new X509Certificate(readFileSync(at('node-1/certificate.crt')));
    const authority = new X509Certificate(readFileSync(at('ca/ca.crt')));
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.subject.split('\n')).toEqual(['O=cumulet', 'OU=host', 'CN=node-1']);
    expect([authority.ca, certificate.ca]).toEqual([true, false]);
  });

  test('nothing is overwritten by accident; a renewal keeps the broker’s password', async () => {
    const password = readFileSync(at('node-1/broker-password'), 'utf8');
    const before = readFileSync(at('node-1/certificate.crt'), 'utf8');
    const add = (name: string, renew: boolean) =>
      addPeer(exec, at('ca'), { role: 'host', name }, at(name), 'cumulet', renew);
    await expect(initCa(exec, at('ca'), 'cumulet')).rejects.toMatchObject({ code: 'exists' });
    await expect(add('node-1', false)).rejects.toMatchObject({ code: 'exists' });
    await expect(add('node-9', true)).rejects.toMatchObject({ code: 'not_there' });
    for (const name of ['', '-x', 'a b', 'x/y', 'new\nline', '*'])
      await expect(addPeer(exec, at('ca'), { role: 'host', name }, at('bad'), 'cumulet', false)).rejects.toMatchObject({
        code: 'bad_name',
      });
    await add('node-1', true);
    expect(readFileSync(at('node-1/certificate.crt'), 'utf8')).not.toBe(before);
    expect(readFileSync(at('node-1/broker-password'), 'utf8')).toBe(password);
    await expect(clientOf('node-1').networkChanges('x', 0)).resolves.toMatchObject({ reload: true });
  });
});
