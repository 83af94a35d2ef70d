// Streams as Node's Duplex: volume upload and download, consoles, screenshots; each on a connection of its own.
import { Duplex } from 'node:stream';
import type { Connection, StreamChannel, StreamSink } from './connection';
import type { ConnectionLostError } from './errors';
import { libvirtErrorFrom } from './errors';
import { PacketType, ProtocolError, Status } from './packet';
import type { Packet } from './packet';
import type { Procedure } from './procedures';

/** Data bytes per packet, as the daemon itself cuts them (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX). */
const MAX_DATA_BYTES = 262_120;
const HIGH_WATER_MARK = 262_144;
const EMPTY = Buffer.alloc(0);

/** Which way the data goes, seen from here. */
export type StreamDirection = 'read' | 'write' | 'both';

/**
 * The data of one libvirt stream. Reading slowly stops the daemon; a write's callback runs when the kernel took the bytes.
 * `finish` of a written stream and `end` of a read one come only after the daemon confirmed that all went well; its
 * refusal is an `error` with the {@link LibvirtError}, a lost connection one with the {@link ConnectionLostError}.
 */
export class VirStream extends Duplex {
  private channel: StreamChannel | undefined;
  private finishSent = false;
  private owned = false;
  /** What went wrong before anybody could listen. */
  private failure: Error | undefined;
  private finishing: ((error?: Error) => void) | undefined;
  /** The daemon said OK or ERROR: nothing more comes. */
  private over = false;

  private constructor(
    private readonly connection: Connection,
    private readonly direction: StreamDirection,
  ) {
    // Node documents these two for Duplex; its types don't have them.
    const sides = { readable: direction !== 'write', writable: direction !== 'read' };
    super({ ...sides, highWaterMark: HIGH_WATER_MARK });
  }

  /** Calls the procedure that opens the stream, on a connection that this stream then owns. Errors as of the call. */
  static async open<A, R>(
    connection: Connection,
    procedure: Procedure<A, R>,
    args: A,
    direction: StreamDirection,
  ): Promise<{ stream: VirStream; result: R }> {
    const stream = new VirStream(connection, direction);
    const sink: StreamSink = {
      opened: (channel) => (stream.channel = channel),
      packet: (packet) => stream.receive(packet),
      lost: (error: ConnectionLostError) => stream.fail(error),
    };
    try {
      const result = await connection.openStream(procedure, args, sink);
      setImmediate(() => stream.handedOver());
      return { stream, result };
    } catch (error) {
      stream.over = true;
      stream.destroy();
      throw error;
    }
  }

  override _read(): void {
    this.connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // A write that fails is followed by the loss of the connection, which tells more than its EPIPE.
    const sent = (error?: Error | null): void => (error ? undefined : done());
    for (let at = 0; at < chunk.length; at += MAX_DATA_BYTES) {
      const last = at + MAX_DATA_BYTES >= chunk.length;
      this.channel?.send(Status.CONTINUE, chunk.subarray(at, at + MAX_DATA_BYTES), last ? sent : undefined);
    }
    if (chunk.length === 0) done();
  }

  /** Asks the daemon to finish; its answer is what ends the stream. */
  override _final(done: (error?: Error | null) => void): void {
    if (this.over) return done();
    this.finishing = done;
    this.sendFinish();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.over) {
      void this.connection.close().then(() => done(error));
      return;
    }
    this.channel?.send(Status.ERROR, EMPTY);
    this.connection.destroySoon('the stream was given up on this side');
    done(error);
  }

  private receive(packet: Packet): void {
    if (this.destroyed || this.over) return;
    if (packet.status === Status.ERROR) return this.refused(packet.payload);
    if (packet.status === Status.OK) return this.confirmed();
    if (packet.type === PacketType.HOLE || this.direction === 'write') {
      return this.fail(new ProtocolError(`libvirt ${this.channel?.procedure}: data where none was asked for`));
    }
    // The daemon has no more data: a reader answers with "finish" and waits for the confirmation.
    if (packet.payload.length === 0) this.sendFinish();
    // Not before the caller has the stream: the reply to the opening call may be behind this data.
    else if (!this.push(packet.payload) && this.owned) this.connection.pause();
  }

  private sendFinish(): void {
    if (!this.finishSent) this.channel?.send(Status.OK, EMPTY);
    this.finishSent = true;
  }

  private confirmed(): void {
    this.over = true;
    if (this.direction !== 'write') this.push(null);
    this.finishing?.();
    // A console whose guest is gone takes no more input.
    if (this.direction === 'both' && !this.finishing) this.end();
  }

  /** The caller has the stream and had its turn to listen: from now on failures are `error` events. */
  private handedOver(): void {
    this.owned = true;
    if (this.failure) this.destroy(this.failure);
  }

  private fail(error: Error): void {
    this.over = true;
    this.failure ??= error;
    if (this.owned) this.destroy(error);
  }

  private refused(payload: Buffer): void {
    const procedure = this.channel?.procedure ?? 'stream';
    try {
      this.fail(libvirtErrorFrom(procedure, payload));
    } catch (error) {
      this.fail(new ProtocolError(`libvirt ${procedure}: unreadable error`, { cause: error }));
    }
  }
}
