// Three nodes of RabbitMQ as one cluster, from Debian's package and with the documented configuration, TLS included.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { passwordFile, VIRTUAL_HOST, writeBrokerUsers } from './brokerUsers';
import { startConfined } from './confined';
import { documentedFile, machineAddress, machines, type Machine } from './documentedFile';
import { freePort } from './freePort';
import { makeOwnDirectory } from './ownDirectory';
import { createRabbitNode, type RabbitNode } from './rabbitNode';
import type { Broker } from './rabbitmq';

/** The name of a node. */
export const nodeName = (machine: Machine): string => `db-${machine}@localhost`;

export interface RabbitCluster extends Broker {
  /** Ends a node as a power cut would; its files stay. */
  kill(machine: Machine): Promise<void>;
  /** Holds a node, or lets it go on, as a machine with other work would. */
  signal(machine: Machine, name: 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends a node, and what it kept: it is as a machine where the package was just installed. */
  replace(machine: Machine): Promise<void>;
  /** Starts a node again and resolves when clients can connect to it. */
  start(machine: Machine): Promise<void>;
  /** Runs one of RabbitMQ's programs on a node. */
  control(machine: Machine, program: string, ...argv: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** A CA and a certificate for all addresses, where the documented file looks for them below `directory`. */
async function makeCertificates(directory: string, addresses: readonly string[]): Promise<void> {
  const at = (file: string): string => join(directory, file);
  const make = (name: string, file: string, ...more: string[]): Promise<unknown> => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', at(`${file}.key`)];
    return exec(['openssl', 'req', '-x509', ...key, '-subj', `/CN=${name}`, '-out', at(`${file}.crt`), ...more]);
  };
  await make('broker-ca', 'ca');
  const names = addresses.map((address) => `IP:${address}`).join();
  const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-addext', 'basicConstraints=CA:FALSE'];
  await make('broker', 'certificate', ...signed, '-addext', `subjectAltName=${names}`);
}

/**
 * @param prefix of the addresses on loopback, such as `127.3.4.`
 * @param hosts that have a user from the beginning
 */
export async function startRabbitCluster(prefix: string, hosts: readonly string[]): Promise<RabbitCluster> {
  const directory = makeOwnDirectory('cumulet-rabbits-');
  const addresses = machines.map((machine) => machineAddress(prefix, machine));
  const epmd = await freePort();
  const definitions = writeBrokerUsers(directory.path, hosts);
  await makeCertificates(directory.path, addresses);
  // One for all, as all are on this machine; a node that started its own would take it along when it is killed.
  const names = startConfined(['epmd', '-port', String(epmd), '-address', '127.0.0.1'], {
    log: join(directory.path, 'epmd.log'),
  });
  const nodes = new Map<Machine, RabbitNode>();
  const node = (machine: Machine): RabbitNode => {
    const found = nodes.get(machine);
    if (!found) throw new Error(`there is no node ${machine}`);
    return found;
  };
  for (const machine of machines) {
    const own = join(directory.path, `db-${machine}`);
    mkdirSync(own);
    const documented = documentedFile('/etc/rabbitmq/rabbitmq.conf', prefix, machine)
      .replaceAll('/etc/rabbitmq/tls/', `${directory.path}/`)
      .replaceAll(/rabbit@(db-\d)/g, '$1@localhost');
    nodes.set(
      machine,
      createRabbitNode({
        directory: own,
        name: nodeName(machine),
        settings: `${documented}load_definitions = ${definitions}\n`,
        address: machineAddress(prefix, machine),
        port: 5671,
        distribution: await freePort(),
        epmd,
        cookie: 'secret-of-a-test',
      }),
    );
  }
  const cluster: RabbitCluster = {
    config: (host) => ({
      urls: addresses.map((address) => `amqps://${address}`),
      virtual_host: VIRTUAL_HOST,
      password_file: passwordFile(directory.path, host),
      tls: { ca: join(directory.path, 'ca.crt'), cert: null, key: null },
    }),
    kill: (machine) => node(machine).kill(),
    signal: (machine, name) => node(machine).signal(name),
    replace: (machine) => node(machine).replace(),
    start: (machine) => node(machine).start(),
    control: (machine, program, ...argv) => node(machine).control(argv, program),
    async stop() {
      await Promise.all([...nodes.values()].map((one) => one.kill()));
      await names.kill();
      directory.remove();
    },
  };
  try {
    await Promise.all(machines.map((machine) => cluster.start(machine)));
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}
