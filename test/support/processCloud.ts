// The cloud as it is deployed: RabbitMQ, one controller and three agents, each a process of its own with certificates of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeTestCa, type TestCa } from './certificates';
import { root } from './checkout';
import { childCoverage } from './childCoverage';
import { freePort } from './freePort';
import { runProcess, type Run } from './programs';
import { startRabbitMq, type RabbitMq } from './rabbitmq';
import { connect, PASSWORD, ready, type CloudClient } from './realCloud';

export const processNames = ['controller', 'compute-agent', 'network-agent', 'storage-agent'] as const;
export type ProcessName = (typeof processNames)[number];

export interface ProcessCloud {
  readonly client: CloudClient;
  readonly broker: RabbitMq;
  readonly ca: TestCa;
  readonly directory: string;
  /** TCP ports by what listens on them. */
  readonly ports: Readonly<Record<string, number>>;
  pid(name: ProcessName): number;
  configFile(name: ProcessName): string;
  start(name: ProcessName): void;
  /** Ends a process and resolves with its exit code when it is gone. */
  end(name: ProcessName, signal?: NodeJS.Signals): Promise<number | null>;
  /** Resolves when the process says that it is ready. */
  ready(name: ProcessName): Promise<void>;
  /** The health listener's answer. */
  health(name: ProcessName, path: string): Promise<{ readonly status: number; readonly text: string }>;
  stop(): Promise<void>;
}

const HOST = 'host-1';
const mainOf = (name: ProcessName): string => join(root, name, 'dist/main.js');

async function portsFor(names: readonly string[]): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const name of names) ports[name] = await freePort();
  return ports;
}

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
  const configFile = (name: ProcessName): string => join(directory, `${name}.yaml`);
  for (const [name, config] of Object.entries(configs(directory, ports, broker, ca)))
    writeFileSync(configFile(name as ProcessName), JSON.stringify(config));
  const env = { ...process.env, ...childCoverage() };
  const children = new Map<ProcessName, ChildProcess>();
  const childOf = (name: ProcessName): ChildProcess => {
    const child = children.get(name);
    if (!child) throw new Error(`${name} was never started`);
    return child;
  };
  const url = `http://127.0.0.1:${ports['api']}`;

  const cloud: Omit<ProcessCloud, 'client'> = {
    broker,
    ca,
    directory,
    ports,
    configFile,
    pid: (name) => childOf(name).pid ?? 0,
    start(name) {
      const log = openSync(join(directory, `${name}.log`), 'a');
      const child = spawn(process.execPath, [mainOf(name), '--config', configFile(name)], {
        stdio: ['ignore', log, log],
        env,
      });
      children.set(name, child);
    },
    async end(name, signal = 'SIGTERM') {
      const child = childOf(name);
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const ended = new Promise<number | null>((done) => child.once('exit', done));
      child.kill(signal);
      return ended;
    },
    async health(name, path) {
      const answer = await fetch(`http://127.0.0.1:${ports[`${name} health`]}${path}`);
      return { status: answer.status, text: await answer.text() };
    },
    async ready(name) {
      let last = '';
      for (const until = Date.now() + 60_000; Date.now() < until; await pause(100)) {
        const child = childOf(name);
        if (child.exitCode !== null)
          throw new Error(`${name} ended with ${child.exitCode}: see its log in ${directory}`);
        const answer = await cloud.health(name, '/readyz').catch(() => undefined);
        if (answer?.status === 200) return;
        last = answer?.text ?? 'no answer';
      }
      throw new Error(`${name} is not ready: ${last}`);
    },
    async stop() {
      for (const name of [...children.keys()].reverse()) await cloud.end(name);
      const purged: [ProcessName, Run][] = [];
      for (const name of processNames.slice(1))
        purged.push([name, await runProcess(name, '--config', configFile(name), '--purge')]);
      await broker.stop();
      ca.stop();
      rmSync(directory, { recursive: true, force: true });
      for (const [name, { exit, err }] of purged)
        if (exit !== 0) throw new Error(`the purge of the ${name} ended with ${exit}: ${err}`);
    },
  };
  try {
    for (const name of processNames) cloud.start(name);
    for (const name of processNames) await cloud.ready(name);
    await ready(`${url}/healthz`, () => childOf('controller').exitCode);
    return { ...cloud, client: await connect(url) };
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}
