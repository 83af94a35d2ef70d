// A cloud that serves the agent API over mutual TLS for all tests of a file, with a server, and certificates for who calls it.
import type { Server } from 'node:https';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import {
  createAgentApiClient,
  silentLogger,
  systemClock,
  type AgentApiClient,
  type AgentApiClientOptions,
  type TlsFiles,
} from '@cumulet/common';
import { createAgentListener } from '@cumulet/controller';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import { makeTestCa, type TestCa } from './certificates';

export interface AgentApiScene {
  /** Has certificates for the controller "ctl" and the hosts "node-1" to "node-3". */
  readonly ca: TestCa;
  /** With a running engine; its only host is node-1. */
  readonly world: CloudWithHost;
  /** Where the agent API is. */
  readonly base: string;
  /** A server that runs on node-1. */
  readonly serverId: string;
  /** A listener of the agent API that does not listen yet. */
  readonly agentListener: (revoked?: string[]) => Server;
  /** Lets a server listen on a free port and returns its address. */
  readonly listen: (server: Server | TcpServer) => Promise<string>;
  /** A client that is closed at the end. */
  readonly clientOf: (
    name: string,
    controllers?: string[],
    tls?: TlsFiles,
    more?: Partial<AgentApiClientOptions>,
  ) => AgentApiClient;
}

/** Sets the scene up before all tests of a file and takes it down after. */
export function agentApiScene(): AgentApiScene {
  let ca: TestCa;
  let world: CloudWithHost;
  let listener: Server;
  let base: string;
  let serverId: string;
  const clients: AgentApiClient[] = [];
  beforeAll(async () => {
    ca = await makeTestCa();
    await ca.add('controller', 'ctl');
    for (const host of ['node-1', 'node-2', 'node-3']) await ca.add('host', host);
    world = await startCloudWithHost();
    // The host is asked again only after as long as in life. On a busy machine its work takes longer than the usual 150 ms of
    // tests, and a question that is repeated just as the work ends has it done twice; tests count that.
    await world.startEngine(undefined, 1);
    serverId = await world.boot();
    await world.settled();
    listener = scene.agentListener();
    base = await scene.listen(listener);
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    listener.close();
    listener.closeAllConnections();
    await world.stop();
    ca.stop();
  });
  const scene: AgentApiScene = {
    get ca() {
      return ca;
    },
    get world() {
      return world;
    },
    get base() {
      return base;
    },
    get serverId() {
      return serverId;
    },
    agentListener: (revoked = []) =>
      createAgentListener({
        api: world.test.controller.agentApi,
        tls: ca.files('ctl'),
        log: silentLogger,
        revoked,
      }),
    async listen(server) {
      await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
      return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    clientOf(name, controllers = [base], tls = ca.files(name), more = {}) {
      const client = createAgentApiClient({ controllers, tls, clock: systemClock, log: silentLogger, ...more });
      clients.push(client);
      return client;
    },
  };
  return scene;
}
