// A RabbitMQ of a test's own, one node of it; what it has goes away with the process that started it, however that ends.
import { type BrokerConfig } from '@cumulet/common';
import { passwordFile, VIRTUAL_HOST, writeBrokerUsers } from './brokerUsers';
import { freePort } from './freePort';
import { makeOwnDirectory } from './ownDirectory';
import { createRabbitNode } from './rabbitNode';

export interface Broker {
  /** The configuration of a controller, or of a host's agent. */
  config(host?: string): BrokerConfig;
}

export interface RabbitMq extends Broker {
  readonly directory: string;
  /** Runs `rabbitmqctl`. Takes seconds: it is a virtual machine of its own. */
  control(...argv: string[]): Promise<string>;
  /** Ends the broker as a crash would; its files stay. */
  kill(): Promise<void>;
  /** Starts it, again after `kill`, on the same ports. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export interface RabbitMqOptions {
  /** Where it listens for clients; loopback unless given. */
  readonly address?: string;
  /** Hosts that have a user from the beginning. */
  readonly hosts?: readonly string[];
  /** With these it speaks TLS only, and demands a certificate of the same CA. */
  readonly tls?: { readonly ca: string; readonly certificate: string; readonly key: string };
}

export async function startRabbitMq({
  address = '127.0.0.1',
  hosts = [],
  tls,
}: RabbitMqOptions = {}): Promise<RabbitMq> {
  const directory = makeOwnDirectory('cumulet-rabbitmq-');
  const [port, distribution, epmd] = [await freePort(), await freePort(), await freePort()];
  const definitions = writeBrokerUsers(directory.path, hosts);
  const listener = tls
    ? [
        'listeners.tcp = none',
        `listeners.ssl.1 = ${address}:${port}`,
        `ssl_options.cacertfile = ${tls.ca}`,
        `ssl_options.certfile = ${tls.certificate}`,
        `ssl_options.keyfile = ${tls.key}`,
        'ssl_options.verify = verify_peer',
        'ssl_options.fail_if_no_peer_cert = true',
      ]
    : [`listeners.tcp.1 = ${address}:${port}`];
  const node = createRabbitNode({
    directory: directory.path,
    name: 'test@localhost',
    settings: [...listener, `load_definitions = ${definitions}`, ''].join('\n'),
    address,
    port,
    distribution,
    epmd,
    cookie: 'secret-of-a-test',
  });
  const broker: RabbitMq = {
    directory: directory.path,
    config: (host) => ({
      urls: [`${tls ? 'amqps' : 'amqp'}://${tls ? 'localhost' : address}:${port}`],
      virtual_host: VIRTUAL_HOST,
      password_file: passwordFile(directory.path, host),
      tls: tls ? { ca: tls.ca, cert: tls.certificate, key: tls.key } : null,
    }),
    control: (...argv) => node.control(argv),
    kill: () => node.kill(),
    start: () => node.start(),
    async stop() {
      await node.kill();
      directory.remove();
    },
  };
  try {
    await broker.start();
    return broker;
  } catch (error) {
    await broker.stop();
    throw error;
  }
}
