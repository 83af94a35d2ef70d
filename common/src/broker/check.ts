// Whether what a configuration says of the broker can work, as far as that is known before it is asked.
import { readFileSync } from 'node:fs';
import { ConfigError, messageOf } from '../errors';
import type { BrokerConfig } from './config';

const refuse = (key: string, words: string): ConfigError =>
  new ConfigError(`broker.${key}: ${words}`, { key: `broker.${key}` });

function requireReadable(key: string, path: string | null): void {
  if (path === null) return;
  try {
    readFileSync(path);
  } catch (error) {
    throw refuse(key, `can not be read: ${messageOf(error)}`);
  }
}

/** Reads the files that it names, and looks whether the nodes of a cluster fit each other. @throws ConfigError naming the key */
export function checkBroker({ urls, password_file, tls }: BrokerConfig): void {
  if (new Set(urls.map((url) => new URL(url).protocol)).size > 1)
    // Who may choose its node by its failures would choose the one that shows the password.
    throw refuse('urls', 'some are amqp:// and some amqps://; all nodes must be reached alike');
  if (new Set(urls).size < urls.length) throw refuse('urls', 'a node is there twice');
  requireReadable('password_file', password_file);
  if (tls === null) return;
  if ((tls.cert === null) !== (tls.key === null)) throw refuse('tls', 'cert and key go together');
  for (const key of ['ca', 'cert', 'key'] as const) requireReadable(`tls.${key}`, tls[key]);
}
