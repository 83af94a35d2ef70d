// The agent API as agents in processes of their own see it: a list of controllers, the next one when one does not answer.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { AgentApi, MetadataAnswer, Registered } from './agentApi';
import type { Clock } from './clock';
import { CumuletError, messageOf } from './errors';
import type { Logger } from './log';
import type { NetworkChanges } from './messages/network';
import { createMtlsClient, type MtlsCall } from './mtlsClient';
import type { TlsFiles } from './tls';

export interface AgentApiClient extends AgentApi {
  close(): void;
}

export interface AgentApiClientOptions {
  /** "https://address:port" of every controller. */
  readonly controllers: readonly string[];
  readonly tls: TlsFiles;
  /** Where controllers reach the agent, told at registration. */
  readonly listener?: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A heartbeat must find the next controller before its agent counts as down, after 10 s. */
const HEARTBEAT_TIMEOUT_MS = 3_000;
const TIMEOUT_MS = 10_000;
/** A guest waits 5 s for its metadata, in which another controller must be found. */
const METADATA_TIMEOUT_MS = 2_000;
/** The controller looks at the whole image before it answers. */
const STORE_TIMEOUT_MS = 600_000;
/** A disk comes from its host through a controller; it is asked for anew when it stops. */
const DISK_TIMEOUT_MS = 60_000;
/** Broken reads of an image in a row before the fetch fails. */
const IMAGE_TRIES = 8;
const IMAGE_PAUSE_MS = 500;

type Call = Omit<MtlsCall, 'base' | 'timeout'> & { readonly timeout?: number };

const isUnreachable = (error: unknown): error is CumuletError =>
  error instanceof CumuletError && error.code === 'unreachable';

export function createAgentApiClient(options: AgentApiClientOptions): AgentApiClient {
  const { tls, clock, log } = options;
  const client = createMtlsClient(tls, ({ role }) => role === 'controller', 'a controller');
  /** The one that answered last is the first. */
  let controllers = options.controllers;

  /** Asks one controller after the other. */
  const withController = async <T>(ask: (base: string) => Promise<T>): Promise<T> => {
    let failure: unknown;
    let refused = true;
    for (const base of controllers) {
      try {
        return await ask(base);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        failure = error;
        refused &&= error.facts['refused'] === true;
        // Of many calls that fail together one moves on.
        if (controllers[0] === base) controllers = [...controllers.slice(1), base];
      }
    }
    throw new CumuletError('unreachable', messageOf(failure), { refused }, failure);
  };
  const open = (call: Call): Promise<IncomingMessage> =>
    withController((base) => client.open({ timeout: TIMEOUT_MS, ...call, base }));
  const ask = async <T>(call: Call): Promise<T> => {
    const bytes = await withController((base) => client.bytes({ timeout: TIMEOUT_MS, ...call, base }));
    return (bytes.length === 0 ? undefined : JSON.parse(bytes.toString())) as T;
  };
  const post = <T>(path: string, json: unknown, timeout = TIMEOUT_MS): Promise<T> =>
    ask<T>({ method: 'POST', path: `/agent/v1/${path}`, json, timeout });

  const openImage = (digest: string, start: number): Promise<IncomingMessage> =>
    open({
      method: 'GET',
      path: `/agent/v1/images/${encodeURIComponent(digest)}`,
      headers: start > 0 ? { range: `bytes=${start}-` } : {},
    });

  /** All bytes of an image; goes on where it was cut off, with whatever controller answers. */
  async function* imageBytes(digest: string, size: number, first: IncomingMessage): AsyncGenerator<Buffer> {
    let response = first;
    let received = 0;
    let failures = 0;
    try {
      for (;;) {
        try {
          for await (const chunk of response as AsyncIterable<Buffer>) {
            received += chunk.length;
            failures = 0;
            yield chunk;
          }
          if (received >= size) return;
          throw new CumuletError('unreachable', 'the image ended early');
        } catch (error) {
          if (++failures > IMAGE_TRIES) throw error;
          log.warn({ err: error, received, size }, 'the bytes of an image were cut off; the rest is asked for');
        }
        await clock.sleep(IMAGE_PAUSE_MS);
        response = await openImage(digest, received);
      }
    } finally {
      response.destroy();
    }
  }

  return {
    // The host is who the certificate says; it is never sent.
    register: ({ host: _host, ...registration }) =>
      post<Registered>('register', { ...registration, ...(options.listener ? { listener: options.listener } : {}) }),
    heartbeat: (_host, role, session) => post('heartbeat', { role, session }, HEARTBEAT_TIMEOUT_MS),
    networkChanges: (_host, since) =>
      ask<NetworkChanges>({ method: 'GET', path: `/agent/v1/network-changes?since=${since}` }),
    reportPorts: (_host, ports) => post('ports', ports),
    reportServers: (_host, servers) => post('servers', servers),
    async openImage(_host, digest) {
      const first = await openImage(digest, 0);
      const size = Number(first.headers['content-length']);
      return { size, stream: Readable.from(imageBytes(digest, size, first), { objectMode: false }) };
    },
    async openDisk(_host, serverId) {
      const response = await open({
        method: 'GET',
        path: `/agent/v1/disks/${encodeURIComponent(serverId)}`,
        timeout: DISK_TIMEOUT_MS,
      });
      return { size: Number(response.headers['content-length']), stream: response };
    },
    async storeImage(_host, imageId, { size, stream }) {
      // To one controller: the bytes can't be told twice. When it breaks off, the task asks for another try.
      await client.bytes({
        method: 'POST',
        base: controllers[0] ?? '',
        path: `/agent/v1/images/${encodeURIComponent(imageId)}`,
        headers: { 'content-length': String(size) },
        stream,
        timeout: STORE_TIMEOUT_MS,
      });
    },
    metadata: ({ host: _host, ...request }) => post<MetadataAnswer>('metadata', request, METADATA_TIMEOUT_MS),
    close: () => client.close(),
  };
}
