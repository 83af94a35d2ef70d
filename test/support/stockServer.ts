// A web server on loopback with a real disk image and lists of checksums, which misbehaves as it is told.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** A real image, of a disk of 3 GiB. */
export function makeDisk(directory: string): Buffer {
  const file = join(directory, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '3G']);
  return readFileSync(file);
}

export const sumOf = (algorithm: 'sha256' | 'sha512', bytes: Buffer): string =>
  createHash(algorithm).update(bytes).digest('hex');

export interface StockServer {
  readonly url: string;
  /** What is at a path: bytes, which are sent in ranges when asked, or what answers. */
  readonly files: Map<string, Buffer | RequestListener>;
  /** The requests that came: path, and the range that was asked for. */
  readonly asked: string[];
  stop(): void;
}

/** @param tls - key and certificate, for https */
export async function startStockServer(tls?: { key: Buffer; cert: Buffer }): Promise<StockServer> {
  const files: StockServer['files'] = new Map();
  const asked: string[] = [];
  const listener: RequestListener = (request, response) => {
    const { range } = request.headers;
    asked.push(`${request.url}${range === undefined ? '' : ` ${range}`}`);
    const found = files.get(request.url ?? '');
    if (typeof found === 'function') return void found(request, response);
    if (!found) return void response.writeHead(404).end();
    const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    if (from >= found.length && range !== undefined) return void response.writeHead(416).end();
    response.writeHead(range === undefined ? 200 : 206, { 'content-length': found.length - from });
    return void response.end(found.subarray(from));
  };
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    files,
    asked,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
