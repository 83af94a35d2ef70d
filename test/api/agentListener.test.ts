// The agent API over mutual TLS: what it answers, to whom, and what a stolen host gets: nothing.
import { createHash, X509Certificate } from 'node:crypto';
import { connect as createTcpConnection, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer } from 'node:https';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { createMtlsClient, silentLogger, systemClock, type AgentApiClient } from '@cumulet/common';
import { createAgentListener } from '@cumulet/controller';
import { servers, serverMigrations } from '../../controller/src/db/entities/compute';
import { agents } from '../../controller/src/db/entities/tasks';
import { agentApiScene } from '../support/agentApiScene';
import { makeTestCa } from '../support/certificates';
import { qcow2Header } from '../support/qcow2';

const scene = agentApiScene();
const { agentListener, listen, clientOf } = scene;
/** What node-1 needs and knows. */
let digest: string;
let networkId: string;
let address: string;
let portId: string;

const sha512 = (bytes: Buffer): string => createHash('sha512').update(bytes).digest('hex');

beforeAll(async () => {
  const { objects } = await scene.world.test.controller.agentApi.networkChanges('node-1', 0);
  const port = objects.find((one) => one.kind === 'port');
  if (port?.kind !== 'port') throw new Error('no port');
  [networkId, portId, address] = [port.network_id, port.id, port.fixed_ips[0]?.address ?? ''];
  digest = sha512(Buffer.alloc(1024));
});

describe('a host', () => {
  test('registers, lives, and is told when its session is over', async () => {
    const host = clientOf('node-2');
    const inventory = { physical_networks: [] };
    const first = await host.register({ host: 'x', role: 'network', inventory, listener: '127.0.0.1:1' });
    expect(first).toEqual({ session: 1, expected: [] });
    expect(await host.heartbeat('x', 'network', 1)).toEqual({ movable_routers: [] });
    const second = await host.register({ host: 'x', role: 'network', inventory });
    expect(second.session).toBe(2);
    await expect(host.heartbeat('x', 'network', 1)).rejects.toMatchObject({ code: 'stale_session' });
  });

  test('learns whether controllers can not be reached, or none runs', async () => {
    const silent = createTcpServer((socket) => socket.destroy());
    await new Promise<void>((done) => void silent.listen(0, '127.0.0.1', done));
    const { port } = silent.address() as { port: number };
    const nobody = 'https://127.0.0.1:1';
    const beat = (controllers: string[]) => clientOf('node-2', controllers).heartbeat('x', 'network', 1);
    const fails = (refused: boolean) => ({ code: 'unreachable', facts: { refused } });
    await expect(beat([nobody, nobody])).rejects.toMatchObject(fails(true));
    await expect(beat([nobody, `https://127.0.0.1:${port}`])).rejects.toMatchObject(fails(false));
    silent.close();
  });

  test('tells where its listener is', async () => {
    const host = clientOf('node-3', [scene.base], scene.ca.files('node-3'), { listener: '127.0.0.3:9' });
    await host.register({ host: 'x', role: 'storage', inventory: {} });
    const stored = await scene.world.test.cloud.db.read((rows) =>
      rows.findOne(agents, { host: 'node-3', role: 'storage' }),
    );
    expect(stored?.listener).toBe('127.0.0.3:9');
  });

  test('fills the image that it is making, and hears why when it may not', async () => {
    const host = clientOf('node-1');
    const bytes = qcow2Header();
    const store = (client: AgentApiClient, image: string, sent = bytes) =>
      client.storeImage('x', image, { size: sent.length, stream: Readable.from([sent]) });
    let asked = 0;
    scene.world.host.before = async (kind) => {
      if (kind !== 'snapshot.upload' || asked++ > 0) return;
      const { images } = (await scene.world.test.call('GET', '/image/v2/images?name=snap')).body;
      const { id } = images[0];
      await expect(store(clientOf('node-2'), id)).rejects.toMatchObject({ code: 'image_refused' });
      // More than the connection holds: the refusal comes through all the same.
      await expect(store(host, id, Buffer.alloc(8 << 20))).rejects.toMatchObject({ code: 'image_refused' });
      await store(host, id);
    };
    const body = { createImage: { name: 'snap' } };
    await scene.world.test.call('POST', `/compute/v2.1/servers/${scene.serverId}/action`, { body });
    await scene.world.settled();
    scene.world.host.before = () => undefined;
    // Once, however slow the machine is: the scene's engine does not ask again within the time of a test. A check above that
    // fails would be a second time.
    expect(asked).toBe(1);
    const { images } = (await scene.world.test.call('GET', '/image/v2/images?name=snap')).body;
    expect(images).toMatchObject([{ status: 'active', size: bytes.length }]);
    await expect(store(host, images[0].id)).rejects.toMatchObject({ code: 'image_refused' });
  });

  test('gets its networking, its image, its metadata, and reports', async () => {
    const host = clientOf('node-1');
    const { objects, reload } = await host.networkChanges('x', 0);
    expect(reload).toBe(true);
    expect(objects.map(({ id }) => id)).toContain(portId);
    const { size, stream } = await host.openImage('x', digest);
    expect([size, await buffer(stream)]).toEqual([1024, Buffer.alloc(1024)]);
    const path = '/openstack/latest/meta_data.json';
    const answer = await host.metadata({ host: 'x', networkId, address, method: 'GET', path });
    expect(JSON.parse(answer.body)).toMatchObject({ uuid: scene.serverId });
    await host.reportPorts('x', [{ id: portId, wired: true }]);
    const shown = await scene.world.test.call('GET', `/network/v2.0/ports/${portId}`);
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
    await thief.reportServers('node-1', [{ id: scene.serverId, power: 'crashed' }]);
    await thief.reportPorts('node-1', [{ id: portId, wired: false, fault: 'stolen' }]);
    const server = await scene.world.test.call('GET', `/compute/v2.1/servers/${scene.serverId}`);
    expect(server.body.server.status).toBe('ACTIVE');
    expect((await scene.world.test.call('GET', `/network/v2.0/ports/${portId}`)).body.port.status).toBe('ACTIVE');
    const session = (
      await scene.world.test.cloud.db.read((rows) => rows.findOne(agents, { host: 'node-1', role: 'compute' }))
    )?.session;
    await expect(thief.heartbeat('node-1', 'compute', session ?? 0)).rejects.toMatchObject({ code: 'stale_session' });
    const { expected } = await thief.register({ host: 'node-1', role: 'compute', inventory: {} });
    expect(expected).toEqual([]);
    const after = await scene.world.test.cloud.db.read((rows) =>
      rows.findOne(agents, { host: 'node-1', role: 'compute' }),
    );
    expect(after?.session).toBe(session);
  });

  test('is refused once its certificate is revoked', async () => {
    const serial = new X509Certificate(scene.ca.files('node-2').cert).serialNumber;
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
    scene.world.test.cloud.db.write(async (session) => {
      const server = await session.findOne(servers, { id: scene.serverId });
      if (!server) throw new Error('no server');
      const { flavor, project_id, user_id } = server;
      await session.delete(serverMigrations, { uuid });
      await session.insert(serverMigrations, {
        ...{ uuid, server_id: scene.serverId, project_id, user_id, type: 'migration', status: 'migrating', open: 1 },
        ...{ source_host: source, dest_host: 'node-2', old_flavor: flavor, new_flavor: flavor },
        ...{ shared_disk: false, wish: null, progress: null },
        ...{ old_revision: 1, new_revision: 2, vm_state: 'active', created_at: 1, updated_at: 1 },
      });
    });
  afterAll(() => scene.world.test.cloud.db.write((session) => session.delete(serverMigrations, { uuid })));

  test('gets its disk and its image, and is expected to have the disk; no other host is', async () => {
    await insert('node-1');
    scene.world.host.domains.set(scene.serverId, 'shutdown');
    const host = clientOf('node-2');
    const { size, stream } = await host.openDisk('x', scene.serverId);
    const bytes = await buffer(stream);
    // What a disk holds, and its SHA-512.
    expect(bytes.subarray(0, -64).toString()).toBe(`${scene.serverId} 1`);
    expect(bytes).toHaveLength(size);
    expect((await host.openImage('x', digest)).size).toBe(1024);
    const expected = async (role: 'storage' | 'compute') =>
      (await host.register({ host: 'x', role, inventory: {} })).expected.map(({ id }) => id);
    expect([await expected('storage'), await expected('compute')]).toEqual([[scene.serverId], []]);
    for (const other of ['node-1', 'node-3'])
      await expect(clientOf(other).openDisk('x', scene.serverId)).rejects.toMatchObject({ code: 'disk_not_found' });
    scene.world.host.domains.set(scene.serverId, 'running');
  });

  test('gets what the disk stands on from the host that the server leaves, once nobody else has it', async () => {
    await insert('node-1');
    const { db } = scene.world.test.cloud;
    const before = await db.read((session) => session.findOne(servers, { id: scene.serverId }));
    const gone = sha512(Buffer.from('deleted'));
    const image = before?.image && { ...before.image, digest: gone };
    await db.write((session) => session.update(servers, { id: scene.serverId }, { image: image ?? null }));
    const asked: unknown[] = [];
    const openImage = jest.spyOn(scene.world.host.api, 'openImage').mockImplementation((...question) => {
      asked.push(question);
      return Promise.resolve({ size: 7, stream: Readable.from([Buffer.from('deleted')]) });
    });
    const { size, stream } = await clientOf('node-2').openImage('x', gone);
    expect([size, (await buffer(stream)).toString(), asked]).toEqual([7, 'deleted', [[gone, 0]]]);
    for (const other of ['node-1', 'node-3'])
      await expect(clientOf(other).openImage('x', gone)).rejects.toMatchObject({ code: 'image_not_found' });
    openImage.mockRestore();
    await db.write((session) => session.update(servers, { id: scene.serverId }, { image: before?.image ?? null }));
  });

  test('hears that the disk can not be had now when the other host is not reached', async () => {
    await insert('node-9');
    await expect(clientOf('node-2').openDisk('x', scene.serverId)).rejects.toMatchObject({ code: 'unreachable' });
  });
});

describe('strangers', () => {
  test('without a certificate, or with one of another CA, there is no connection', async () => {
    const other = await makeTestCa();
    await other.add('host', 'node-1');
    const { cert, key } = other.files('node-1');
    const { ca: ours } = scene.ca.files('node-1');
    const empty = Buffer.alloc(0);
    await expect(clientOf('', [scene.base], { ca: ours, cert, key }).networkChanges('x', 0)).rejects.toMatchObject({
      code: 'unreachable',
    });
    await expect(
      clientOf('', [scene.base], { ca: ours, cert: empty, key: empty }).networkChanges('x', 0),
    ).rejects.toMatchObject({ code: 'unreachable' });
    other.stop();
  });

  test('a controller’s certificate is not a host’s', async () => {
    await expect(clientOf('ctl').networkChanges('x', 0)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a host does not take another host for a controller', async () => {
    const false_ = createAgentListener({
      api: scene.world.test.controller.agentApi,
      tls: scene.ca.files('node-2'),
      log: silentLogger,
      revoked: [],
    });
    const url = await listen(false_);
    await expect(clientOf('node-1', [url]).networkChanges('x', 0)).rejects.toThrow(/not that of a controller/);
    false_.close();
  });
});

test('requests that are wrong are refused in words', async () => {
  const raw = createMtlsClient(scene.ca.files('node-1'), () => true, 'anybody');
  const call = (method: 'GET' | 'POST', path: string, json?: unknown, headers = {}) =>
    raw.bytes({ method, base: scene.base, path, json, headers, timeout: 5_000 });
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
    const host = clientOf('node-1', [url, scene.base]);
    await expect(host.networkChanges('x', 0)).resolves.toMatchObject({ reload: true });
    await expect(clientOf('node-1', [url]).networkChanges('x', 0)).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('an image that is cut off goes on where it was', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251));
    const answer = await scene.world.test.call('POST', '/image/v2/images', {
      token: 'admin',
      body: { name: 'large', disk_format: 'raw', container_format: 'bare', visibility: 'public' },
    });
    await scene.world.test.call('PUT', `/image/v2/images/${answer.body.id}/file`, {
      token: 'admin',
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    });
    await scene.world.boot('larger', { imageRef: answer.body.id });
    await scene.world.settled();
    // A wire in between that is cut after every 100,000 bytes.
    let connections = 0;
    const wire = createTcpServer((near: Socket) => {
      connections++;
      const far = new URL(scene.base);
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
    expect((await buffer(stream)).equals(bytes)).toBe(true);
    expect(connections).toBeGreaterThan(2);
    wire.close();
  });
});

describe('an image', () => {
  /** A controller that gives an image of ten bytes: as much of it each time as is said, then it hangs up. */
  const giving = async (...parts: readonly { says: number; gives: string }[]) => {
    const ranges: (string | undefined)[] = [];
    const controller = createServer(scene.ca.files('ctl'), (request, response) => {
      const { says, gives } = parts[Math.min(ranges.length, parts.length - 1)] ?? { says: 0, gives: '' };
      ranges.push(request.headers.range);
      response.writeHead(ranges.length > 1 ? 206 : 200, { 'content-length': says }).flushHeaders();
      response.write(gives);
      if (gives.length === says) response.end();
      // Not before what was written is out.
      else setTimeout(() => response.destroy(), 50);
    });
    const clock = { ...systemClock, sleep: () => Promise.resolve() };
    const host = clientOf('node-1', [await listen(controller)], scene.ca.files('node-1'), { clock });
    return { host, ranges, close: () => controller.close() };
  };

  test('that ends early is asked for from there', async () => {
    const { host, ranges, close } = await giving(
      { says: 10, gives: 'abcde' },
      { says: 3, gives: 'fgh' },
      { says: 2, gives: 'ij' },
    );
    const { size, stream } = await host.openImage('x', digest);
    expect([size, (await buffer(stream)).toString()]).toEqual([10, 'abcdefghij']);
    expect(ranges).toEqual([undefined, 'bytes=5-', 'bytes=8-']);
    close();
  });

  test('whose rest never comes fails after some tries', async () => {
    const { host, ranges, close } = await giving({ says: 10, gives: 'abcde' }, { says: 5, gives: '' });
    const { stream } = await host.openImage('x', digest);
    await expect(buffer(stream)).rejects.toThrow(/aborted/);
    expect(ranges.length).toBeGreaterThan(4);
    expect(new Set(ranges.slice(1))).toEqual(new Set(['bytes=5-']));
    close();
  });
});
