// Three hosts, two controllers, MariaDB and RabbitMQ, as they stand in a lab; all of it in the namespaces of this process.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { messageOf } from '@cumulet/common';
import { makeTestCa } from '../support/certificates';
import { root } from '../support/checkout';
import { controllerConfig, prepareControllers } from '../support/controllerConfig';
import { agentNames, createHostMachine, type HostMachine } from '../support/hostMachine';
import {
  createMariadbDatabase,
  startMariadb,
  SURVIVES_KILLS,
  writeClientOptions,
  type MariadbServer,
} from '../support/mariadb';
import { INIT_FILE } from '../support/ownMachine';
import { createProcessGroup, type ProcessGroup } from '../support/processGroup';
import { startRabbitMq, type RabbitMq } from '../support/rabbitmq';
import type { LabState, ProcessState } from './state';

const hostNames = ['host-1', 'host-2', 'host-3'] as const;
const controllerNames = ['controller-1', 'controller-2'] as const;
type ControllerName = (typeof controllerNames)[number];

/** Where controllers and broker are reached by hosts. */
const CENTRE = '10.50.0.254';
/** In a network namespace of our own all ports are free. */
const PORTS = {
  'controller-1 api': 5000,
  'controller-2 api': 5001,
  'controller-1 agent api': 5201,
  'controller-2 agent api': 5202,
  'controller-1 health': 5211,
  'controller-2 health': 5212,
};

/** Cuts a host's power. It exits with 0 when nothing of the host runs any more. */
const FENCE = `set -eu
machine=$(cat "$(dirname "$0")/$1.machine")
pid=$(cat "$machine/${INIT_FILE}")
grep -qsaF "$machine" "/proc/$pid/cmdline" || exit 0
kill -9 "$pid"
while [ -e "/proc/$pid" ]; do sleep 0.1; done
`;

export interface Lab {
  state(): Promise<LabState>;
  /** Starts what does not run. @throws Error in words */
  up(): Promise<void>;
  /** Cuts the power of a host. @throws Error when there is no such host */
  off(host: string): Promise<void>;
  /** What an independent count finds on the hosts and in the database. */
  orphans(): Promise<string[]>;
}

interface Parts {
  readonly mariadb: MariadbServer;
  readonly broker: RabbitMq;
  readonly controllers: ProcessGroup<ControllerName>;
  readonly hosts: readonly HostMachine[];
}

/** Whether somebody takes connections there. */
const listens = (port: number, address: string): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, address, () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
const databaseRuns = ({ mariadb }: Parts): Promise<boolean> => listens(mariadb.port, '127.0.0.1');
const brokerRuns = ({ broker }: Parts): Promise<boolean> =>
  listens(Number(new URL(broker.config().urls[0] ?? '').port), CENTRE);

function bridge(name: string, address: string): void {
  execFileSync('ip', ['link', 'add', name, 'type', 'bridge', 'forward_delay', '0']);
  execFileSync('ip', ['addr', 'add', address, 'dev', name]);
  execFileSync('ip', ['link', 'set', name, 'up']);
}

/** Writes the program that turns hosts off, and where it finds them. */
function writeFence(directory: string, hosts: readonly HostMachine[]): void {
  for (const { name, machine } of hosts) writeFileSync(join(directory, `${name}.machine`), machine.directory);
}

/** A directory of disks that all hosts see. */
function makeSharedDisks(path: string): string {
  // QEMU runs as another user and must get through to its disks.
  mkdirSync(path, { mode: 0o711 });
  writeFileSync(join(path, '.cumulet-disks'), randomUUID());
  return path;
}

export interface LabOptions {
  /** Our address on the physical network, with the length of its prefix. */
  readonly outside: string;
  /** Whether all hosts have one directory of disks. */
  readonly sharedDisks: boolean;
}

export function createLab(directory: string, { outside, sharedDisks }: LabOptions): Lab {
  const disks = join(directory, 'disks');
  let parts: Parts | undefined;
  let work: Promise<void> | undefined;
  let doing = '';
  let failure: string | null = null;

  const build = async (): Promise<Parts> => {
    doing = 'MariaDB and RabbitMQ';
    bridge('hosts', `${CENTRE}/24`);
    bridge('outside', outside);
    const ca = await makeTestCa();
    for (const name of controllerNames) await ca.add('controller', name);
    for (const name of hostNames) await ca.add('host', name);
    const [mariadb, broker] = await Promise.all([
      startMariadb(SURVIVES_KILLS),
      startRabbitMq({ address: CENTRE, hosts: hostNames }),
    ]);
    const database = await createMariadbDatabase(mariadb.url);
    writeClientOptions(join(directory, 'client.cnf'), database);
    const centre = join(directory, 'centre');
    mkdirSync(centre);
    prepareControllers(centre, database);
    const fence = join(centre, 'fence.sh');
    writeFileSync(fence, FENCE);
    const neighbours = { directory: centre, ports: PORTS, broker, ca, database, address: '0.0.0.0' };
    const member = (name: ControllerName) => ({
      program: 'controller' as const,
      config: { ...controllerConfig(name, neighbours), fence_command: ['sh', fence] },
      health: PORTS[`${name} health`],
    });
    const controllers = createProcessGroup<ControllerName>(centre, {
      'controller-1': member('controller-1'),
      'controller-2': member('controller-2'),
    });
    const apis = controllerNames.map((name) => `https://${CENTRE}:${PORTS[`${name} agent api`]}`);
    const shared_disks = sharedDisks ? makeSharedDisks(disks) : null;
    const settings = { 'storage-agent': { shared_disks } };
    const bridges = { hosts: 'hosts', outside: 'outside' };
    const hosts: HostMachine[] = [];
    for (const [at, name] of hostNames.entries())
      hosts.push(
        await createHostMachine({
          name,
          address: `10.50.0.${at + 1}/24`,
          bridges,
          controllers: apis,
          neighbours,
          settings,
        }),
      );
    writeFence(centre, hosts);
    return { mariadb, broker, controllers, hosts };
  };

  const start = async (): Promise<void> => {
    const built = (parts ??= await build());
    const { controllers, hosts, mariadb, broker } = built;
    if (!(await databaseRuns(built))) await mariadb.start();
    if (!(await brokerRuns(built))) await broker.kill().then(() => broker.start());
    doing = 'the controllers';
    for (const name of controllerNames) if (!controllers.runs(name)) controllers.start(name);
    for (const name of controllerNames) await controllers.ready(name);
    doing = 'the hosts';
    await Promise.all(hosts.map((host) => host.up()));
  };

  const built = (): Parts => {
    if (!parts) throw new Error('the lab is still being made');
    return parts;
  };
  const memberState = <Name extends string>(group: ProcessGroup<Name>, name: Name, host: string | null) => {
    const runs = group.runs(name);
    return { name, host, runs, ...(runs ? { pid: group.pid(name) } : {}) };
  };
  const processes = async (of: Parts): Promise<ProcessState[]> => [
    { name: 'mariadb', host: null, runs: await databaseRuns(of) },
    { name: 'rabbitmq', host: null, runs: await brokerRuns(of) },
    ...controllerNames.map((name) => memberState(of.controllers, name, null)),
    ...of.hosts.flatMap(({ name: host, agents }) => agentNames.map((name) => memberState(agents, name, host))),
  ];

  return {
    state: async () => ({
      doing: work ? doing : null,
      failure,
      hosts: (parts?.hosts ?? []).map(({ name, machine }) => ({
        name,
        on: machine.isOn(),
        directory: machine.directory,
      })),
      processes: parts ? await processes(parts) : [],
    }),
    async up() {
      failure = null;
      work ??= start().finally(() => (work = undefined));
      await work.catch((error: unknown) => {
        failure = messageOf(error);
        throw error;
      });
    },
    async off(name) {
      const host = built().hosts.find((each) => each.name === name);
      if (!host) throw new Error(`there is no host ${name}: there are ${hostNames.join(', ')}`);
      await host.machine.powerOff();
    },
    async orphans() {
      const script = join(root, 'test/independent/orphans.py');
      const found: string[] = [];
      // A host that is off has files only, which it looks at when it is back.
      for (const { name, machine } of built().hosts.filter((host) => host.machine.isOn())) {
        const argv = [script, '--data', machine.directory, '--mariadb', join(directory, 'client.cnf')];
        if (sharedDisks) argv.push('--disks', disks);
        const said = await machine.run('sh', '-c', `python3 ${argv.join(' ')} 2>&1 || :`);
        const wrong = said.split('\n').filter((line) => /^(orphan|could not look): /.test(line));
        if (!/^\d+ orphans$/m.test(said)) throw new Error(`the count on ${name} failed: ${said}`);
        found.push(...wrong.map((line) => `${name}: ${line}`));
      }
      return found;
    },
  };
}
