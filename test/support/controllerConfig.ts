// The configuration of one of several controllers: a data directory of its own; database, broker, key file and images are those of all.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestCa } from './certificates';
import type { MariadbOptions } from './mariadb';
import type { Broker } from './rabbitmq';
import { PASSWORD } from './realCloud';

export interface Neighbours {
  readonly directory: string;
  /** TCP ports by what listens on them. */
  readonly ports: Readonly<Record<string, number>>;
  readonly broker: Broker;
  readonly ca: TestCa;
  readonly database: MariadbOptions;
  /** Where controllers listen for clients and agents; loopback unless given. */
  readonly address?: string;
}

/** The names of a controller's ports. */
export const controllerPorts = (name: string): string[] => [`${name} api`, `${name} agent api`, `${name} health`];

/** Where agents reach a controller. */
export const agentApiUrl = (name: string, ports: Neighbours['ports']): string =>
  `https://127.0.0.1:${ports[`${name} agent api`]}`;

/** Writes the files that the configurations name. */
export function prepareControllers(directory: string, database: MariadbOptions): void {
  writeFileSync(join(directory, 'database-password'), database.password, { mode: 0o600 });
  writeFileSync(join(directory, 'bootstrap.json'), JSON.stringify({ admin_password: PASSWORD }), { mode: 0o600 });
}

export function controllerConfig(name: string, neighbours: Neighbours): object {
  const { directory, ports, broker, ca, database, address = '127.0.0.1' } = neighbours;
  return {
    listen: address,
    port: ports[`${name} api`],
    data_dir: join(directory, name),
    bootstrap_file: join(directory, 'bootstrap.json'),
    password_cost: 10,
    database: {
      kind: 'mariadb',
      ...(database.socket === undefined ? { host: database.host, port: database.port } : { socket: database.socket }),
      user: database.user,
      password_file: join(directory, 'database-password'),
      name: database.database,
    },
    token_key_file: join(dirname(ca.config(name).key), 'token-keys.secret'),
    image: { dir: join(directory, 'images') },
    agent_api: { listen: address, port: ports[`${name} agent api`], tls: ca.config(name) },
    broker: broker.config(),
    health: { port: ports[`${name} health`] },
  };
}
