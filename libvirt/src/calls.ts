// The calls of one connection: serial numbers, at most so many in flight, the rest in a queue, timeouts and late replies.
import { decode, encode } from './codec';
import { CallTimeoutError, ConnectionLostError, libvirtErrorFrom } from './errors';
import { PacketType, ProtocolError, Status } from './packet';
import type { Packet } from './packet';
import type { Procedure } from './procedures';

/** What {@link Calls} needs from its connection. */
export interface CallTransport {
  socketPath: string;
  maxInFlight: number;
  send(packet: Packet): void;
  /** Every slot is held by a call that timed out: only a new connection helps. */
  exhausted(): void;
}

export interface CallOptions {
  /** Milliseconds until the call fails with CallTimeoutError, its time in the queue included; Infinity for none. */
  timeoutMs: number;
  /** Runs with the serial when the call leaves the queue: a daemon may send a stream's data before the reply. */
  onSent?: (serial: number) => void;
}

interface PendingCall {
  name: string;
  program: number;
  number: number;
  payload: Buffer;
  onSent: ((serial: number) => void) | undefined;
  succeed(reply: Buffer): void;
  fail(error: Error): void;
}

/** The largest serial; after it they begin at 1 again. */
const LAST_SERIAL = 0xffff_ffff;

export class Calls {
  private readonly queue = new Set<PendingCall>();
  private readonly inFlight = new Map<number, PendingCall>();
  /** Serials of calls that timed out: their slot stays taken, because the daemon still counts them, until the late reply. */
  private readonly timedOut = new Set<number>();
  private lost: ConnectionLostError | undefined;

  constructor(
    private readonly transport: CallTransport,
    private lastSerial = 0,
  ) {}

  /** @throws LibvirtError, CallTimeoutError, ConnectionLostError; XdrError when an argument has no wire form. */
  call<A, R>(procedure: Procedure<A, R>, args: A, { timeoutMs, onSent }: CallOptions): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.lost) throw this.lossOf(this.lost, false);
      let timer: NodeJS.Timeout | undefined;
      const call: PendingCall = {
        name: procedure.name,
        program: procedure.program,
        number: procedure.number,
        payload: encode(procedure.args, args),
        onSent,
        succeed(reply) {
          clearTimeout(timer);
          resolve(decode(procedure.result, reply));
        },
        fail(error) {
          clearTimeout(timer);
          reject(error);
        },
      };
      if (Number.isFinite(timeoutMs)) timer = setTimeout(() => this.expire(call, timeoutMs), timeoutMs);
      this.queue.add(call);
      this.sendNext();
    });
  }

  /** Takes a REPLY packet. @throws ProtocolError when nobody waits for it. */
  reply(packet: Packet): void {
    const { serial, payload, status } = packet;
    const call = this.inFlight.get(serial);
    if (!call && !this.timedOut.delete(serial))
      throw new ProtocolError(`a reply to serial ${serial}, which was never sent`);
    this.inFlight.delete(serial);
    if (call) settle(call, packet, status === Status.OK ? undefined : payload);
    this.sendNext();
  }

  /** Fails every call, sent or not: the one way in which a connection ends. */
  loseAll(reason: ConnectionLostError): void {
    this.lost = reason;
    const sent = [...this.inFlight.values()];
    const queued = [...this.queue];
    this.inFlight.clear();
    this.queue.clear();
    this.timedOut.clear();
    for (const call of sent) call.fail(this.lossOf(reason, true, call.name));
    for (const call of queued) call.fail(this.lossOf(reason, false, call.name));
  }

  private lossOf(reason: ConnectionLostError, sent: boolean, name?: string): ConnectionLostError {
    const state = sent ? `connection lost during ${name}, its outcome is unknown` : 'not connected';
    return new ConnectionLostError(this.transport.socketPath, `${state}: ${reason.reason}`, sent, { cause: reason });
  }

  private sendNext(): void {
    for (const call of this.queue) {
      if (this.inFlight.size + this.timedOut.size >= this.transport.maxInFlight) return;
      this.queue.delete(call);
      const serial = this.nextSerial();
      this.inFlight.set(serial, call);
      call.onSent?.(serial);
      const { program, number, payload } = call;
      const header = { program, version: 1, procedure: number, type: PacketType.CALL, serial, status: Status.OK };
      this.transport.send({ ...header, payload });
    }
  }

  private nextSerial(): number {
    do {
      this.lastSerial = this.lastSerial >= LAST_SERIAL ? 1 : this.lastSerial + 1;
    } while (this.inFlight.has(this.lastSerial) || this.timedOut.has(this.lastSerial));
    return this.lastSerial;
  }

  private expire(call: PendingCall, timeoutMs: number): void {
    const wasQueued = this.queue.delete(call);
    for (const [serial, other] of this.inFlight) {
      if (other !== call) continue;
      this.inFlight.delete(serial);
      this.timedOut.add(serial);
    }
    call.fail(new CallTimeoutError(call.name, timeoutMs, !wasQueued));
    if (this.timedOut.size >= this.transport.maxInFlight) this.transport.exhausted();
  }
}

/** Ends a call with its reply; a reply that can't be read fails that call alone, since the framing is intact. */
function settle(call: PendingCall, packet: Packet, errorPayload: Buffer | undefined): void {
  try {
    if (packet.procedure !== call.number || packet.program !== call.program) {
      throw new ProtocolError(`the reply to ${call.name} is one to procedure ${packet.procedure}`);
    }
    if (errorPayload) call.fail(libvirtErrorFrom(call.name, errorPayload));
    else call.succeed(packet.payload);
  } catch (error) {
    call.fail(new ProtocolError(`libvirt ${call.name}: unreadable reply`, { cause: error }));
  }
}
