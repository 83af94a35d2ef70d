// One connection to a daemon's unix socket: packets in and out, keepalive both ways, one way to end.
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { Calls } from './calls';
import type { CallOptions } from './calls';
import { ConnectionLostError } from './errors';
import { startKeepalive } from './keepalive';
import type { Keepalive, KeepaliveOptions } from './keepalive';
import { PacketDecoder, PacketType, Program, ProtocolError, Status, encodeHeader } from './packet';
import type { Packet } from './packet';
import { procedures } from './procedures';
import type { Procedure } from './procedures';

/** libvirtd serves five calls per client and then stops reading, pings included; one slot stays free. */
const MAX_IN_FLIGHT = 4;
const KEEPALIVE: KeepaliveOptions = { intervalMs: 5_000, misses: 5 };
/** How long leaving may take before the socket is closed without the daemon's blessing. */
const CLOSE_TIMEOUT_MS = 2_000;
const PING = 1;
const PONG = 2;

export interface ConnectionOptions {
  socketPath: string;
  /** Milliseconds for a call that brings no timeout of its own. */
  callTimeoutMs: number;
  keepalive?: KeepaliveOptions;
  /** Events: packets that nobody asked for. Must only hand over. */
  onMessage?: (packet: Packet) => void;
}

/** Where the packets of one stream go. */
export interface StreamSink {
  /** Runs before the first packet. */
  opened(channel: StreamChannel): void;
  packet(packet: Packet): void;
  lost(error: ConnectionLostError): void;
}

/** The sending side of one stream. */
export interface StreamChannel {
  /** The procedure that opened the stream, for messages. */
  procedure: string;
  /** `sent` runs when the kernel took the bytes: the writer's back-pressure. */
  send(status: number, payload: Buffer, sent?: (error?: Error | null) => void): void;
}

/** Connects. @throws ConnectionLostError with the reason when the socket can't be reached. */
export function openConnection(options: ConnectionOptions): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path: options.socketPath });
    const failed = (cause: Error): void =>
      reject(new ConnectionLostError(options.socketPath, `cannot connect: ${cause.message}`, false, { cause }));
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      resolve(new Connection(socket, options));
    });
  });
}

export class Connection {
  /** Settles, never rejects, with the reason when the connection is over. */
  readonly closed: Promise<ConnectionLostError>;
  private readonly calls: Calls;
  private readonly decoder = new PacketDecoder();
  private readonly keepalive: Keepalive;
  private readonly streams = new Map<number, StreamSink>();
  private reason: string | undefined;
  private cause: Error | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly options: ConnectionOptions,
  ) {
    this.calls = new Calls({
      socketPath: options.socketPath,
      maxInFlight: MAX_IN_FLIGHT,
      send: (packet) => this.send(packet),
      exhausted: () => this.destroy(`${MAX_IN_FLIGHT} calls were not answered in time, the connection is stuck`),
    });
    this.keepalive = startKeepalive(
      options.keepalive ?? KEEPALIVE,
      () => this.sendKeepalive(PING),
      (silentMs) => this.destroy(`the daemon has been silent for ${silentMs} ms`),
    );
    socket.on('data', (chunk) => this.receive(chunk));
    socket.on('error', (error) => this.destroy(error.message, error));
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(this.finish())));
  }

  get socketPath(): string {
    return this.options.socketPath;
  }

  /** Calls a procedure. @throws LibvirtError, CallTimeoutError, ConnectionLostError, ProtocolError, XdrError */
  call<A, R>(procedure: Procedure<A, R>, args: A, options: Partial<CallOptions> = {}): Promise<R> {
    return this.calls.call(procedure, args, { timeoutMs: this.options.callTimeoutMs, ...options });
  }

  /** Calls a procedure that opens a stream; its packets go to `sink`, some perhaps before the reply. Errors as of a call. */
  async openStream<A, R>(procedure: Procedure<A, R>, args: A, sink: StreamSink): Promise<R> {
    const { program, number, name } = procedure;
    let serial = 0;
    const onSent = (sent: number): void => {
      serial = sent;
      const header = { program, version: 1, procedure: number, type: PacketType.STREAM, serial };
      this.streams.set(serial, sink);
      sink.opened({
        procedure: name,
        send: (status, payload, done) => this.send({ ...header, status, payload }, done),
      });
    };
    try {
      return await this.call(procedure, args, { onSent });
    } catch (error) {
      this.streams.delete(serial);
      throw error;
    }
  }

  /** Stops reading: replies, events and pings wait as well, so only for connections that serve one stream. */
  pause(): void {
    this.keepalive.suspend();
    this.socket.pause();
  }

  resume(): void {
    this.keepalive.resume();
    this.socket.resume();
  }

  /** Leaves in good order; a daemon that doesn't answer is left all the same. */
  async close(): Promise<void> {
    // Nothing can be asked in good order while a stream's data fills the connection.
    if (this.streams.size > 0) this.destroySoon('closed by this side');
    else if (this.reason === undefined && !this.socket.destroyed) {
      this.resume();
      const left = await this.call(procedures.connectClose, {}, { timeoutMs: CLOSE_TIMEOUT_MS }).then(
        () => 'closed by this side',
        (error: Error) => `closed by this side, the daemon did not confirm: ${error.message}`,
      );
      this.destroySoon(left);
    }
    await this.closed;
  }

  /** Ends the connection at once: every call and stream on it fails with `reason`. */
  destroy(reason: string, cause?: Error): void {
    this.reason ??= reason;
    this.cause ??= cause;
    this.socket.destroy();
  }

  /** Ends the connection when what was written has been sent, or soon after. */
  destroySoon(reason: string): void {
    if (this.socket.destroyed) return;
    this.reason ??= reason;
    // Unread bytes would hold back the end of a paused socket.
    this.socket.resume();
    this.socket.destroySoon();
    const deadline = setTimeout(() => this.socket.destroy(), CLOSE_TIMEOUT_MS);
    this.socket.once('close', () => clearTimeout(deadline));
  }

  private finish(): ConnectionLostError {
    this.keepalive.stop();
    const reason = this.reason ?? 'the daemon closed the connection';
    const options = this.cause ? { cause: this.cause } : undefined;
    const lost = new ConnectionLostError(this.socketPath, reason, false, options);
    this.calls.loseAll(lost);
    const sinks = [...this.streams.values()];
    this.streams.clear();
    for (const sink of sinks) sink.lost(lost);
    return lost;
  }

  private receive(chunk: Buffer): void {
    this.keepalive.heard();
    try {
      for (const packet of this.decoder.push(chunk)) this.route(packet);
    } catch (error) {
      this.destroy(`protocol violated: ${(error as Error).message}`, error as Error);
    }
  }

  private route(packet: Packet): void {
    if (packet.program === Program.KEEPALIVE) {
      if (packet.procedure === PING) this.sendKeepalive(PONG);
      return;
    }
    switch (packet.type) {
      case PacketType.REPLY:
        return this.calls.reply(packet);
      case PacketType.STREAM:
      case PacketType.HOLE:
        return this.routeStream(packet);
      case PacketType.MESSAGE:
        // By program and procedure, never by serial: the daemon numbers events 1.
        return this.options.onMessage?.(packet);
      default:
        throw new ProtocolError(`a packet of type ${packet.type} was not expected`);
    }
  }

  private routeStream(packet: Packet): void {
    // Packets of a stream that was given up on this side are still under way for a moment.
    const sink = this.streams.get(packet.serial);
    if (packet.status !== Status.CONTINUE) this.streams.delete(packet.serial);
    sink?.packet(packet);
  }

  private sendKeepalive(procedure: number): void {
    const header = { program: Program.KEEPALIVE, version: 1, procedure, type: PacketType.MESSAGE };
    this.send({ ...header, serial: 0, status: Status.OK, payload: Buffer.alloc(0) });
  }

  private send(packet: Packet, sent?: (error?: Error | null) => void): void {
    const header = encodeHeader(packet, packet.payload.length);
    if (packet.payload.length === 0) {
      this.socket.write(header, sent);
      return;
    }
    this.socket.cork();
    this.socket.write(header);
    this.socket.write(packet.payload, sent);
    this.socket.uncork();
  }
}
