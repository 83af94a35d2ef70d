// The section `database` of the controller's configuration, and the database that it names.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { ConfigError, messageOf } from '@cumulet/common';
import { Type, type Static } from '@sinclair/typebox';
import type { DatabaseOptions, MariadbTls } from './db';

const optional = (description: string) => Type.Union([Type.String(), Type.Null()], { default: null, description });

export const DatabaseConfig = Type.Object(
  {
    kind: Type.Unsafe<'sqlite' | 'mariadb'>({
      type: 'string',
      enum: ['sqlite', 'mariadb'],
      default: 'sqlite',
      description: 'sqlite: a file of this controller alone. mariadb: a server that several controllers share.',
    }),
    path: optional('sqlite: the file; data_dir/cumulet.db unless set.'),
    host: Type.String({ default: '127.0.0.1', description: "mariadb: the server's address." }),
    port: Type.Integer({ default: 3306, minimum: 1, maximum: 65535, description: "mariadb: the server's TCP port." }),
    socket: optional("mariadb: the server's unix socket, instead of host and port."),
    user: Type.String({ default: 'cumulet', description: 'mariadb: who signs in.' }),
    password_file: optional('mariadb: file with the password, which its other users can not read.'),
    name: Type.String({
      default: 'cumulet',
      minLength: 1,
      maxLength: 64,
      description: 'mariadb: the database, made before by the administrator.',
    }),
    tls: Type.Union(
      [
        Type.Object(
          {
            ca: Type.String({ description: "File with the certificates that sign the server's." }),
            cert: optional('File with the certificate to show to the server.'),
            key: optional('File with its key.'),
          },
          { additionalProperties: false },
        ),
        Type.Null(),
      ],
      { default: null, description: 'mariadb: encrypts the connection; PEM files. Null: it is not encrypted.' },
    ),
    pool_size: Type.Integer({
      default: 10,
      minimum: 2,
      maximum: 1000,
      description: 'mariadb: connections for writes at most, and as many for reads.',
    }),
  },
  { default: {}, additionalProperties: false },
);
export type DatabaseConfig = Static<typeof DatabaseConfig>;

/** Reads a file that a key names. @throws ConfigError */
function contents(key: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`database.${key}: can not be read: ${messageOf(error)}`, { key: `database.${key}` });
  }
}

function tlsOf({ host, socket }: DatabaseConfig, tls: NonNullable<DatabaseConfig['tls']>): MariadbTls {
  // The driver compares certificates with names only; and over a socket there is nobody else who could listen.
  if (isIP(host) !== 0 || socket !== null)
    throw new ConfigError("database.tls: needs the server's host as a name, which its certificate must carry", {
      key: 'database.tls',
    });
  if ((tls.cert === null) !== (tls.key === null))
    throw new ConfigError('database.tls: cert and key go together', { key: 'database.tls' });
  return {
    ca: contents('tls.ca', tls.ca),
    ...(tls.cert === null ? {} : { cert: contents('tls.cert', tls.cert) }),
    ...(tls.key === null ? {} : { key: contents('tls.key', tls.key) }),
  };
}

/** The database that a configuration names, with the files that it points to. @throws ConfigError naming the key */
export function databaseOptions(config: {
  readonly database: DatabaseConfig;
  readonly data_dir: string;
  readonly durable: boolean;
}): DatabaseOptions {
  const { database } = config;
  if (database.kind === 'sqlite')
    return { kind: 'sqlite', path: database.path ?? join(config.data_dir, 'cumulet.db'), durable: config.durable };
  if (database.password_file === null)
    throw new ConfigError('database.password_file: is needed with kind mariadb', { key: 'database.password_file' });
  return {
    kind: 'mariadb',
    host: database.host,
    port: database.port,
    ...(database.socket === null ? {} : { socket: database.socket }),
    user: database.user,
    password: contents('password_file', database.password_file).replace(/\r?\n$/, ''),
    database: database.name,
    ...(database.tls === null ? {} : { tls: tlsOf(database, database.tls) }),
    poolSize: database.pool_size,
  };
}
