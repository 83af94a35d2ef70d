// The processes of the crash matrix: MariaDB, RabbitMQ, a controller, and two hosts with a network namespace, a libvirtd and three agents
// each. They are on a network of their own, which main.ts makes.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../support/checkout';
import { makeTestCa } from '../support/certificates';
import { controllerConfig, controllerPorts, prepareControllers, type Neighbours } from '../support/controllerConfig';
import {
  createMariadbDatabase,
  startMariadb,
  SURVIVES_KILLS,
  type MariadbOptions,
  type MariadbServer,
} from '../support/mariadb';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';
import { createProcessGroup, portsFor, startHere, type Member, type ProcessGroup } from '../support/processGroup';
import { startRabbitMq, type RabbitMq } from '../support/rabbitmq';
import { connect, type CloudClient } from '../support/realCloud';

export const roles = ['compute', 'network', 'storage'] as const;
export type Role = (typeof roles)[number];
export const hostNames = ['host-1', 'host-2'] as const;
export type HostName = (typeof hostNames)[number];
export type AgentName = `${HostName} ${Role}-agent`;
export type ProcessName = 'controller-1' | AgentName;

export const agentOf = (host: HostName, role: Role): AgentName => `${host} ${role}-agent`;
const agents = hostNames.flatMap((host) => roles.map((role) => ({ host, role, name: agentOf(host, role) })));

type Group = ProcessGroup<ProcessName>;

export interface MatrixHost {
  readonly name: HostName;
  readonly libvirtd: PrivateLibvirtd;
  /** Its part of the cloud's files. */
  readonly directory: string;
  readonly isOn: boolean;
  /** Cuts its network off, or joins it again. */
  link(state: 'up' | 'down'): void;
  /** Ends agents, libvirtd and guests at once. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
}

export interface MatrixCloud extends Group {
  readonly client: CloudClient;
  readonly url: string;
  readonly broker: RabbitMq;
  readonly mariadb: MariadbServer;
  readonly database: MariadbOptions;
  readonly hosts: Readonly<Record<HostName, MatrixHost>>;
  readonly directory: string;
  stop(): Promise<void>;
}

const CONTROL = '10.50.0.254';
const addressOf = (host: HostName): string => `10.50.0.${hostNames.indexOf(host) + 1}`;
const ip = (words: string): void => void execFileSync('ip', words.split(' '));

function makeUnderlay(): void {
  ip('link add under type bridge forward_delay 0');
  ip(`addr add ${CONTROL}/24 dev under`);
  ip('link set dev under up');
  for (const host of hostNames) {
    ip(`netns add ${host}`);
    ip(`link add ${host} type veth peer name u0 netns ${host}`);
    ip(`link set dev ${host} master under up`);
    ip(`-n ${host} addr add ${addressOf(host)}/24 dev u0`);
    ip(`-n ${host} link set dev u0 up`);
    ip(`-n ${host} link set dev lo up`);
  }
}

function agentConfig(host: MatrixHost, role: Role, { ports, broker, ca }: Neighbours): object {
  const { name, directory, libvirtd } = host;
  const address = addressOf(name);
  const common = {
    host: name,
    controllers: [`https://${CONTROL}:${ports['controller-1 agent api']}`],
    address,
    port: ports[`${agentOf(name, role)} listener`],
    tls: ca.config(name),
    broker: broker.config(name),
    health: { listen: address, port: ports[`${agentOf(name, role)} health`] },
  };
  const dir = join(directory, 'host');
  if (role === 'storage') return { ...common, dir, min_free_mib: 0 };
  if (role === 'compute') return { ...common, dir, libvirt_socket: libvirtd.socketPath, shutdown_seconds: 1 };
  const network = { stateDir: join(directory, 'network'), underlay: { address } };
  return { ...common, ...network, namespace_prefix: `cml${hostNames.indexOf(name)}` };
}

async function startHost(name: HostName, parent: string, group: () => Group): Promise<MatrixHost> {
  const directory = join(parent, name);
  mkdirSync(directory, { mode: 0o711 });
  mkdirSync(join(directory, 'host'), { mode: 0o711 });
  const libvirtd = await startPrivateLibvirtd([], name);
  const own = roles.map((role) => agentOf(name, role));
  let isOn = true;
  return {
    name,
    directory,
    libvirtd,
    get isOn() {
      return isOn;
    },
    link: (state) => ip(`link set dev ${name} ${state}`),
    async powerOff() {
      isOn = false;
      await Promise.all(own.map((agent) => group().end(agent, 'SIGKILL')));
      await libvirtd.kill('SIGKILL');
      for (const pid of libvirtd.qemus()) process.kill(pid, 'SIGKILL');
    },
    async powerOn() {
      await libvirtd.start();
      for (const agent of own) group().start(agent);
      for (const agent of own) await group().ready(agent);
      isOn = true;
    },
  };
}

/** `node`: options of Node.js for a kind of process. */
export async function startMatrixCloud(node: (program: Member['program']) => readonly string[]): Promise<MatrixCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-matrix-'));
  // QEMU runs as another user and must get through to its disks.
  chmodSync(directory, 0o711);
  const undo: (() => Promise<void> | void)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const one of undo.splice(0).reverse()) await one();
  };
  try {
    makeUnderlay();
    undo.push(() => hostNames.forEach((host) => ip(`netns del ${host}`)));
    undo.push(() => ip('link del under'));
    const ca = await makeTestCa();
    undo.push(() => ca.stop());
    await ca.add('controller', 'controller-1');
    for (const name of hostNames) await ca.add('host', name);
    const mariadb = await startMariadb(SURVIVES_KILLS);
    undo.push(() => mariadb.stop());
    const broker = await startRabbitMq({ hosts: hostNames, address: CONTROL });
    undo.push(() => broker.stop());
    const hosts: Partial<Record<HostName, MatrixHost>> = {};
    for (const name of hostNames) {
      const host = (hosts[name] = await startHost(name, directory, () => group));
      undo.push(() => host.libvirtd.stop());
    }
    const database = await createMariadbDatabase(mariadb.url);
    prepareControllers(directory, database);
    const names = agents.flatMap(({ name }) => [`${name} listener`, `${name} health`]);
    const ports = await portsFor([...controllerPorts('controller-1'), ...names]);
    const neighbours: Neighbours = { directory, ports, broker, ca, database };
    const controller: Member = {
      program: 'controller',
      config: {
        ...controllerConfig('controller-1', neighbours),
        agent_api: { listen: CONTROL, port: ports['controller-1 agent api'], tls: ca.config('controller-1') },
        // A host that is to be fenced here is off already.
        fence_command: ['true'],
        // Guests that do nothing take no time.
        ratios: { vcpus: 64 },
        // What is shelved leaves its host when that is asked for.
        shelved_offload_time: -1,
      },
      node: node('controller'),
      health: ports['controller-1 health'] ?? 0,
    };
    const members = Object.fromEntries(
      agents.map(({ host, role, name }): [string, Member] => [
        name,
        {
          program: `${role}-agent`,
          config: agentConfig(hosts[host] as MatrixHost, role, neighbours),
          node: node(`${role}-agent`),
          health: ports[`${name} health`] ?? 0,
          machine: {
            address: addressOf(host),
            start: (argv, log) => startHere(['nsenter', `--net=/run/netns/${host}`, ...argv], log),
          },
        },
      ]),
    );
    const all = { 'controller-1': controller, ...members } as Record<ProcessName, Member>;
    const group: Group = createProcessGroup(directory, all);
    undo.push(() => group.endAll());
    const processes = Object.keys(all) as ProcessName[];
    for (const name of processes) group.start(name);
    for (const name of processes) await group.ready(name);
    const url = `http://127.0.0.1:${ports['controller-1 api']}`;
    const client = await connect(url);
    return { ...group, client, url, broker, mariadb, database, hosts: hosts as MatrixCloud['hosts'], directory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The checkout's hooks for a process of the cloud. */
export const hook = (file: string): string[] => ['--require', join(root, 'test', file)];
