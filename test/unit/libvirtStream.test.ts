// Streams against a daemon that is early, slow, wrong or gone.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LibvirtClient } from '@cumulet/libvirt';
import type { VirStream } from '@cumulet/libvirt';
import { Status } from '../../libvirt/src/packet';
import type { Packet } from '../../libvirt/src/packet';
import { Refusal, errorPayload, startFakeLibvirtd } from '../support/fakeLibvirtd';
import type { CallContext, FakeLibvirtd, Peer } from '../support/fakeLibvirtd';

const UUID = '00010203-0405-0607-0809-0a0b0c0d0e0f';
const volume = { pool: 'p', name: 'v', key: '/p/v' };
const CHUNK = Buffer.alloc(262_120, 'x');

let daemon: FakeLibvirtd;
let client: LibvirtClient;

beforeEach(async () => {
  daemon = await startFakeLibvirtd();
  client = await LibvirtClient.connect({ socketPath: daemon.socketPath, events: [] });
});
afterEach(async () => {
  await client.close();
  await daemon.remove();
});

const closed = (stream: VirStream): Promise<void> => new Promise((resolve) => stream.once('close', resolve));
const failure = (stream: VirStream): Promise<Error> => new Promise((resolve) => stream.once('error', resolve));
async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
/** Answers a download's call by what `act` does in the same turn, before the reply. */
const downloads = (act: (peer: Peer, serial: number) => void): void =>
  daemon.on('storageVolDownload', (_args, { peer, serial }: CallContext) => {
    act(peer, serial);
    return {};
  });
const sendData = (peer: Peer, serial: number, packets: number): void => {
  for (let i = 0; i < packets; i++) peer.sendStream('storageVolDownload', serial, Status.CONTINUE, CHUNK);
  peer.sendStream('storageVolDownload', serial, Status.CONTINUE);
};
/** Confirms "finish", as the daemon does. */
const confirm =
  (key: 'storageVolDownload' | 'storageVolUpload' | 'domainOpenConsole') => (packet: Packet, peer: Peer) => {
    if (packet.status === Status.OK) peer.sendStream(key, packet.serial, Status.OK);
  };

test('data that arrives before the reply is not lost', async () => {
  daemon.onStream(confirm('storageVolDownload'));
  downloads((peer, serial) => {
    peer.sendStream('storageVolDownload', serial, Status.CONTINUE, Buffer.from('early'));
    peer.sendStream('storageVolDownload', serial, Status.CONTINUE);
  });
  expect(await text(await client.downloadVolume(volume))).toBe('early');
});

test('more data than a stream buffers may come before the reply', async () => {
  daemon.onStream(confirm('storageVolDownload'));
  downloads((peer, serial) => sendData(peer, serial, 4));
  expect((await text(await client.downloadVolume(volume))).length).toBe(4 * CHUNK.length);
});

test('an error that arrives before the reply reaches the caller', async () => {
  downloads((peer, serial) =>
    peer.sendStream('storageVolDownload', serial, Status.ERROR, errorPayload(38, 'disk gone')),
  );
  const stream = await client.downloadVolume(volume);
  expect(await failure(stream)).toMatchObject({ name: 'LibvirtError', code: 38, procedure: 'STORAGE_VOL_DOWNLOAD' });
});

test('a refusal to open leaves no connection behind', async () => {
  daemon.on('storageVolDownload', () => {
    throw new Refusal(50, 'no such volume');
  });
  await expect(client.downloadVolume(volume)).rejects.toMatchObject({ code: 50 });
  await (
    await daemon.peer(1)
  ).closed;
});

test('a daemon that dies in the middle is an error, not an end', async () => {
  downloads((peer, serial) => peer.sendStream('storageVolDownload', serial, Status.CONTINUE, Buffer.from('half')));
  const stream = await client.downloadVolume(volume);
  const read = text(stream);
  (await daemon.peer(1)).drop();
  await expect(read).rejects.toMatchObject({ name: 'ConnectionLostError' });
});

test.each<[string, (peer: Peer, serial: number) => void]>([
  ['holes, which were not asked for', (peer, serial) => peer.send({ procedure: 209, type: 6, serial, status: 2 })],
  [
    'an unreadable error',
    (peer, serial) => peer.sendStream('storageVolDownload', serial, Status.ERROR, Buffer.alloc(2)),
  ],
])('%s are a protocol error', async (_what, misbehave) => {
  downloads(misbehave);
  expect(await failure(await client.downloadVolume(volume))).toMatchObject({ name: 'ProtocolError' });
});

test('an upload is cut into packets the daemon takes, and finishes only when confirmed', async () => {
  daemon.on('storageVolUpload', () => ({}));
  const stream = await client.uploadVolume(volume);
  const peer = await daemon.peer(1);
  let finished = false;
  stream.once('finish', () => (finished = true));
  stream.write(Buffer.alloc(0));
  stream.end(Buffer.alloc(600_000, 'u'));
  while (peer.streamPackets.at(-1)?.status !== Status.OK) await new Promise(setImmediate);
  expect(peer.streamPackets.map(({ payload }) => payload.length)).toEqual([262_120, 262_120, 75_760, 0]);
  expect(finished).toBe(false);
  peer.sendStream('storageVolUpload', peer.streamPackets[0]?.serial ?? 0, Status.OK);
  await closed(stream);
  expect(finished).toBe(true);
  expect(peer.calls.at(-1)).toBe('connectClose');
});

test('a daemon that refuses an upload half-way ends it with its reason', async () => {
  daemon.on('storageVolUpload', () => ({}));
  daemon.onStream((packet, peer) => {
    peer.sendStream('storageVolUpload', packet.serial, Status.ERROR, errorPayload(38, 'No space left on device'));
  });
  const upload = pipeline(Readable.from([CHUNK, CHUNK, CHUNK]), await client.uploadVolume(volume));
  await expect(upload).rejects.toMatchObject({ name: 'LibvirtError', reason: 'No space left on device' });
});

test('a daemon that dies during an upload is told as that', async () => {
  daemon.on('storageVolUpload', () => ({}));
  daemon.onStream((_packet, peer) => peer.drop());
  const upload = pipeline(Readable.from(Array(50).fill(CHUNK)), await client.uploadVolume(volume));
  await expect(upload).rejects.toMatchObject({ name: 'ConnectionLostError' });
});

test('data on an upload is a protocol error', async () => {
  daemon.on('storageVolUpload', () => ({}));
  daemon.onStream((packet, peer) => void peer.sendStream('storageVolUpload', packet.serial, Status.CONTINUE, CHUNK));
  const stream = await client.uploadVolume(volume);
  const failed = failure(stream);
  stream.write('x');
  expect(await failed).toMatchObject({ name: 'ProtocolError' });
});

test('giving up tells the daemon', async () => {
  downloads((peer, serial) => peer.sendStream('storageVolDownload', serial, Status.CONTINUE, CHUNK));
  const stream = await client.downloadVolume(volume);
  stream.destroy();
  const peer = await daemon.peer(1);
  await peer.closed;
  expect(peer.streamPackets.map(({ status, payload }) => [status, payload.length])).toEqual([[Status.ERROR, 0]]);
});

test('a reader that does not read makes the data wait outside, and gets all of it later', async () => {
  const packets = 60;
  daemon.onStream(confirm('storageVolDownload'));
  downloads((peer, serial) => setImmediate(() => sendData(peer, serial, packets)));
  const stream = await client.downloadVolume(volume);
  for (let i = 0; i < 500; i++) await new Promise(setImmediate);
  expect(stream.readableLength).toBeLessThan(4 * CHUNK.length);
  expect((await text(stream)).length).toBe(packets * CHUNK.length);
});

describe('a console', () => {
  let stream: VirStream;
  let peer: Peer;
  let serial = 0;
  beforeEach(async () => {
    daemon.on('domainOpenConsole', (args, context) => {
      serial = context.serial;
      expect(args).toMatchObject({ dom: { uuid: UUID }, devName: 'serial0', flags: 1 });
      return {};
    });
    stream = await client.openConsole(UUID, { device: 'serial0', force: true });
    peer = await daemon.peer(1);
  });

  test('carries bytes both ways and ends when the guest does', async () => {
    daemon.onStream(confirm('domainOpenConsole'));
    stream.write('ls\n');
    while (peer.streamPackets.length === 0) await new Promise(setImmediate);
    expect(peer.streamPackets[0]?.payload.toString()).toBe('ls\n');
    peer.sendStream('domainOpenConsole', serial, Status.CONTINUE, Buffer.from('file'));
    peer.sendStream('domainOpenConsole', serial, Status.CONTINUE);
    const ended = closed(stream);
    expect(await text(stream)).toBe('file');
    await ended;
    expect(stream.writableFinished).toBe(true);
  });

  test('ends when this side does, after the daemon confirmed', async () => {
    daemon.onStream(confirm('domainOpenConsole'));
    const ended = closed(stream);
    stream.resume().end();
    await ended;
    expect(peer.streamPackets.map(({ status }) => status)).toEqual([Status.OK]);
  });

  test('ends with the client', async () => {
    const failed = failure(stream);
    await client.close();
    expect(await failed).toMatchObject({ name: 'ConnectionLostError', reason: 'closed by this side' });
  });
});
