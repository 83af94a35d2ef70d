// What a host whose server goes asks of the other one, over real mutual TLS: who may ask what, and what a lost answer is.
import { createServer as createTlsServer, type Server } from 'node:https';
import { connect, createServer, type AddressInfo, type Server as PlainServer } from 'node:net';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import {
  createHostListener,
  createMtlsClient,
  createNeighbours,
  HostError,
  newId,
  silentLogger,
  type MigrationPeer,
  type MigrationTarget,
} from '@cumulet/common';
import { makeTestCa, type TestCa } from '../support/certificates';

let ca: TestCa;
let listener: Server;
let address: string;
let hypervisor: PlainServer;
/** All that came to the hypervisor on its last connection. */
let arrived: Promise<string>;
let asked: unknown[];
let answer: Partial<MigrationTarget>;
const peers: MigrationPeer[] = [];
const id = newId();

const target: MigrationTarget = {
  examine: async (...all) => answer.examine?.(...all) ?? `${all[2]} there`,
  prepare: async (...all) => answer.prepare?.(...all) ?? (asked.push(all), Buffer.from([0, 255])),
  finish: async (...all) => {
    asked.push(all);
    await answer.finish?.(...all);
  },
  async open(...all) {
    if (answer.open) return answer.open(...all);
    asked.push(all);
    const socket = connect((hypervisor.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  },
};

beforeAll(async () => {
  ca = await makeTestCa();
  for (const name of ['h1', 'h2']) await ca.add('host', name);
  await ca.add('controller', 'ctl');
  listener = createHostListener({ inventoryOfResources: async () => [] }, ca.files('h2'), silentLogger, target);
  await new Promise<void>((done) => void listener.listen(0, '127.0.0.1', done));
  address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  hypervisor = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('ready:');
    socket.once('data', (chunk) => socket.write(chunk));
    arrived = text(socket).catch((error: Error) => error.message);
    void arrived.then(() => socket.destroy());
  });
  await new Promise<void>((done) => void hypervisor.listen(0, '127.0.0.1', done));
});
beforeEach(() => {
  asked = [];
  answer = {};
});
afterAll(() => {
  for (const peer of peers) peer.close();
  listener.close();
  listener.closeAllConnections();
  hypervisor.close();
  ca.stop();
});

/** How `from` reaches the host that it takes for `to`. */
function peer(from = 'h1', to = 'h2', at = address): MigrationPeer {
  const made = createNeighbours(ca.files(from))(to, at);
  peers.push(made);
  return made;
}
const refusal = (work: Promise<unknown>): Promise<{ readonly code?: string; readonly message?: string }> =>
  work.then(
    () => ({ code: 'fine' }),
    ({ code, message }: { code: string; message: string }) => ({ code, message }),
  );

test('each step comes with the name of the host that asks, and bytes as they are', async () => {
  expect(await peer().examine(id, '<d/>')).toBe('<d/> there');
  const cookie = Buffer.from([1, 0, 200]);
  expect(await peer().prepare(id, { xml: '<x/>', cookie })).toEqual(Buffer.from([0, 255]));
  await peer().finish(id, cookie);
  expect(asked).toEqual([
    ['h1', id, { xml: '<x/>', cookie }],
    ['h1', id, cookie],
  ]);
});

test.each(['memory', 'disks'] as const)(
  'a way for %s goes both ways, and all that was sent arrives',
  async (channel) => {
    const stream = await peer().open(id, channel);
    let heard = '';
    stream.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    stream.write('guest');
    while (heard !== 'ready:guest') await once(stream, 'data');
    const last = 'x'.repeat(1_000_000);
    stream.end(last);
    expect((await arrived).length).toBe('guest'.length + last.length);
    expect(asked).toEqual([['h1', id, channel]]);
  },
);

test('what the other end says together with its yes is heard', async () => {
  const other = createTlsServer({ ...ca.files('h2'), requestCert: true });
  other.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: cumulet\r\n\r\nready:');
  });
  await new Promise<void>((done) => void other.listen(0, '127.0.0.1', done));
  const stream = await peer('h1', 'h2', `127.0.0.1:${(other.address() as AddressInfo).port}`).open(id, 'disks');
  expect(await text(stream)).toBe('ready:');
  other.close();
  other.closeAllConnections();
});

test('what is refused is told in its words, and is no lost answer', async () => {
  const refuse = () => Promise.reject(new HostError('not_expected', 'nobody expects it', { retryable: false }));
  answer = { examine: refuse, prepare: refuse, finish: refuse, open: refuse };
  const refused = { code: 'migration_refused', message: 'nobody expects it' };
  const offer = { xml: '', cookie: Buffer.alloc(0) };
  expect(await refusal(peer().examine(id, ''))).toEqual(refused);
  expect(await refusal(peer().prepare(id, offer))).toEqual(refused);
  expect(await refusal(peer().finish(id, offer.cookie))).toEqual(refused);
  expect(await refusal(peer().open(id, 'memory'))).toEqual(refused);
  expect((await refusal(peer().open('../x', 'memory'))).code).toBe('forbidden');
  expect((await refusal(peer().open('nobody', 'memory'))).code).toBe('bad_request');
  expect((await refusal(peer().examine('nobody', ''))).code).toBe('bad_request');
});

test('what went wrong without words, and a host that is away, are lost answers', async () => {
  answer = { finish: () => Promise.reject(new Error('a bug')) };
  expect((await refusal(peer().finish(id, Buffer.alloc(0)))).code).toBe('unreachable');
  answer = { open: () => Promise.reject(new Error('a bug')) };
  expect((await refusal(peer().open(id, 'disks'))).code).toBe('unreachable');
  const nobody = peer('h1', 'h2', '127.0.0.1:1');
  expect((await refusal(nobody.finish(id, Buffer.alloc(0)))).code).toBe('unreachable');
  expect((await refusal(nobody.open(id, 'memory'))).code).toBe('unreachable');
});

test('a host is who its certificate says, on both sides', async () => {
  expect(await refusal(peer('h1', 'h3').examine(id, ''))).toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining('the certificate is not that of host h3 but of host h2'),
  });
  expect((await refusal(peer('h1', 'h3').open(id, 'memory'))).code).toBe('unreachable');
});

test('a controller sends no servers, and a host asks nothing else', async () => {
  expect((await refusal(peer('ctl').examine(id, ''))).code).toBe('forbidden');
  expect((await refusal(peer('ctl').open(id, 'memory'))).code).toBe('forbidden');
  const client = createMtlsClient(ca.files('h1'), () => true, 'anybody');
  const call = { method: 'GET' as const, base: `https://${address}`, timeout: 5_000 };
  expect((await refusal(client.bytes({ ...call, path: '/host/v1/resources' }))).code).toBe('forbidden');
  expect((await refusal(client.bytes({ ...call, path: '/host/v1/nothing' }))).code).toBe('forbidden');
  expect((await refusal(client.tunnel({ ...call, path: '/host/v1/incoming/nothing/x' }))).code).toBe('forbidden');
  client.close();
  expect(asked).toEqual([]);
});

test('a listener of an agent without servers takes none', async () => {
  const other = createHostListener({}, ca.files('h2'), silentLogger);
  await new Promise<void>((done) => void other.listen(0, '127.0.0.1', done));
  const at = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  expect((await refusal(peer('h1', 'h2', at).examine(id, ''))).code).toBe('forbidden');
  expect((await refusal(peer('h1', 'h2', at).open(id, 'memory'))).code).toBe('forbidden');
  other.close();
  other.closeAllConnections();
});
