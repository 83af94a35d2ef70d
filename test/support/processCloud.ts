// The cloud as it is deployed: MariaDB, RabbitMQ, two controllers and a host's three agents, each a process with certificates of its own.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTestCa, type TestCa } from './certificates';
import {
  agentApiUrl,
  controllerConfig,
  controllerPorts,
  prepareControllers,
  type Neighbours,
} from './controllerConfig';
import { createMariadbDatabase, startMariadb, type MariadbOptions, type MariadbServer } from './mariadb';
import { createProcessGroup, portsFor, type Member, type ProcessGroup } from './processGroup';
import { runProcess, type Run } from './programs';
import { startRabbitMq, type RabbitMq } from './rabbitmq';
import { connect, ready, type CloudClient } from './realCloud';

const controllerNames = ['controller-1', 'controller-2'] as const;
const agentNames = ['compute-agent', 'network-agent', 'storage-agent'] as const;
export const processNames = [...controllerNames, ...agentNames] as const;
export type ProcessName = (typeof processNames)[number];

export interface ProcessCloud extends Omit<ProcessGroup<ProcessName>, 'endAll' | 'exitCode'> {
  readonly client: CloudClient;
  readonly broker: RabbitMq;
  readonly mariadb: MariadbServer;
  readonly database: MariadbOptions;
  readonly ca: TestCa;
  readonly directory: string;
  /** TCP ports by what listens on them. */
  readonly ports: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

const HOST = 'host-1';

const isController = (name: ProcessName): name is (typeof controllerNames)[number] => name.startsWith('controller');
const portsOf = (name: ProcessName): string[] =>
  isController(name) ? controllerPorts(name) : [`${name} listener`, `${name} health`];

/** The configuration of an agent. */
function agentConfig(name: (typeof agentNames)[number], { directory, ports, broker, ca }: Neighbours): object {
  const data = join(directory, 'host');
  const common = {
    host: HOST,
    controllers: controllerNames.map((controller) => agentApiUrl(controller, ports)),
    address: '127.0.0.1',
    port: ports[`${name} listener`],
    tls: ca.config(HOST),
    broker: broker.config(HOST),
    health: { port: ports[`${name} health`] },
  };
  if (name !== 'network-agent') return { ...common, dir: data };
  return {
    ...common,
    stateDir: join(directory, 'network'),
    physical_networks: { public: 'cml-ext' },
    external: { bridge: 'cml-ext', address: '172.24.4.1/24' },
  };
}

export interface ProcessCloudOptions {
  /** More settings of an agent or a controller, by its name. */
  readonly settings?: Readonly<Partial<Record<ProcessName, object>>>;
  /** Options of Node.js itself. */
  readonly node?: Readonly<Partial<Record<ProcessName, readonly string[]>>>;
}

/** Starts everything and waits until all of it is ready. Only one can run on a machine. */
export async function startProcessCloud({ settings = {}, node = {} }: ProcessCloudOptions = {}): Promise<ProcessCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-processes-'));
  // QEMU runs as another user and must get through to its disks.
  chmodSync(directory, 0o711);
  mkdirSync(join(directory, 'host'), { mode: 0o711 });
  const ca = await makeTestCa();
  for (const name of controllerNames) await ca.add('controller', name);
  await ca.add('host', HOST);
  const mariadb = await startMariadb();
  const broker = await startRabbitMq({ hosts: [HOST] });
  const ports = await portsFor(processNames.flatMap(portsOf));
  const database = await createMariadbDatabase(mariadb.url);
  prepareControllers(directory, database);
  const neighbours: Neighbours = { directory, ports, broker, ca, database };
  const members = Object.fromEntries(
    processNames.map((name): [string, Member] => [
      name,
      {
        program: isController(name) ? 'controller' : name,
        config: {
          ...(isController(name) ? controllerConfig(name, neighbours) : agentConfig(name, neighbours)),
          ...settings[name],
        },
        node: node[name] ?? [],
        health: ports[`${name} health`] ?? 0,
      },
    ]),
  ) as Record<ProcessName, Member>;
  const group = createProcessGroup(directory, members);
  const url = `http://127.0.0.1:${ports['controller-1 api']}`;

  const cloud: Omit<ProcessCloud, 'client'> = {
    ...group,
    broker,
    mariadb,
    database,
    ca,
    directory,
    ports,
    async stop() {
      await group.endAll();
      const purged: [ProcessName, Run][] = [];
      for (const name of agentNames)
        purged.push([name, await runProcess(name, '--config', group.configFile(name), '--purge')]);
      await broker.stop();
      await mariadb.stop();
      ca.stop();
      rmSync(directory, { recursive: true, force: true });
      for (const [name, { exit, err }] of purged)
        if (exit !== 0) throw new Error(`the purge of the ${name} ended with ${exit}: ${err}`);
    },
  };
  try {
    for (const name of processNames) group.start(name);
    for (const name of processNames) await group.ready(name);
    await ready(`${url}/healthz`, () => group.exitCode('controller-1'));
    return { ...cloud, client: await connect(url) };
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}
