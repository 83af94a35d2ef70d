// The bus over RabbitMQ. Controllers declare everything; agents read their own queues and write replies, nothing else.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { AmqpConnectionManager, ChannelWrapper } from 'amqp-connection-manager';
import type { Channel, ConsumeMessage, Options } from 'amqplib';
import type { BrokerConfig } from './broker/config';
import { CONTROLLER_USER } from './broker/definitions';
import {
  agentRoles,
  changesQueueName,
  CHANGES_KEY,
  commandQueueName,
  COMMANDS_EXCHANGE,
  hostUserName,
  REPLIES_EXCHANGE,
  REPLIES_QUEUE,
} from './broker/names';
import type { Bus, Subscription } from './bus';
import { CumuletError, messageOf } from './errors';
import type { Logger } from './log';
import { commandRole } from './messages/commands';
import { parseCommand, parseReply } from './messages/parse';

export interface AmqpBus extends Bus {
  connected(): boolean;
  /** Gives up what was not sent and ends the connection. */
  close(): Promise<void>;
}

export interface AmqpBusOptions {
  readonly config: BrokerConfig;
  readonly log: Logger;
  /** The host whose agent this is; undefined for a controller. */
  readonly host?: string;
}

const HEARTBEAT_SECONDS = 5;
const RECONNECT_SECONDS = 1;
/** How long a message may wait for the broker before the sender is told that it was not sent. */
const PUBLISH_TIMEOUT_MS = 4_000;
/** Pause before a message that the broker did not take is sent again. */
const PUBLISH_AGAIN_MS = 200;
/** A command expires before its step asks again: the shortest time between two rounds is 5 s. */
const COMMAND_TTL_MS = 4_500;
const HINT_TTL_MS = 5_000;
/** Pause before what the broker closed or somebody deleted is opened or made again, and before a refused reply is taken again. */
const AGAIN_MS = 1_000;
/** The client's words for a message that the broker has refused. */
const NACKED = 'message nacked';
const PREFETCH = 256;
/** Bounds what one host can pile up. Lost replies cost another round. */
const MOST_REPLIES = 100_000;

const quorum = (more: Options.AssertQueue['arguments'] = {}): Options.AssertQueue => ({
  durable: true,
  arguments: { 'x-queue-type': 'quorum', ...(more as Record<string, unknown>) },
});

/** Where to connect to; read anew after all nodes were tried, so that a new password takes effect without a restart. */
function servers(config: BrokerConfig, username: string) {
  const password = readFileSync(config.password_file, 'utf8').trim();
  return config.urls.map((text) => {
    const { protocol, hostname, port } = new URL(text);
    const secure = protocol === 'amqps:';
    return {
      protocol: protocol.slice(0, -1),
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 5671 : 5672) : Number(port),
      username,
      password,
      vhost: config.virtual_host,
      heartbeat: HEARTBEAT_SECONDS,
    };
  });
}

function openConnection({ config, log, host }: AmqpBusOptions): AmqpConnectionManager {
  const username = host === undefined ? CONTROLLER_USER : hostUserName(host);
  const file = (path: string | null | undefined): Buffer | undefined => (path ? readFileSync(path) : undefined);
  const [ca, cert, key] = [config.tls?.ca, config.tls?.cert, config.tls?.key].map(file);
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- 10 MB of memory that a cloud in one process does without
  const { connect } = require('amqp-connection-manager') as typeof import('amqp-connection-manager');
  const manager = connect(null, {
    findServers: () => Promise.resolve().then(() => servers(config, username)),
    heartbeatIntervalInSeconds: HEARTBEAT_SECONDS,
    reconnectTimeInSeconds: RECONNECT_SECONDS,
    connectionOptions: {
      // Without it a command and its reply take 44 ms instead of 2.
      noDelay: true,
      timeout: 5_000,
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      clientProperties: { connection_name: username },
    },
  });
  let failing = false;
  const failed = (error: unknown): void => {
    if (!failing) log.warn({ error: messageOf(error) }, 'the message broker is not reached; it is tried again');
    failing = true;
  };
  manager.on('connect', () => {
    failing = false;
    log.info('connected to the message broker');
  });
  manager.on('connectFailed', ({ err }) => failed(err));
  manager.on('disconnect', ({ err }) => failed(err ?? new Error('the connection was closed')));
  return manager;
}

interface LivingChannel {
  current(): ChannelWrapper;
  /** Has it opened anew after a pause, as when the broker had closed it. */
  reopen(why: string): void;
  close(): Promise<void>;
}

/**
 * A channel that comes back. The manager opens channels anew after the connection was lost, but not one that the broker alone
 * closed, as it does when a queue is not there yet or something is forbidden.
 */
function keepChannel(
  manager: AmqpConnectionManager,
  log: Logger,
  name: string,
  setup: (channel: Channel, reopen: (why: string) => void) => Promise<void>,
): LivingChannel {
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let said = '';
  const renew = (wrapper: ChannelWrapper, why: string): void => {
    if (closed || timer || wrapper !== current) return;
    if (why !== said) log.warn({ channel: name, why }, 'a channel of the message broker is opened again');
    said = why;
    timer = setTimeout(() => {
      timer = undefined;
      end(wrapper).catch((error: unknown) => log.debug({ error: messageOf(error) }, 'the old channel'));
      current = open();
    }, AGAIN_MS);
  };
  const open = (): ChannelWrapper => {
    const reopen = (why: string): void => renew(wrapper, why);
    const wrapper = manager.createChannel({
      name,
      publishTimeout: PUBLISH_TIMEOUT_MS,
      setup: async (channel: Channel) => {
        channel.on('error', (error) => reopen(messageOf(error)));
        await setup(channel, reopen);
        said = '';
      },
    });
    wrapper.on('error', (error) => reopen(messageOf(error)));
    return wrapper;
  };
  const end = async (wrapper: ChannelWrapper): Promise<void> => {
    // Closing a channel that the broker has closed already is refused, which is as good.
    await wrapper.close().catch((error: unknown) => log.debug({ error: messageOf(error) }, 'closing a channel'));
  };
  let current = open();
  return {
    current: () => current,
    reopen: (why) => renew(current, why),
    async close() {
      closed = true;
      clearTimeout(timer);
      await end(current);
    },
  };
}

/** Settles a message; on a channel that is gone the broker gives the message to somebody again. */
function settle(log: Logger, work: () => void): void {
  try {
    work();
  } catch (error) {
    log.debug({ error: messageOf(error) }, 'a message was not acknowledged and will come again');
  }
}

export function createAmqpBus(options: AmqpBusOptions): AmqpBus {
  const { log, host: self } = options;
  const isController = self === undefined;
  const manager = openConnection(options);
  /** Hosts whose queues exist, as far as this connection knows. */
  const declared = new Set<string>();
  const subscriptions = new Set<LivingChannel>();
  let closing = false;

  /** The channel behind `publishing`, for what must not wait: the wrapper answers as if it were done when there is none. */
  let open: Channel | undefined;
  const publishing = keepChannel(manager, log, 'publish', async (channel) => {
    declared.clear();
    channel.on('close', () => {
      if (open === channel) open = undefined;
    });
    open = channel;
    if (!isController) return;
    await channel.assertExchange(COMMANDS_EXCHANGE, 'direct', { durable: true });
    await channel.assertExchange(REPLIES_EXCHANGE, 'direct', { durable: true });
    await channel.assertQueue(REPLIES_QUEUE, quorum({ 'x-max-length': MOST_REPLIES }));
    await channel.bindQueue(REPLIES_QUEUE, REPLIES_EXCHANGE, REPLIES_QUEUE);
    // A queue that somebody deleted is declared again after a pause. At once, the broker would put the agent's old consumer on the new
    // queue instead of telling the agent that its queue is gone, and such a consumer of a quorum queue gets nothing.
    channel.on('return', ({ fields }) => {
      const host = [...declared].find((one) => fields.routingKey.startsWith(`agent.${one}.`));
      if (host !== undefined) setTimeout(() => declared.delete(host), AGAIN_MS).unref();
    });
  });

  /**
   * Resolves when the broker has the message. One that was on its way when a node died, or that a queue could not take while it chose
   * another leader, is sent again: twice does no harm. A channel that first wrote to a queue while that had no leader may have remembered
   * one on a node that is gone, and RabbitMQ then refuses there whatever is sent to that queue: another channel asks for the leader anew.
   */
  const publish = async (exchange: string, key: string, text: string, more: Options.Publish): Promise<void> => {
    const properties = { contentType: 'application/json', persistent: true, ...more };
    let refusals = 0;
    for (const until = performance.now() + PUBLISH_TIMEOUT_MS; ; await pause(PUBLISH_AGAIN_MS)) {
      try {
        await publishing.current().publish(exchange, key, Buffer.from(text), properties);
        return;
      } catch (error) {
        if (messageOf(error) === NACKED && ++refusals > 1) publishing.reopen('the broker refuses messages on it');
        if (closing || performance.now() + PUBLISH_AGAIN_MS > until) throw error;
      }
    }
  };

  const declareHost = async (host: string): Promise<void> => {
    if (declared.has(host)) return;
    const channel = open;
    if (!channel) throw new CumuletError('broker_unreachable', 'the message broker is not reached');
    for (const role of agentRoles) {
      const queue = commandQueueName(host, role);
      await channel.assertQueue(queue, quorum());
      await channel.bindQueue(queue, COMMANDS_EXCHANGE, queue);
    }
    // One hint says as much as many.
    await channel.assertQueue(changesQueueName(host), quorum({ 'x-max-length': 1 }));
    for (const key of [CHANGES_KEY, changesQueueName(host)])
      await channel.bindQueue(changesQueueName(host), COMMANDS_EXCHANGE, key);
    declared.add(host);
  };

  /** Reads a queue. `take` settles the message. */
  const consume = (queue: string, take: (message: ConsumeMessage, channel: Channel) => void): Subscription => {
    const living = keepChannel(manager, log, queue, async (channel, reopen) => {
      await channel.prefetch(PREFETCH);
      await channel.consume(queue, (message) => {
        if (message) take(message, channel);
        else reopen('its queue was deleted');
      });
    });
    subscriptions.add(living);
    return {
      close: async () => {
        subscriptions.delete(living);
        await living.close();
      },
    };
  };

  /** For messages that count as taken when they are here: nothing is lost that would not be sent again. */
  const takeOver =
    (work: (text: string) => void) =>
    (message: ConsumeMessage, channel: Channel): void => {
      settle(log, () => channel.ack(message));
      try {
        work(message.content.toString());
      } catch (error) {
        log.error({ error: messageOf(error) }, 'a message was dropped');
      }
    };

  const record = async (
    message: ConsumeMessage,
    handler: Parameters<Bus['onReply']>[0],
  ): Promise<'taken' | 'again'> => {
    const sender: unknown = message.properties.userId;
    let reply;
    try {
      reply = parseReply(message.content.toString());
    } catch (error) {
      log.error({ sender, error: messageOf(error) }, 'a reply was dropped');
      return 'taken';
    }
    if (sender !== hostUserName(reply.host)) {
      log.error({ sender, host: reply.host, task: reply.task }, 'a reply in the name of another host was dropped');
      return 'taken';
    }
    return handler(reply).then(
      () => 'taken',
      () => 'again',
    );
  };

  return {
    connected: () => manager.isConnected(),
    declareHost,
    async sendCommand(command) {
      const text = JSON.stringify(command);
      const { host, kind } = parseCommand(text);
      await declareHost(host);
      const properties = { mandatory: true, expiration: COMMAND_TTL_MS };
      await publish(COMMANDS_EXCHANGE, commandQueueName(host, commandRole[kind]), text, properties);
    },
    onCommand: (host, role, handler) =>
      Promise.resolve(
        consume(
          commandQueueName(host, role),
          takeOver((text) => handler(parseCommand(text))),
        ),
      ),
    async sendReply(reply) {
      const text = JSON.stringify(reply);
      const { host } = parseReply(text);
      await publish(REPLIES_EXCHANGE, REPLIES_QUEUE, text, { userId: hostUserName(host) });
    },
    onReply: (handler) =>
      Promise.resolve(
        consume(REPLIES_QUEUE, (message, channel) => {
          void record(message, handler).then((outcome) => {
            if (outcome === 'taken') settle(log, () => channel.ack(message));
            else setTimeout(() => settle(log, () => channel.nack(message)), AGAIN_MS).unref();
          });
        }),
      ),
    async hintChanges(sequence, hosts) {
      const text = JSON.stringify({ sequence });
      const hint = (key: string): Promise<void> => publish(COMMANDS_EXCHANGE, key, text, { expiration: HINT_TTL_MS });
      if (!hosts) return hint(CHANGES_KEY);
      for (const host of hosts) await declareHost(host);
      await Promise.all(hosts.map((host) => hint(changesQueueName(host))));
    },
    onChanges: (host, handler) =>
      Promise.resolve(
        consume(
          changesQueueName(host),
          takeOver((text) => handler(Number((JSON.parse(text) as { sequence?: unknown }).sequence))),
        ),
      ),
    async close() {
      closing = true;
      await Promise.all([...subscriptions, publishing].map((channel) => channel.close()));
      await manager.close();
    },
  };
}
