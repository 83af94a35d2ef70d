// Several equal controllers as processes over one MariaDB and one RabbitMQ, and simulated hosts that know all of them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  createAgentApiClient,
  createAmqpBus,
  createHostListener,
  listenOn,
  silentLogger,
  systemClock,
} from '@cumulet/common';
import { openDatabase, type Database } from '@cumulet/controller';
import { makeTestCa, type TestCa } from './certificates';
import { freePort } from './freePort';
import { createMariadbDatabase, startMariadb, type MariadbOptions, type MariadbServer } from './mariadb';
import { createProcessGroup, portsFor, type Member, type ProcessGroup } from './processGroup';
import { startRabbitMq, type RabbitMq } from './rabbitmq';
import { PASSWORD } from './realCloud';
import { createSimulatedHost, type SimulatedHost } from './simulatedHost';

export const controllerNames = ['controller-1', 'controller-2'] as const;
export type ControllerName = (typeof controllerNames)[number];

export interface ControllerFleet {
  readonly directory: string;
  readonly mariadb: MariadbServer;
  readonly broker: RabbitMq;
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

export interface FleetOptions {
  readonly hosts?: readonly string[];
  /** Options of Node.js for a controller. */
  readonly node?: Partial<Record<ControllerName, readonly string[]>>;
}

const portNames = controllerNames.flatMap((name) => [`${name} api`, `${name} agent api`, `${name} health`]);

interface Neighbours {
  readonly directory: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly broker: RabbitMq;
  readonly ca: TestCa;
  readonly database: MariadbOptions;
}

/** The configuration of one controller: a data directory of its own; database, broker, key file and images are those of all. */
function configOf(name: ControllerName, { directory, ports, broker, ca, database }: Neighbours): object {
  return {
    port: ports[`${name} api`],
    data_dir: join(directory, name),
    bootstrap_file: join(directory, 'bootstrap.json'),
    password_cost: 10,
    database: {
      kind: 'mariadb',
      socket: database.socket,
      user: database.user,
      password_file: join(directory, 'database-password'),
      name: database.database,
    },
    token_key_file: join(dirname(ca.config(name).key), 'token-keys.secret'),
    image: { dir: join(directory, 'images') },
    agent_api: { listen: '127.0.0.1', port: ports[`${name} agent api`], tls: ca.config(name) },
    broker: broker.config(),
    health: { port: ports[`${name} health`] },
  };
}

/** A simulated host with its own certificate and broker user, as its agents would have them. */
async function hostOf(name: string, { ports, broker, ca }: Neighbours) {
  const tls = ca.files(name);
  const port = await freePort();
  const bus = createAmqpBus({ config: broker.config(name), log: silentLogger, host: name });
  const api = createAgentApiClient({
    controllers: controllerNames.map((controller) => `https://127.0.0.1:${ports[`${controller} agent api`]}`),
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
  const { hosts: hostNames = ['host-1'], node = {} } = options;
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
    const mariadb = await startMariadb();
    undo.push(() => mariadb.stop());
    const broker = await startRabbitMq({ hosts: hostNames });
    undo.push(() => broker.stop());
    const database = await createMariadbDatabase(mariadb.url);
    writeFileSync(join(directory, 'database-password'), database.password, { mode: 0o600 });
    writeFileSync(join(directory, 'bootstrap.json'), JSON.stringify({ admin_password: PASSWORD }), { mode: 0o600 });
    const ports = await portsFor(portNames);
    const neighbours: Neighbours = { directory, ports, broker, ca, database };
    const members = Object.fromEntries(
      controllerNames.map((name): [string, Member] => {
        mkdirSync(join(directory, name));
        return [
          name,
          {
            program: 'controller',
            config: configOf(name, neighbours),
            health: ports[`${name} health`] ?? 0,
            node: node[name] ?? [],
          },
        ];
      }),
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
      mariadb,
      broker,
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
