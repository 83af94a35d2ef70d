// Framing of libvirt's RPC: a length word and a 24-byte header around each payload (virnetprotocol.x).

/** RPC programs. */
export const Program = { REMOTE: 0x20008086, QEMU: 0x20008087, KEEPALIVE: 0x6b656570 } as const;
/** What a packet is. */
export const PacketType = {
  CALL: 0,
  REPLY: 1,
  MESSAGE: 2,
  STREAM: 3,
  CALL_WITH_FDS: 4,
  REPLY_WITH_FDS: 5,
  HOLE: 6,
} as const;
/** How a reply or a part of a stream ended. */
export const Status = { OK: 0, ERROR: 1, CONTINUE: 2 } as const;

const LENGTH_BYTES = 4;
const HEADER_BYTES = 24;
/** Largest whole packet, its length word included. */
const MAX_PACKET_BYTES = 33_554_432 + LENGTH_BYTES;

/** The six words before each payload. */
export interface PacketHeader {
  program: number;
  version: number;
  procedure: number;
  type: number;
  serial: number;
  status: number;
}

export interface Packet extends PacketHeader {
  payload: Buffer;
}

/** Bytes that can't be libvirt's RPC: the connection is of no more use. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** The bytes before the payload of a packet. */
export function encodeHeader(header: PacketHeader, payloadBytes: number): Buffer {
  const total = LENGTH_BYTES + HEADER_BYTES + payloadBytes;
  if (total > MAX_PACKET_BYTES) throw new ProtocolError(`a packet of ${total} bytes is larger than libvirt accepts`);
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + HEADER_BYTES);
  bytes.writeUInt32BE(total, 0);
  bytes.writeUInt32BE(header.program, 4);
  bytes.writeUInt32BE(header.version, 8);
  bytes.writeInt32BE(header.procedure, 12);
  bytes.writeInt32BE(header.type, 16);
  bytes.writeUInt32BE(header.serial, 20);
  bytes.writeInt32BE(header.status, 24);
  return bytes;
}

/** One whole packet. */
export function encodePacket(packet: Packet): Buffer {
  return Buffer.concat([encodeHeader(packet, packet.payload.length), packet.payload]);
}

function decodePacket(bytes: Buffer): Packet {
  return {
    program: bytes.readUInt32BE(4),
    version: bytes.readUInt32BE(8),
    procedure: bytes.readInt32BE(12),
    type: bytes.readInt32BE(16),
    serial: bytes.readUInt32BE(20),
    status: bytes.readInt32BE(24),
    payload: bytes.subarray(LENGTH_BYTES + HEADER_BYTES),
  };
}

/**
 * Cuts a stream of bytes into packets. Chunks are kept as they came and joined once per packet; memory never exceeds what
 * was received, whatever length a packet claims.
 */
export class PacketDecoder {
  private chunks: Buffer[] = [];
  private buffered = 0;

  /** The packets that `chunk` completes. @throws ProtocolError when a length is impossible. */
  push(chunk: Buffer): Packet[] {
    if (chunk.length > 0) this.chunks.push(chunk);
    this.buffered += chunk.length;
    const packets: Packet[] = [];
    for (let length = this.nextLength(); length !== undefined; length = this.nextLength()) {
      packets.push(decodePacket(this.take(length)));
    }
    return packets;
  }

  /** The whole length of the next packet if all of it is here. */
  private nextLength(): number | undefined {
    if (this.buffered < LENGTH_BYTES) return undefined;
    const length = this.head(LENGTH_BYTES).readUInt32BE(0);
    if (length < LENGTH_BYTES + HEADER_BYTES || length > MAX_PACKET_BYTES) {
      throw new ProtocolError(`a packet claims ${length} bytes`);
    }
    return this.buffered < length ? undefined : length;
  }

  /** The first chunk, made at least `size` bytes long. */
  private head(size: number): Buffer {
    let [first = Buffer.alloc(0)] = this.chunks;
    let used = 1;
    if (first.length < size) {
      let total = first.length;
      for (; total < size; used++) total += this.chunks[used]?.length ?? 0;
      first = Buffer.concat(this.chunks.slice(0, used), total);
    }
    this.chunks.splice(0, used, first);
    return first;
  }

  private take(size: number): Buffer {
    const first = this.head(size);
    this.buffered -= size;
    if (first.length === size) this.chunks.shift();
    else this.chunks[0] = first.subarray(size);
    return first.subarray(0, size);
  }
}
