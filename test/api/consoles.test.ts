// Consoles: addresses that open one once, over HTTP and WebSocket, with a guest that repeats what it hears.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { WebSocket, type ClientOptions } from 'ws';
import { consoleTickets, servers } from '../../controller/src/db/entities/compute';
import { createConsoles, ending } from '../../controller/src/consoles/proxy';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import type { Answer } from '../support/testCloud';

let world: CloudWithHost;
let id: string;
let skew = 0;
beforeAll(async () => {
  world = await startCloudWithHost();
  jest.spyOn(world.test.cloud.clock, 'now').mockImplementation(() => Date.now() + skew);
  await world.startEngine();
  id = await world.boot();
  await world.settled();
});
afterEach(() => void (skew = 0));
afterAll(() => world.stop());

const ask = (body: object, version = '2.79', token = 'demo', server = id, path = 'remote-consoles'): Promise<Answer> =>
  world.test.call('POST', `/compute/v2.1/servers/${server}/${path}`, {
    token,
    body,
    headers: { 'openstack-api-version': `compute ${version}` },
  });
const wanted = (protocol: string, type: string) => ({ remote_console: { protocol, type } });

async function addressOf(protocol: string, type: string): Promise<string> {
  const answer = await ask(wanted(protocol, type));
  expect(answer).toMatchObject({ status: 200, body: { remote_console: { protocol, type } } });
  return answer.body.remote_console.url as string;
}

/** What a WebSocket brought until it ended. */
async function listenTo(url: string, options: ClientOptions = {}, say?: string) {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options);
  let heard = '';
  socket.on('message', (data: Buffer) => {
    heard += data.toString();
    if (say !== undefined && heard.endsWith('\n')) socket.send(say);
    if (say !== undefined && heard.endsWith(say)) socket.close();
  });
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { heard, code, reason: reason.toString() };
}

describe('an address of a console', () => {
  test.each([
    ['vnc', 'novnc', 'vnc'],
    ['serial', 'serial', 'serial'],
  ])('by %s opens it once and is refused twice', async (protocol, type, kind) => {
    const url = await addressOf(protocol, type);
    expect(url).toMatch(new RegExp(`^${world.test.url}/console/${kind}\\?token=[\\w-]{43}$`));
    expect(await listenTo(url, {}, 'hello')).toMatchObject({ heard: `${kind} of ${id}\r\nhello` });
    for (let turn = 0; turn < 2; turn++)
      expect(await listenTo(url)).toEqual({
        heard: '',
        code: 4003,
        reason: 'This address opens no console: it was used already. Ask for a new one.',
      });
  });

  test('is used up by one of many who come at once', async () => {
    const url = await addressOf('serial', 'serial');
    const came = await Promise.all(Array.from({ length: 8 }, () => listenTo(url, {}, 'me')));
    expect(came.filter(({ heard }) => heard !== '')).toHaveLength(1);
    expect(came.filter(({ code }) => code === 4003)).toHaveLength(7);
  });

  test('is kept by nobody: the database has its digest only', async () => {
    const ticket = (await addressOf('vnc', 'novnc')).split('=')[1] ?? '';
    const rows = await world.test.cloud.db.read((session) => session.find(consoleTickets));
    expect(JSON.stringify(rows)).not.toContain(ticket);
    expect(rows.length).toBeGreaterThan(0);
  });

  test('expires, opens no other console, and is not guessed', async () => {
    const url = await addressOf('serial', 'serial');
    expect((await listenTo(url.replace('/serial', '/vnc'))).reason).toMatch(/nobody was given this address/);
    skew = 301_000;
    expect((await listenTo(url)).reason).toMatch(/it has expired/);
    skew = 0;
    for (const odd of [url.replace(/=.*/, '=x'), url.replace(/\?.*/, '')])
      expect((await listenTo(odd)).reason).toMatch(/nobody was given this address/);
    skew = 2 * 3_600_000;
    await addressOf('serial', 'serial');
    expect(await world.test.cloud.db.read((session) => session.count(consoleTickets))).toBe(1);
  });

  test('is of no use to a page of another origin', async () => {
    const url = await addressOf('serial', 'serial');
    for (const origin of ['http://evil.example', 'null', world.test.url.replace('http:', 'https:')])
      await expect(listenTo(url, { origin })).rejects.toThrow('403');
    // A Host header that is not ours does not make the page's origin ours.
    await expect(listenTo(url, { origin: 'http://evil.example', headers: { host: 'evil.example' } })).rejects.toThrow(
      '403',
    );
    expect(await listenTo(url, { origin: world.test.url }, 'hello')).toMatchObject({
      heard: `serial of ${id}\r\nhello`,
    });
  });

  test('of older microversions comes from an action', async () => {
    for (const [action, type] of [
      ['os-getVNCConsole', 'novnc'],
      ['os-getSerialConsole', 'serial'],
    ] as const) {
      const answer = await ask({ [action]: { type } }, '2.1', 'demo', id, 'action');
      expect(answer).toMatchObject({ status: 200, body: { console: { type } } });
      expect((await listenTo(answer.body.console.url as string, {}, 'x')).heard).toMatch(/ of .*x$/s);
      expect((await ask({ [action]: { type } }, '2.6', 'demo', id, 'action')).status).toBe(400);
    }
    expect((await ask(wanted('vnc', 'novnc'), '2.5')).status).toBe(404);
  });
});

test.each<[string, object, string, number]>([
  ['a way that there is not', wanted('spice', 'spice-html5'), '2.79', 400],
  ['a protocol of another way', wanted('serial', 'novnc'), '2.79', 400],
  ['a way of a later microversion', wanted('mks', 'webmks'), '2.7', 400],
  ['a way that nobody has', wanted('vnc', 'telnet'), '2.79', 400],
  ['no way', { remote_console: { protocol: 'vnc' } }, '2.79', 400],
  ['more than asked for', { remote_console: { protocol: 'vnc', type: 'novnc', host: 'x' } }, '2.79', 400],
  ['an empty body', {}, '2.79', 400],
])('%s is refused', async (_what, body, version, status) => {
  const answer = await ask(body, version);
  expect(answer.status).toBe(status);
  expect(JSON.stringify(answer.body)).toMatch(/badRequest/);
});

test.each([
  ['os-getVNCConsole', 'telnet'],
  ['os-getSerialConsole', 'novnc'],
  ['os-getSPICEConsole', 'spice-html5'],
  ['os-getRDPConsole', 'rdp-html5'],
])('%s of type %s is refused', async (action, type) => {
  expect((await ask({ [action]: { type } }, '2.1', 'demo', id, 'action')).status).toBe(400);
});

test('another tenant, and who may only read, get no address', async () => {
  expect((await ask(wanted('vnc', 'novnc'), '2.79', 'other')).status).toBe(404);
  expect((await ask(wanted('vnc', 'novnc'), '2.79', 'reader')).status).toBe(403);
  expect((await ask(wanted('vnc', 'novnc'), '2.79', 'demo', 'nobody')).status).toBe(404);
  expect((await ask({ 'os-getVNCConsole': { type: 'novnc' } }, '2.1', 'other', id, 'action')).status).toBe(404);
});

test('a server that is off has no console, and one that is deleted ends those it had', async () => {
  const other = await world.boot('short');
  await world.settled();
  const { url } = (await ask(wanted('serial', 'serial'), '2.79', 'demo', other)).body.remote_console;
  const early = (await ask(wanted('serial', 'serial'), '2.79', 'demo', other)).body.remote_console.url as string;
  const { host } = world;
  host.domains.set(other, 'shutdown');
  const refused = await listenTo(url as string);
  expect(refused).toMatchObject({ code: 4003, reason: expect.stringMatching(/the server is not running/) as string });
  const { db } = world.test.cloud;
  await db.write((session) => session.update(servers, { id: other }, { power_state: 4 }));
  const answer = await ask(wanted('serial', 'serial'), '2.79', 'demo', other);
  expect(answer).toMatchObject({ status: 409, body: { conflictingRequest: { code: 409 } } });
  expect((await world.test.call('DELETE', `/compute/v2.1/servers/${other}`, { token: 'demo' })).status).toBe(204);
  await world.settled();
  expect((await listenTo(early)).reason).toMatch(/nobody was given this address/);
  expect(await db.read((session) => session.count(consoleTickets, { server_id: other }))).toBe(0);
});

describe('the pages', () => {
  test.each(['serial', 'vnc'])('of %s and all that they load come from here', async (kind) => {
    const page = await fetch(`${world.test.url}/console/${kind}?token=x`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    const wantedFiles = [page.url];
    const seen = new Set<string>();
    for (const url of wantedFiles) {
      if (seen.has(url)) continue;
      seen.add(url);
      expect(new URL(url).origin).toBe(world.test.url);
      const answer = await fetch(url);
      expect([url, answer.status]).toEqual([url, 200]);
      const text = await answer.text();
      const named = /(?:(?:src|href)="(?!data:)|^\s*(?:import|export)[^;'"]*['"](?=\.))([^'"]+)['"]/gm;
      for (const [, path = ''] of text.matchAll(named)) wantedFiles.push(new URL(path, url).href);
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  test('give nothing else of the machine', async () => {
    for (const path of ['files/web/../../package.json', 'files/web/%2e%2e/package.json', 'files/web', 'files/', 'rdp'])
      expect((await world.test.call('GET', `/console/${path}`)).status).toBe(404);
  });

  test('what is no path is answered without a word of the machine', async () => {
    for (const path of ['files/web/%zz', 'files/web/%00', '%zz']) {
      const answer = await fetch(`${world.test.url}/console/${path}`);
      expect([400, 404]).toContain(answer.status);
      expect(await answer.text()).not.toMatch(/node_modules|\/controller\//);
    }
  });

  test.each(['//', '/console/serial?token=%zz', 'http://[', '*', '/console/serial?a?b'])(
    'an upgrade of %s is refused, and the cloud goes on',
    async (path) => {
      const { hostname, port } = new URL(world.test.url);
      const socket = connect(Number(port), hostname);
      const key = Buffer.alloc(16).toString('base64');
      socket.write(
        `GET ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
          `sec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
      );
      const [head] = (await once(socket, 'data')) as [Buffer];
      expect(head.toString()).toMatch(/^HTTP\/1.1 (404 Not Found|400 Bad Request|101 Switching Protocols)/);
      socket.destroy();
      expect((await fetch(`${world.test.url}/healthz`)).status).toBe(200);
    },
  );

  test('what is no console is no WebSocket either', async () => {
    await expect(listenTo(`${world.test.url}/console/rdp`)).rejects.toThrow('404');
    await expect(listenTo(`${world.test.url}/compute/v2.1/servers`)).rejects.toThrow('404');
  });
});

test('a frame that is too large ends its console and nobody else’s', async () => {
  const [one, other] = [await addressOf('serial', 'serial'), await addressOf('serial', 'serial')];
  const socket = new WebSocket(other.replace(/^http/, 'ws'));
  await once(socket, 'message');
  const ended = await listenTo(one, {}, 'x'.repeat(1024 * 1024 + 1));
  expect(ended.code).toBe(1009);
  socket.send('still here');
  const [heard] = (await once(socket, 'message')) as [Buffer];
  expect(heard.toString()).toBe('still here');
  socket.close();
});

test('a browser that does not answer is cut off, one that does is not', async () => {
  const consoles = createConsoles(world.test.cloud, () => '', 500);
  const server = createServer();
  consoles.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const openWith = async (autoPong: boolean): Promise<WebSocket> => {
    const address = (await addressOf('vnc', 'novnc')).replace(/^http:..[^/]*/, `ws://127.0.0.1:${port}`);
    const socket = new WebSocket(address, { autoPong });
    await once(socket, 'message');
    return socket;
  };
  const silent = await openWith(false);
  // It may come while the other one is still being opened.
  const closed = once(silent, 'close');
  const there = await openWith(true);
  const [code] = (await closed) as [number];
  expect(code).toBe(1006);
  for (let turn = 0; turn < 3; turn++) await once(there, 'ping');
  expect(there.readyState).toBe(WebSocket.OPEN);
  consoles.close();
  await once(there, 'close');
  server.close();
});

test('an error that nobody expected opens nothing and is not told', async () => {
  const url = await addressOf('serial', 'serial');
  const { log } = world.test.cloud;
  const told = jest.spyOn(log, 'error').mockImplementation(() => undefined);
  // Nobody's write succeeds meanwhile: the engine may come first.
  const write = jest.spyOn(world.test.cloud.db, 'write').mockRejectedValue(new Error('/secret/path'));
  expect(await listenTo(url)).toMatchObject({ code: 4003, reason: 'An unexpected error prevented it.' });
  expect(told).toHaveBeenCalledWith({ error: '/secret/path' }, 'a console could not be opened');
  told.mockRestore();
  write.mockRestore();
});

test('who leaves before the guest was reached leaves nothing open', async () => {
  const url = await addressOf('serial', 'serial');
  const guest = new PassThrough();
  let arrive: (guest: PassThrough) => void = () => undefined;
  const asked = new Promise<void>((reached) => {
    jest.spyOn(world.host.api, 'openConsole').mockImplementationOnce(() => {
      reached();
      return new Promise((resolve) => (arrive = resolve));
    });
  });
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'binary');
  await Promise.all([once(socket, 'open'), asked]);
  expect(socket.protocol).toBe('binary');
  socket.terminate();
  await new Promise((done) => setTimeout(done, 50));
  arrive(guest);
  await once(guest, 'close');
  expect(guest.destroyed).toBe(true);
});

test('words that are too long for the end of a WebSocket are cut between letters', () => {
  expect(ending('short')).toBe('short');
  const long = ending('ü'.repeat(100));
  expect(long).toMatch(/^ü+…$/);
  expect(Buffer.byteLength(long)).toBeLessThanOrEqual(123);
});

test('the end of the cloud ends consoles, and says so', async () => {
  const own = await startCloudWithHost();
  await own.startEngine();
  const server = await own.boot();
  await own.settled();
  const body = wanted('serial', 'serial');
  const headers = { 'openstack-api-version': 'compute 2.79' };
  const path = `/compute/v2.1/servers/${server}/remote-consoles`;
  const { url } = (await own.test.call('POST', path, { token: 'demo', body, headers })).body.remote_console;
  const socket = new WebSocket((url as string).replace(/^http/, 'ws'));
  await once(socket, 'message');
  const closed = once(socket, 'close');
  await own.stop();
  const [code, reason] = (await closed) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([1001, 'The cloud is being restarted.']);
});
