// Sends hand-made frames from a guest and tells which of them another guest received, by tags in their payload.
import { spawn } from 'node:child_process';
import type { Guest } from './networkLab';

export interface Watch {
  /** Waits until the sentinel has arrived and returns the tags that came before it, in order, each once. */
  until(sentinel: string): Promise<string[]>;
  stop(): void;
}

const NSENTER = '/usr/bin/nsenter';
const TAG = /TAG-\w+;/g;

/** Records everything that comes in on a guest's eth0. Resolves when it listens. */
export function watch(guest: Pick<Guest, 'namespace'>): Promise<Watch> {
  const argv = [
    `--net=/run/netns/${guest.namespace}`,
    'tcpdump',
    '-Q',
    'in',
    '-U',
    '-s',
    '0',
    '-lni',
    'eth0',
    '-w',
    '-',
  ];
  const child = spawn(NSENTER, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  let wake = (): void => undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString('latin1');
    wake();
  });
  const tags = (): string[] => [...new Set(seen.match(TAG) ?? [])].map((tag) => tag.slice(4, -1));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => reject(new Error('tcpdump ended')));
    child.stderr.on('data', (chunk: Buffer) => {
      if (!chunk.toString().includes('listening on')) return;
      resolve({
        stop: () => void child.kill('SIGKILL'),
        until: (sentinel) =>
          new Promise((found, missed) => {
            const timer = setTimeout(
              () => missed(new Error(`${sentinel} did not arrive; seen: ${tags().join(' ')}`)),
              60_000,
            );
            wake = () => {
              const all = tags();
              if (!all.includes(sentinel)) return;
              clearTimeout(timer);
              wake = () => undefined;
              child.kill('SIGKILL');
              found(all.slice(0, all.indexOf(sentinel)));
            };
            wake();
          }),
      });
    });
  });
}

/** Sends frames, each a scapy expression, from a guest's eth0. */
export async function sendScapy(guest: Pick<Guest, 'run'>, frames: readonly string[]): Promise<void> {
  const script = ['from scapy.all import *', 'conf.verb = 0', `sendp([${frames.join(', ')}], iface="eth0")`].join('\n');
  await guest.run(['python3', '-c', script]);
}

const SENDER = `
import socket, sys
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0))
for line in sys.stdin:
    link.send(bytes.fromhex(line))
`;

/** Sends finished frames from a guest's eth0; much cheaper than scapy. */
export async function sendFrames(guest: Pick<Guest, 'run'>, frames: readonly Buffer[]): Promise<void> {
  await guest.run(['python3', '-c', SENDER], { input: frames.map((frame) => `${frame.toString('hex')}\n`).join('') });
}

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
const ipBytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

function ethernet(from: string, to: string, type: number, payload: Buffer): Buffer {
  return Buffer.concat([macBytes(to), macBytes(from), Buffer.from([type >> 8, type & 255]), payload]);
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

export interface Ends {
  readonly fromMac: string;
  readonly toMac: string;
  readonly from: string;
  readonly to: string;
}

/** The addresses of one guest's frame for another. */
export const between = (from: Guest, to: Guest): Ends => ({
  fromMac: from.port.mac,
  toMac: to.port.mac,
  from: from.port.fixed_ips[0]?.address ?? '',
  to: to.port.fixed_ips[0]?.address ?? '',
});

/** An IPv4 packet; `fragment` is the raw field of flags and offset. */
export function ipv4(ends: Ends, protocol: number, payload: Buffer, id = 1, fragment = 0): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE(fragment, 6);
  header[8] = 64;
  header[9] = protocol;
  ipBytes(ends.from).copy(header, 12);
  ipBytes(ends.to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return ethernet(ends.fromMac, ends.toMac, 0x0800, Buffer.concat([header, payload]));
}

/** A UDP header (without checksum, which IPv4 allows) and its payload. `length` counts what follows in other fragments too. */
export function udp(source: number, destination: number, payload: Buffer, length = 8 + payload.length): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(source, 0);
  header.writeUInt16BE(destination, 2);
  header.writeUInt16BE(length, 4);
  return Buffer.concat([header, payload]);
}

/** An ICMP echo request with a payload. */
export const echo = (payload: Buffer): Buffer => icmp(8, 0, payload);

export const tagged = (tag: string): Buffer => Buffer.from(`TAG-${tag};`);

/** A frame that every network passes: a question for the receiver's own address. */
export function sentinel(from: Guest, to: Guest, tag: string): Buffer {
  const ends = between(from, to);
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]);
  const fields = [macBytes(ends.fromMac), ipBytes(ends.from), Buffer.alloc(6), ipBytes(ends.to)];
  return ethernet(ends.fromMac, ends.toMac, 0x0806, Buffer.concat([head, ...fields, tagged(tag)]));
}

/** Which of these frames reach a guest, by their tags. A sentinel sent after them says when to look. */
export async function arrivals(from: Guest, to: Guest, frames: readonly Buffer[]): Promise<string[]> {
  const seen = await watch(to);
  await sendFrames(from, [...frames, sentinel(from, to, 'end')]);
  return seen.until('end');
}

/** A TCP segment without payload checks: flags SYN. */
export function tcpSyn(source: number, destination: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(source, 0);
  header.writeUInt16BE(destination, 2);
  header[12] = 0x50;
  header[13] = 0x02;
  header.writeUInt16BE(1024, 14);
  return Buffer.concat([header, payload]);
}

/** Gives a TCP segment the checksum that its addresses ask for: conntrack drops others as invalid. */
export function withTcpChecksum(ends: Ends, segment: Buffer): Buffer {
  const even = Buffer.concat([segment, Buffer.alloc(segment.length % 2)]);
  const pseudo = Buffer.concat([ipBytes(ends.from), ipBytes(ends.to), Buffer.from([0, 6, 0, 0])]);
  pseudo.writeUInt16BE(segment.length, 10);
  const sum = checksum(Buffer.concat([pseudo, even]));
  const copy = Buffer.from(segment);
  copy.writeUInt16BE(sum, 16);
  return copy;
}

/** An ICMP message of a type and code. */
export function icmp(type: number, code: number, payload: Buffer): Buffer {
  const message = Buffer.concat([
    Buffer.from([type, code, 0, 0, 0, 7, 0, 1]),
    payload,
    Buffer.alloc(payload.length % 2),
  ]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}
