// Several equal controllers as processes over one MariaDB and one RabbitMQ, and simulated hosts that know all of them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createAgentApiClient,
  createAmqpBus,
  createHostListener,
  listenOn,
  silentLogger,
  systemClock,
} from '@cumulet/common';
import { openDatabase, type Database } from '@cumulet/controller';
import { makeTestCa } from './certificates';
import {
  agentApiUrl,
  controllerConfig,
  controllerPorts,
  prepareControllers,
  type Neighbours,
} from './controllerConfig';
import { freePort } from './freePort';
import { createMariadbDatabase, startMariadb, type MariadbOptions } from './mariadb';
import { createProcessGroup, portsFor, type Member, type ProcessGroup } from './processGroup';
import { startRabbitMq, type Broker } from './rabbitmq';
import { createSimulatedHost, type SimulatedHost } from './simulatedHost';

export const controllerNames = ['controller-1', 'controller-2'] as const;
export type ControllerName = (typeof controllerNames)[number];

export interface ControllerFleet {
  readonly directory: string;
  readonly controllers: ProcessGroup<ControllerName>;
  /** The API of each controller. */
  readonly urls: Readonly<Record<ControllerName, string>>;
  readonly hosts: readonly SimulatedHost[];
  /** Connections of the test's own to the controllers' database, once their tables are there. */
  openDatabase(): Promise<Database>;
  /** Starts the hosts' agents. */
  startHosts(): Promise<void>;
  stop(): Promise<void>;
}

/** What controllers stand on. */
export interface Engines {
  readonly database: MariadbOptions;
  readonly broker: Broker;
  stop(): Promise<void>;
}

export interface FleetOptions {
  readonly hosts?: readonly string[];
  /** Starts database and broker; one server of each unless given. */
  readonly engines?: (hosts: readonly string[]) => Promise<Engines>;
  /** Options of Node.js for a controller. */
  readonly node?: Partial<Record<ControllerName, readonly string[]>>;
}

async function startSingleEngines(hosts: readonly string[]): Promise<Engines> {
  const mariadb = await startMariadb();
  try {
    const [database, broker] = [await createMariadbDatabase(mariadb.url), await startRabbitMq({ hosts })];
    return {
      database,
      broker,
      async stop() {
        await broker.stop();
        await mariadb.stop();
      },
    };
  } catch (error) {
    await mariadb.stop();
    throw error;
  }
}

/** A simulated host with its own certificate and broker user, as its agents would have them. */
async function hostOf(name: string, { ports, broker, ca }: Neighbours) {
  const tls = ca.files(name);
  const port = await freePort();
  const bus = createAmqpBus({ config: broker.config(name), log: silentLogger, host: name });
  const api = createAgentApiClient({
    controllers: controllerNames.map((controller) => agentApiUrl(controller, ports)),
    tls,
    listener: `127.0.0.1:${port}`,
    clock: systemClock,
    log: silentLogger,
  });
  const host = createSimulatedHost(name, bus, api);
  const listener = createHostListener(host.api, tls, silentLogger);
  await listenOn(listener, '127.0.0.1', port);
  return {
    host,
    async stop() {
      await host.stop();
      listener.close();
      listener.closeAllConnections();
      await bus.close();
      api.close();
    },
  };
}

/** Starts database and broker and writes the configurations; the caller starts controllers and hosts. */
export async function createControllerFleet(options: FleetOptions = {}): Promise<ControllerFleet> {
  const { hosts: hostNames = ['host-1'], node = {}, engines: startEngines = startSingleEngines } = options;
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-fleet-'));
  const undo: (() => Promise<void> | void)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    const ca = await makeTestCa();
    undo.push(() => ca.stop());
    for (const name of controllerNames) await ca.add('controller', name);
    for (const name of hostNames) await ca.add('host', name);
    const engines = await startEngines(hostNames);
    undo.push(() => engines.stop());
    const { database, broker } = engines;
    prepareControllers(directory, database);
    const ports = await portsFor(controllerNames.flatMap(controllerPorts));
    const neighbours: Neighbours = { directory, ports, broker, ca, database };
    const members = Object.fromEntries(
      controllerNames.map((name): [string, Member] => [
        name,
        {
          program: 'controller',
          config: controllerConfig(name, neighbours),
          health: ports[`${name} health`] ?? 0,
          node: node[name] ?? [],
        },
      ]),
    ) as Record<ControllerName, Member>;
    const controllers = createProcessGroup(directory, members);
    undo.push(() => controllers.endAll());
    const hosts = await Promise.all(hostNames.map((name) => hostOf(name, neighbours)));
    undo.push(async () => {
      for (const host of hosts) await host.stop();
    });
    const urls = Object.fromEntries(
      controllerNames.map((name) => [name, `http://127.0.0.1:${ports[`${name} api`]}`]),
    ) as Record<ControllerName, string>;
    return {
      directory,
      controllers,
      urls,
      hosts: hosts.map(({ host }) => host),
      async openDatabase() {
        const db = await openDatabase(database);
        undo.push(() => db.close());
        return db;
      },
      async startHosts() {
        for (const { host } of hosts) await host.start();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
