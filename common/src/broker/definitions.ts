// Users and permissions at the broker, in the form that `rabbitmqctl import_definitions FILE` takes. Holds no password, only its hash.
import { createHash, randomBytes } from 'node:crypto';
import { agentRoles, CHANGES_KEY, COMMANDS_EXCHANGE, hostUserName, REPLIES_EXCHANGE } from './names';

/** The broker's user that controllers log in as. */
export const CONTROLLER_USER = 'cumulet-controller';

interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface BrokerDefinitions {
  readonly vhosts: readonly { readonly name: string }[];
  readonly users: readonly {
    readonly name: string;
    readonly password_hash: string;
    readonly hashing_algorithm: 'rabbit_password_hashing_sha256';
    readonly tags: readonly string[];
  }[];
  readonly permissions: readonly (Permissions & { readonly user: string; readonly vhost: string })[];
}

/** A text as a regular expression that matches it alone. */
const literal = (text: string): string => text.replaceAll(/[.\\+*?[\](){}^$|-]/g, '\\$&');

/** RabbitMQ's salted SHA-256. A password here is long and random, so that a fast hash is enough. */
function passwordHash(password: string): string {
  const salt = randomBytes(4);
  return Buffer.concat([salt, createHash('sha256').update(salt).update(password).digest()]).toString('base64');
}

const definitions = (vhost: string, name: string, password: string, permissions: Permissions): BrokerDefinitions => ({
  vhosts: [{ name: vhost }],
  users: [
    {
      name,
      password_hash: passwordHash(password),
      hashing_algorithm: 'rabbit_password_hashing_sha256',
      tags: [],
    },
  ],
  permissions: [{ user: name, vhost, ...permissions }],
});

/** The controllers' user: declares everything, sends commands, reads replies, and reads no host's queue. */
export function controllerDefinitions(vhost: string, password: string): BrokerDefinitions {
  const exchanges = `(${literal(COMMANDS_EXCHANGE)}|${literal(REPLIES_EXCHANGE)})`;
  // To bind a queue one must be allowed to write to it and to read its exchange.
  return definitions(vhost, CONTROLLER_USER, password, {
    configure: `^(${exchanges}|agent\\..+)$`,
    write: `^(${exchanges}|agent\\..+)$`,
    read: `^${exchanges}$`,
  });
}

/** A host's user: reads the host's own queues and writes replies. It declares nothing. */
export function hostDefinitions(vhost: string, host: string, password: string): BrokerDefinitions {
  return definitions(vhost, hostUserName(host), password, {
    configure: '^$',
    write: `^${literal(REPLIES_EXCHANGE)}$`,
    read: `^agent\\.${literal(host)}\\.(${[...agentRoles, CHANGES_KEY].join('|')})$`,
  });
}
