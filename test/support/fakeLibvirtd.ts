// A libvirtd in this process: a unix socket that speaks the same codecs from the other side, and misbehaves when told to.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from '../../libvirt/src/codec';
import type { CodecType } from '../../libvirt/src/codec';
import { remoteError } from '../../libvirt/src/errors';
import { events, wireOf } from '../../libvirt/src/events';
import type { EventName } from '../../libvirt/src/events';
import { PacketDecoder, PacketType, Program, Status, encodePacket } from '../../libvirt/src/packet';
import type { Packet } from '../../libvirt/src/packet';
import { procedures } from '../../libvirt/src/procedures';
import type { Procedure } from '../../libvirt/src/procedures';

type Procedures = typeof procedures;
export type ProcedureKey = keyof Procedures;
type ArgsOf<K extends ProcedureKey> = CodecType<Procedures[K]['args']>;
type ResultOf<K extends ProcedureKey> = CodecType<Procedures[K]['result']>;

/** Thrown by a handler: the daemon answers with this error. */
export class Refusal extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly from = 10,
  ) {
    super(message);
  }
}

/** One client's connection, seen from the daemon. */
export interface Peer {
  /** Calls seen so far, by key, in order. */
  readonly calls: ProcedureKey[];
  /** Keepalive packets seen: 1 ping, 2 pong. */
  readonly keepalive: number[];
  /** Packets of streams that came in. */
  readonly streamPackets: Packet[];
  readonly closed: Promise<void>;
  send(packet: Partial<Packet>): void;
  /** A packet of the stream that the call with this serial opened. */
  sendStream(key: ProcedureKey, serial: number, status: number, payload?: Buffer): boolean;
  event(name: EventName, payload: object): void;
  ping(): void;
  raw(bytes: Buffer): void;
  /** Stop answering and reading, as a hung daemon does. */
  hang(): void;
  drop(): void;
}

/** What a handler knows of its call. */
export interface CallContext {
  peer: Peer;
  serial: number;
}

type Handler<K extends ProcedureKey> = (args: ArgsOf<K>, context: CallContext) => ResultOf<K> | Promise<ResultOf<K>>;

export interface FakeLibvirtd {
  readonly socketPath: string;
  readonly directory: string;
  /** All connections there ever were, in order. */
  readonly peers: Peer[];
  /** Answers a procedure from now on; without a handler the daemon says that it does not support it. */
  on<K extends ProcedureKey>(key: K, handler: Handler<K>): void;
  /** How a stream packet is answered; nothing unless told. */
  onStream(handler: (packet: Packet, peer: Peer) => void): void;
  /** Resolves with the n-th connection (from 0). */
  peer(index: number): Promise<Peer>;
  /** Stops listening and drops everybody; {@link start} brings it back on the same socket. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** {@link stop}, and removes the directory. */
  remove(): Promise<void>;
}

type AnyHandler = (args: unknown, context: CallContext) => unknown;

/** Never answers. */
export const silence = <T>(): Promise<T> => new Promise<T>(() => undefined);

const keyByNumber = new Map(
  (Object.keys(procedures) as ProcedureKey[]).map((key) => [
    `${procedures[key].program}:${procedures[key].number}`,
    key,
  ]),
);

/** The payload of an error packet. */
export const errorPayload = (code: number, message: string, domain = 10): Buffer =>
  encode(remoteError, {
    ...{ code, domain, message, level: 2, dom: undefined, net: undefined },
    ...{ str1: '%s', str2: message, str3: undefined, int1: -1, int2: -1 },
  });

/** Starts a daemon that accepts, opens, closes and registers; everything else is for handlers. */
export async function startFakeLibvirtd(socketName = 'libvirt-sock'): Promise<FakeLibvirtd> {
  const directory = await mkdtemp(join(tmpdir(), 'cml-fake-libvirtd-'));
  const socketPath = join(directory, socketName);
  const peers: Peer[] = [];
  const waiting: { index: number; resolve: (peer: Peer) => void }[] = [];
  const handlers = new Map<ProcedureKey, AnyHandler>();
  let streamHandler: (packet: Packet, peer: Peer) => void = () => undefined;
  let callbacks = 0;
  let server: Server | undefined;

  const on: FakeLibvirtd['on'] = (key, handler) => void handlers.set(key, handler as AnyHandler);
  on('authList', () => ({ types: [0] }));
  on('connectSupportsFeature', () => ({ supported: 1 }));
  on('connectOpen', () => ({}));
  on('connectClose', () => ({}));
  on('connectDomainEventCallbackRegisterAny', () => ({ callbackID: callbacks++ }));

  async function answer(packet: Packet, peer: Peer): Promise<void> {
    const key = keyByNumber.get(`${packet.program}:${packet.procedure}`);
    const reply = (status: number, payload: Buffer): void =>
      peer.send({ ...packet, type: PacketType.REPLY, status, payload });
    if (key === undefined) return reply(Status.ERROR, errorPayload(39, `unknown procedure: ${packet.procedure}`, 7));
    peer.calls.push(key);
    const procedure = procedures[key] as Procedure<unknown, unknown>;
    try {
      const handler = handlers.get(key);
      if (!handler) throw new Refusal(3, `this function is not supported by the connection driver: ${key}`);
      const context = { peer, serial: packet.serial };
      reply(Status.OK, encode(procedure.result, await handler(decode(procedure.args, packet.payload), context)));
    } catch (error) {
      const { code = 1, message, from = 0 } = error as Partial<Refusal> & Error;
      reply(Status.ERROR, errorPayload(code, message, from));
    }
  }

  function receive(packet: Packet, peer: Peer): void {
    if (packet.program === Program.KEEPALIVE) {
      peer.keepalive.push(packet.procedure);
      if (packet.procedure === 1) peer.send({ ...packet, procedure: 2 });
    } else if (packet.type === PacketType.STREAM) {
      peer.streamPackets.push(packet);
      streamHandler(packet, peer);
    } else void answer(packet, peer);
  }

  function accept(socket: Socket): void {
    const peer = peerOf(socket);
    const decoder = new PacketDecoder();
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (const packet of decoder.push(chunk)) receive(packet, peer);
    });
    peers.push(peer);
    for (const { index, resolve } of waiting) if (index < peers.length) resolve(peers[index] as Peer);
  }

  const daemon: FakeLibvirtd = {
    ...{ socketPath, directory, peers, on },
    onStream: (handler) => (streamHandler = handler),
    peer: (index) => {
      const known = peers[index];
      return known ? Promise.resolve(known) : new Promise((resolve) => waiting.push({ index, resolve }));
    },
    start: () =>
      new Promise((resolve, reject) => {
        server = createServer(accept).once('error', reject).listen(socketPath, resolve);
      }),
    stop: () =>
      new Promise((resolve) => {
        server?.close(() => resolve());
        for (const peer of peers) peer.drop();
      }),
    async remove() {
      await daemon.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await daemon.start();
  return daemon;
}

function peerOf(socket: Socket): Peer {
  const send = (packet: Partial<Packet>): boolean =>
    socket.write(
      encodePacket({
        ...{ program: Program.REMOTE, version: 1, procedure: 0, type: PacketType.REPLY, serial: 0, status: Status.OK },
        ...{ payload: Buffer.alloc(0) },
        ...packet,
      }),
    );
  return {
    ...{ calls: [], keepalive: [], streamPackets: [], send },
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    sendStream: (key, serial, status, payload = Buffer.alloc(0)) =>
      send({ procedure: procedures[key].number, type: PacketType.STREAM, serial, status, payload }),
    event(name, payload) {
      const wire = encode(wireOf(name), { callbackID: 0, ...payload });
      // Like the real one: events come with serial 1, whatever calls are under way.
      send({ procedure: events[name].message, type: PacketType.MESSAGE, serial: 1, payload: wire });
    },
    ping: () => void send({ program: Program.KEEPALIVE, procedure: 1, type: PacketType.MESSAGE }),
    raw: (bytes) => void socket.write(bytes),
    hang: () => void socket.pause(),
    drop: () => void socket.destroy(),
  };
}
