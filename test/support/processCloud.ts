// The cloud as it is deployed: RabbitMQ, one controller and three agents, each a process of its own with certificates of its own.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTestCa, type TestCa } from './certificates';
import { createProcessGroup, portsFor, type Member, type ProcessGroup } from './processGroup';
import { runProcess, type Run } from './programs';
import { startRabbitMq, type RabbitMq } from './rabbitmq';
import { connect, PASSWORD, ready, type CloudClient } from './realCloud';

export const processNames = ['controller', 'compute-agent', 'network-agent', 'storage-agent'] as const;
export type ProcessName = (typeof processNames)[number];

export interface ProcessCloud extends Omit<ProcessGroup<ProcessName>, 'endAll' | 'exitCode'> {
  readonly client: CloudClient;
  readonly broker: RabbitMq;
  readonly ca: TestCa;
  readonly directory: string;
  /** TCP ports by what listens on them. */
  readonly ports: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

const HOST = 'host-1';

/** The configuration of each process. */
function configs(directory: string, ports: Readonly<Record<string, number>>, broker: RabbitMq, ca: TestCa) {
  const health = (name: ProcessName) => ({ health: { port: ports[`${name} health`] } });
  const data = join(directory, 'host');
  const agent = (name: ProcessName) => ({
    host: HOST,
    controllers: [`https://127.0.0.1:${ports['agent api']}`],
    address: '127.0.0.1',
    port: ports[`${name} listener`],
    tls: ca.config(HOST),
    broker: broker.config(HOST),
    ...health(name),
  });
  return {
    controller: {
      port: ports['api'],
      data_dir: join(directory, 'controller'),
      bootstrap_file: join(directory, 'bootstrap.json'),
      agent_api: { listen: '127.0.0.1', port: ports['agent api'], tls: ca.config('controller-1') },
      broker: broker.config(),
      ...health('controller'),
    },
    'compute-agent': { ...agent('compute-agent'), dir: data },
    'network-agent': {
      ...agent('network-agent'),
      stateDir: join(directory, 'network'),
      physical_networks: { public: 'cml-ext' },
      external: { bridge: 'cml-ext', address: '172.24.4.1/24' },
    },
    'storage-agent': { ...agent('storage-agent'), dir: data },
  };
}

/** Starts everything and waits until all of it is ready. Only one can run on a machine. */
export async function startProcessCloud(): Promise<ProcessCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-processes-'));
  // QEMU runs as another user and must get through to its disks.
  chmodSync(directory, 0o711);
  mkdirSync(join(directory, 'host'), { mode: 0o711 });
  writeFileSync(join(directory, 'bootstrap.json'), JSON.stringify({ admin_password: PASSWORD }), { mode: 0o600 });
  const ca = await makeTestCa();
  await ca.add('controller', 'controller-1');
  await ca.add('host', HOST);
  const broker = await startRabbitMq({ hosts: [HOST] });
  const listeners = processNames.flatMap((name) => [`${name} health`, `${name} listener`]);
  const ports = await portsFor(['api', 'agent api', ...listeners]);
  const configOf = configs(directory, ports, broker, ca);
  const members = Object.fromEntries(
    processNames.map((name) => [name, { program: name, config: configOf[name], health: ports[`${name} health`] ?? 0 }]),
  ) as Record<ProcessName, Member>;
  const group = createProcessGroup(directory, members);
  const url = `http://127.0.0.1:${ports['api']}`;

  const cloud: Omit<ProcessCloud, 'client'> = {
    ...group,
    broker,
    ca,
    directory,
    ports,
    async stop() {
      await group.endAll();
      const purged: [ProcessName, Run][] = [];
      for (const name of processNames.slice(1))
        purged.push([name, await runProcess(name, '--config', group.configFile(name), '--purge')]);
      await broker.stop();
      ca.stop();
      rmSync(directory, { recursive: true, force: true });
      for (const [name, { exit, err }] of purged)
        if (exit !== 0) throw new Error(`the purge of the ${name} ended with ${exit}: ${err}`);
    },
  };
  try {
    for (const name of processNames) group.start(name);
    for (const name of processNames) await group.ready(name);
    await ready(`${url}/healthz`, () => group.exitCode('controller'));
    return { ...cloud, client: await connect(url) };
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}
