// The agent's listeners inside the networks' namespaces: metadata and the name relay, one helper to open them, none to keep.
import type { Socket } from 'node:dgram';
import type { Server } from 'node:net';
import { inheritSockets, type Logger, type SocketRequest } from '@cumulet/common';
import { METADATA_ADDRESS, METADATA_ADDRESS6, RELAY_PORT } from './dhcp';
import { relayDatagrams, relayStreams, type Upstreams } from './dnsRelay';
import { createMetadataServer, type MetadataContext } from './metadataProxy';
import { NETNS_DIR } from './observe';

export interface Listeners {
  /** Listens in a network's namespace, unless it does already. */
  ensure(networkId: string, namespace: string, link: string): Promise<void>;
  remove(networkId: string): void;
  /** Stops all of them. */
  close(): void;
}

interface Closable {
  close(): unknown;
  closeAllConnections?(): void;
}

export function createListeners(
  contextOf: (networkId: string) => MetadataContext,
  upstreams: Upstreams,
  log: Logger,
): Listeners {
  const open = new Map<string, readonly Closable[]>();

  const remove = (networkId: string): void => {
    for (const server of open.get(networkId) ?? []) {
      server.close();
      server.closeAllConnections?.();
    }
    open.delete(networkId);
  };

  return {
    remove,
    close: () => [...open.keys()].forEach(remove),
    ensure: async (networkId, namespace, link) => {
      if (open.has(networkId)) return;
      const requests: SocketRequest[] = [
        { type: 'tcp', address: METADATA_ADDRESS, port: 80 },
        { type: 'tcp', address: `${METADATA_ADDRESS6}%${link}`, port: 80 },
        { type: 'tcp', address: '127.0.0.1', port: RELAY_PORT },
        { type: 'udp4', address: '127.0.0.1', port: RELAY_PORT },
      ];
      const sockets = await inheritSockets(['nsenter', `--net=${NETNS_DIR}/${namespace}`], requests);
      const [metadata4, metadata6, streams, datagrams] = sockets as [Server, Server, Server, Socket];
      const servers = [metadata4, metadata6].map((socket) => createMetadataServer(contextOf(networkId)).listen(socket));
      relayStreams(streams, upstreams, log);
      relayDatagrams(datagrams, upstreams, log);
      open.set(networkId, [...servers, streams, datagrams]);
    },
  };
}
