// Servers that are made and deleted one after the other, as a client does that notices what is lost or stuck.
import { setTimeout as pause } from 'node:timers/promises';
import type { Content } from './realCloud';
import type { RetryingClient } from './retryingClient';

const PATIENCE_MS = 90_000;

export interface ServerLoad {
  /** When each server that became ACTIVE was asked for and was seen so, in milliseconds of `performance.now()`. */
  readonly made: { readonly id: string; readonly asked: number; readonly active: number }[];
  deleted: number;
  /** Servers that did not become ACTIVE or did not go, in words. */
  readonly stuck: string[];
}

export const emptyLoad = (): ServerLoad => ({ made: [], deleted: 0, stuck: [] });

/** Looks until the answer is as wanted. @throws Error with the last answer */
async function settle(
  client: RetryingClient,
  id: string,
  what: string,
  isThere: (status: number, server: { status?: string; fault?: unknown }) => boolean,
): Promise<void> {
  let last = '';
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await pause(150)) {
    const { status, body } = await client.call('GET', `/compute/v2.1/servers/${id}`);
    const server = (body.server ?? {}) as { status?: string; fault?: unknown };
    if (isThere(status, server)) return;
    last = `${status} ${server.status ?? ''} ${JSON.stringify(server.fault ?? '')}`;
    if (server.status === 'ERROR') break;
  }
  throw new Error(`server ${id} is not ${what}: ${last}`);
}

/** Deletes a server and waits until it is gone. */
export async function removeServer(client: RetryingClient, id: string): Promise<void> {
  const { status, repeated, body } = await client.call('DELETE', `/compute/v2.1/servers/${id}`);
  // The first try may have been carried out before its connection was lost.
  if (status !== 204 && !(repeated && status === 404))
    throw new Error(`server ${id} can not be deleted: ${status} ${JSON.stringify(body)}`);
  await settle(client, id, 'gone', (found) => found === 404);
}

/** Makes a server and waits until it is ACTIVE; returns its id. */
async function makeServer(client: RetryingClient, content: Content, name: string): Promise<string> {
  const { body } = await client.must('POST', '/compute/v2.1/servers', {
    server: { name, imageRef: content.image, flavorRef: content.flavor, networks: [{ uuid: content.network }] },
  });
  const id = body.server.id as string;
  await settle(client, id, 'ACTIVE', (_status, server) => server.status === 'ACTIVE');
  return id;
}

/** One server after the other until it is over; returns the last one, which is ACTIVE. */
export async function makeServers(
  client: RetryingClient,
  content: Content,
  name: string,
  isOver: () => boolean,
  load: ServerLoad,
): Promise<string | undefined> {
  for (let round = 0; ; round++) {
    try {
      const asked = performance.now();
      const id = await makeServer(client, content, `${name}-${round}`);
      load.made.push({ id, asked, active: performance.now() });
      if (isOver()) return id;
      await removeServer(client, id);
      load.deleted += 1;
    } catch (error) {
      load.stuck.push(String(error));
      if (isOver()) return undefined;
    }
  }
}
