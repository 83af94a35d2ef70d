// One connection against a daemon that dies, hangs, answers late, out of order or nonsense.
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { CallTimeoutError, ConnectionLostError, LibvirtError } from '@cumulet/libvirt';
import { Calls } from '../../libvirt/src/calls';
import { openConnection } from '../../libvirt/src/connection';
import type { Connection, ConnectionOptions } from '../../libvirt/src/connection';
import { handshake, requireEventCallbacks } from '../../libvirt/src/handshake';
import { PacketType } from '../../libvirt/src/packet';
import type { Packet } from '../../libvirt/src/packet';
import { procedures } from '../../libvirt/src/procedures';
import { Refusal, silence, startFakeLibvirtd } from '../support/fakeLibvirtd';
import type { FakeLibvirtd } from '../support/fakeLibvirtd';
import { ping, pong } from '../support/libvirtPackets';

const dom = { name: 'g', uuid: '00010203-0405-0607-0809-0a0b0c0d0e0f', id: 1 };
const HOUR = 3_600_000;
const patient = { intervalMs: HOUR, misses: 5 };

let daemon: FakeLibvirtd;
let connection: Connection;

const connect = async (options: Partial<ConnectionOptions> = {}): Promise<Connection> => {
  const socketPath = daemon.socketPath;
  connection = await openConnection({ socketPath, callTimeoutMs: HOUR, keepalive: patient, ...options });
  return connection;
};
const hostname = (timeoutMs = HOUR): Promise<string> =>
  connection.call(procedures.connectGetHostname, {}, { timeoutMs }).then((result) => result.hostname);
/** How a promise ended, without failing the test when it fails. */
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
/** Everything that is under way in both directions has arrived. */
const settled = async (): Promise<void> => {
  await connection.call(procedures.authList, {});
};

beforeEach(async () => {
  daemon = await startFakeLibvirtd();
});
afterEach(async () => {
  connection?.destroy('the test is over');
  await daemon.remove();
});

test('a daemon that is not there is named, with the reason', async () => {
  await expect(openConnection({ socketPath: '/nonexistent/sock', callTimeoutMs: 1 })).rejects.toMatchObject({
    name: 'ConnectionLostError',
    message: expect.stringMatching(/^libvirt at \/nonexistent\/sock: cannot connect: .*ENOENT/) as string,
    sent: false,
  });
});

test('a refusal carries code, domain and message', async () => {
  daemon.on('connectGetHostname', () => {
    throw new Refusal(38, 'cannot do that', 7);
  });
  const error = await outcome((await connect(), hostname()));
  expect(error).toBeInstanceOf(LibvirtError);
  expect(error).toMatchObject({ code: 38, domain: 7, reason: 'cannot do that', procedure: 'CONNECT_GET_HOSTNAME' });
});

test('when the daemon dies, every call fails at once and tells whether it was sent', async () => {
  daemon.on('connectGetHostname', silence);
  await connect();
  const calls = Array.from({ length: 6 }, () => outcome(hostname()));
  const peer = await daemon.peer(0);
  while (peer.calls.length < 4) await new Promise(setImmediate);
  peer.drop();
  const errors = (await Promise.all(calls)) as ConnectionLostError[];
  expect(errors.every((error) => error instanceof ConnectionLostError)).toBe(true);
  expect(errors.map(({ sent }) => sent)).toEqual([true, true, true, true, false, false]);
  expect(errors[0]?.message).toContain('its outcome is unknown: the daemon closed the connection');
  expect(await outcome(hostname())).toMatchObject({ name: 'ConnectionLostError', sent: false });
  expect((await connection.closed).reason).toBe('the daemon closed the connection');
});

test('a daemon that hangs is found by pings it does not answer', async () => {
  await connect({ keepalive: { intervalMs: 10, misses: 2 } });
  (await daemon.peer(0)).hang();
  expect(await outcome(hostname())).toMatchObject({
    name: 'ConnectionLostError',
    message: expect.stringContaining('the daemon has been silent for 30 ms') as string,
  });
});

test('a daemon that answers pings is kept', async () => {
  await connect({ keepalive: { intervalMs: 5, misses: 5 } });
  const peer = await daemon.peer(0);
  while (peer.keepalive.length < 10) await new Promise((resolve) => setTimeout(resolve, 5));
  await settled();
});

test("the daemon's pings are answered, also while calls wait", async () => {
  daemon.on('connectGetHostname', silence);
  await connect();
  const calls = Array.from({ length: 5 }, () => outcome(hostname()));
  const peer = await daemon.peer(0);
  peer.ping();
  while (!peer.keepalive.includes(2)) await new Promise(setImmediate);
  peer.drop();
  await Promise.all(calls);
});

test('pings and pongs are byte for byte those of libvirt', async () => {
  let received = '';
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('data', (chunk) => (received += chunk.toString('hex'))));
  });
  const socketPath = join(daemon.directory, 'raw');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  await connect({ socketPath, keepalive: { intervalMs: 5, misses: 1000 } });
  while (!received.includes(ping)) await new Promise(setImmediate);
  sockets[0]?.write(Buffer.from(ping, 'hex'));
  while (!received.includes(pong)) await new Promise(setImmediate);
  expect(received.replaceAll(ping, '')).toBe(pong);
  sockets[0]?.destroy();
  server.close();
});

test('no more than four calls are in flight, and the rest follow in order', async () => {
  const waiting: { name: string; answer: (result: { dom: typeof dom }) => void }[] = [];
  let most = 0;
  const order: string[] = [];
  daemon.on('domainLookupByName', ({ name }) => {
    order.push(name);
    return new Promise((answer) => {
      waiting.push({ name, answer });
      most = Math.max(most, waiting.length);
    });
  });
  await connect();
  const names = Array.from({ length: 40 }, (_, i) => `vm${i}`);
  const calls = names.map((name) => connection.call(procedures.domainLookupByName, { name }));
  let answered = 0;
  while (answered < names.length) {
    await new Promise(setImmediate);
    // The newest first: replies find their calls whatever their order.
    const next = waiting.length >= Math.min(4, names.length - answered) ? waiting.pop() : undefined;
    if (!next) continue;
    next.answer({ dom: { ...dom, name: next.name } });
    answered++;
  }
  expect((await Promise.all(calls)).map((result) => result.dom.name)).toEqual(names);
  expect(most).toBe(4);
  expect(order).toEqual(names);
});

test('an event is told apart from the reply with the same serial, and may come before it', async () => {
  const messages: Packet[] = [];
  daemon.on('authList', (_args, { peer }) => {
    peer.event('lifecycle', { msg: { dom, event: 2, detail: 0 } });
    return { types: [0] };
  });
  await connect({ onMessage: (packet) => messages.push(packet) });
  // The first call has serial 1, which is what the daemon numbers its events.
  expect(await connection.call(procedures.authList, {})).toEqual({ types: [0] });
  expect(messages.map(({ procedure, serial }) => [procedure, serial])).toEqual([[318, 1]]);
});

test('a call without an answer times out, its late reply is dropped, the connection goes on', async () => {
  let answer: (result: { hostname: string }) => void = () => undefined;
  daemon.on('connectGetHostname', () => new Promise((resolve) => (answer = resolve)));
  await connect();
  const error = await outcome(hostname(20));
  expect(error).toBeInstanceOf(CallTimeoutError);
  expect(error).toMatchObject({ sent: true, timeoutMs: 20, procedure: 'CONNECT_GET_HOSTNAME' });
  answer({ hostname: 'late' });
  await settled();
  daemon.on('connectGetHostname', () => ({ hostname: 'in time' }));
  expect(await hostname()).toBe('in time');
});

test('a call that times out in the queue says that it was never sent', async () => {
  daemon.on('connectGetHostname', silence);
  await connect();
  const first = Array.from({ length: 4 }, () => outcome(hostname()));
  expect(await outcome(hostname(20))).toMatchObject({ name: 'CallTimeoutError', sent: false });
  expect((await daemon.peer(0)).calls).toHaveLength(4);
  connection.destroy('enough');
  await Promise.all(first);
});

test('when all slots are held by calls that timed out, the connection is given up', async () => {
  daemon.on('connectGetHostname', silence);
  await connect();
  await Promise.all(Array.from({ length: 4 }, () => outcome(hostname(20))));
  expect((await connection.closed).reason).toContain('4 calls were not answered in time');
});

test('serials wrap round and skip those in use', async () => {
  const sent: Packet[] = [];
  const transport = {
    socketPath: '-',
    maxInFlight: 4,
    send: (packet: Packet) => sent.push(packet),
    exhausted: () => undefined,
  };
  const calls = new Calls(transport, 0xffff_fffe);
  const call = () => calls.call(procedures.connectGetHostname, {}, { timeoutMs: Infinity }).catch(() => undefined);
  const pending = [call(), call()];
  (calls as unknown as { lastSerial: number }).lastSerial = 0xffff_fffe;
  pending.push(call());
  expect(sent.map(({ serial }) => serial)).toEqual([0xffff_ffff, 1, 2]);
  calls.loseAll(new ConnectionLostError('-', 'over', false));
  await Promise.all(pending);
});

test.each<[string, (peer: Awaited<ReturnType<FakeLibvirtd['peer']>>) => void]>([
  ['a reply that nobody asked for', (peer) => peer.send({ serial: 77 })],
  ['a packet that is too short', (peer) => peer.raw(Buffer.from('0000000400000000', 'hex'))],
  ['a packet that is too long', (peer) => peer.raw(Buffer.from('7fffffff00000000', 'hex'))],
  ['a packet with file descriptors', (peer) => peer.send({ type: PacketType.REPLY_WITH_FDS })],
])('%s ends the connection with a reason', async (_what, misbehave) => {
  daemon.on('connectGetHostname', (_args, { peer }) => {
    misbehave(peer);
    return silence();
  });
  await connect();
  expect(await outcome(hostname())).toMatchObject({ message: expect.stringContaining('protocol violated') as string });
});

test.each<[string, Partial<Packet>]>([
  ['an answer that is too short', { payload: Buffer.alloc(3) }],
  ['an answer to another procedure', { procedure: 1 }],
  ['an unreadable error', { status: 1, payload: Buffer.alloc(4) }],
])('%s fails that call alone', async (_what, packet) => {
  daemon.on('connectGetHostname', (_args, { peer, serial }) => {
    peer.send({ procedure: procedures.connectGetHostname.number, serial, ...packet });
    return silence();
  });
  await connect();
  expect(await outcome(hostname())).toMatchObject({ name: 'ProtocolError' });
  await settled();
});

test('an argument that has no wire form fails that call alone', async () => {
  await connect();
  const error = await outcome(connection.call(procedures.domainLookupByUuid, { uuid: 'no uuid' }));
  expect(error).toMatchObject({ name: 'XdrError' });
  await settled();
});

test('packets of a stream nobody has are dropped', async () => {
  await connect();
  (await daemon.peer(0)).sendStream('storageVolDownload', 99, 2, Buffer.from('data'));
  await settled();
});

test('closing says goodbye; a daemon that does not answer is left all the same', async () => {
  await connect();
  const peer = await daemon.peer(0);
  await connection.close();
  await peer.closed;
  expect(peer.calls).toEqual(['connectClose']);
  daemon.on('connectClose', () => {
    throw new Refusal(1, 'I object');
  });
  await connect();
  await connection.close();
  expect((await connection.closed).reason).toContain('I object');
  await connection.close();
});

describe('the handshake', () => {
  const options = { uri: 'qemu:///system', readOnly: false, daemonPings: true };

  test('authenticates, starts keepalive and opens the driver, in this order', async () => {
    let opened: unknown;
    daemon.on('connectOpen', (args) => {
      opened = args;
      return {};
    });
    await handshake(await connect(), { ...options, readOnly: true });
    expect((await daemon.peer(0)).calls).toEqual(['authList', 'connectSupportsFeature', 'connectOpen']);
    expect(opened).toEqual({ name: 'qemu:///system', flags: 1 });
  });

  test('does not ask to be watched where reading may pause', async () => {
    await handshake(await connect(), { ...options, daemonPings: false });
    expect((await daemon.peer(0)).calls).toEqual(['authList', 'connectOpen']);
  });

  test('says which authentication is wanted', async () => {
    daemon.on('authList', () => ({ types: [2, 1, 9] }));
    await expect(handshake(await connect(), options)).rejects.toMatchObject({
      name: 'HandshakeError',
      message: expect.stringContaining('authentication by polkit, SASL, method 9: run as root') as string,
    });
  });

  test('refuses a daemon without event callbacks', async () => {
    daemon.on('connectSupportsFeature', ({ feature }) => ({ supported: feature === 14 ? 0 : 1 }));
    await expect(requireEventCallbacks(await connect())).rejects.toMatchObject({ name: 'HandshakeError' });
  });
});
