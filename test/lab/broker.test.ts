// RabbitMQ carries the bus: the contract of every bus, restarts, and what a stolen host's credentials are good for.
import { connect as connectAmqp, type Channel, type ChannelModel } from 'amqplib';
import {
  changesQueueName,
  commandQueueName,
  COMMANDS_EXCHANGE,
  createAmqpBus,
  exec,
  hostUserName,
  REPLIES_EXCHANGE,
  REPLIES_QUEUE,
  silentLogger,
  type AmqpBus,
  type Command,
  type Reply,
} from '@cumulet/common';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busContract, command, eventually, replyTo } from '../support/busContract';
import { startRabbitMq, type RabbitMq } from '../support/rabbitmq';

let broker: RabbitMq;
const buses: AmqpBus[] = [];
const bus = (host?: string): AmqpBus => {
  const made = createAmqpBus({ config: broker.config(host), log: silentLogger, ...(host ? { host } : {}) });
  buses.push(made);
  return made;
};
let controller: AmqpBus;
let second: AmqpBus;
let agents: Record<'h1' | 'h2', AmqpBus>;

beforeAll(async () => {
  broker = await startRabbitMq({ hosts: ['h1', 'h2', 'h1.compute'] });
  controller = bus();
  second = bus();
  agents = { h1: bus('h1'), h2: bus('h2') };
});
afterAll(async () => {
  await Promise.all(buses.map((one) => one.close()));
  await broker.stop();
});

describe('the contract', () => {
  let turn = 0;
  busContract({ controller: () => (turn++ % 2 === 0 ? controller : second), agent: (host) => agents[host] });
});

describe('a stolen host', () => {
  let model: ChannelModel;
  const errors: string[] = [];
  /** A channel with the stolen credentials of h2; whatever the broker says to it ends up in `errors`. */
  async function stolen(): Promise<Channel> {
    const channel = await model.createConfirmChannel();
    channel.on('error', (error: Error) => errors.push(error.message));
    return channel;
  }
  /** Tries something and returns the broker's refusal, or "allowed". */
  async function attempt(work: (channel: Channel) => unknown): Promise<string> {
    errors.length = 0;
    const channel = await stolen();
    try {
      await work(channel);
      await (channel as unknown as { waitForConfirms(): Promise<void> }).waitForConfirms();
      await channel.close();
      return errors[0] ?? 'allowed';
    } catch (error) {
      return errors[0] ?? String(error);
    }
  }
  beforeAll(async () => {
    const config = broker.config('h2');
    const { port } = new URL(config.urls[0] ?? '');
    const password = readFileSync(config.password_file, 'utf8');
    model = await connectAmqp({
      hostname: '127.0.0.1',
      port: Number(port),
      username: hostUserName('h2'),
      password,
      vhost: config.virtual_host,
    });
    model.on('error', () => undefined);
    await eventually('queues', () =>
      Promise.all(['h1', 'h2', 'h1.compute'].map((host) => controller.declareHost(host))).then(
        () => true,
        () => false,
      ),
    );
  });
  afterAll(() => model.close());

  const evil = Buffer.from(JSON.stringify(command({ host: 'h1' })));

  test('can not command another host, nor itself', async () => {
    const got: Command[] = [];
    const subscription = await agents.h1.onCommand('h1', 'compute', (one) => void got.push(one));
    for (const [exchange, key] of [
      [COMMANDS_EXCHANGE, commandQueueName('h1', 'compute')],
      [COMMANDS_EXCHANGE, commandQueueName('h2', 'compute')],
      [COMMANDS_EXCHANGE, 'changes'],
      ['', commandQueueName('h1', 'compute')],
      ['', REPLIES_QUEUE],
      ['amq.direct', 'any'],
    ] as const)
      expect(await attempt((channel) => channel.publish(exchange, key, evil))).toMatch(/ACCESS_REFUSED|403/);
    // Through the exchange that it may write to no host's queue is reached.
    expect(await attempt((channel) => channel.publish(REPLIES_EXCHANGE, commandQueueName('h1', 'compute'), evil))).toBe(
      'allowed',
    );
    await controller.sendCommand(command({ task: 'the-real-one' }));
    await eventually('a command', () => got.length > 0);
    expect(got.map(({ task }) => task)).toEqual(['the-real-one']);
    await subscription.close();
  });

  test('can not read what is not its own', async () => {
    for (const queue of [
      commandQueueName('h1', 'compute'),
      commandQueueName('h1', 'storage'),
      commandQueueName('h1', 'network'),
      commandQueueName('h1.compute', 'compute'),
      changesQueueName('h1'),
      REPLIES_QUEUE,
    ]) {
      expect(await attempt((channel) => channel.consume(queue, () => undefined))).toMatch('ACCESS_REFUSED');
      expect(await attempt((channel) => channel.get(queue))).toMatch('ACCESS_REFUSED');
    }
    expect(await attempt((channel) => channel.get(commandQueueName('h2', 'compute')))).toBe('allowed');
  });

  test('can not declare, bind, purge or delete anything', async () => {
    const own = commandQueueName('h2', 'compute');
    for (const work of [
      (channel: Channel) => channel.assertQueue('mine'),
      (channel: Channel) => channel.assertQueue(''),
      (channel: Channel) => channel.assertQueue('agent.h2.mine'),
      (channel: Channel) => channel.assertExchange('mine', 'fanout'),
      (channel: Channel) => channel.bindQueue(own, COMMANDS_EXCHANGE, commandQueueName('h1', 'compute')),
      (channel: Channel) => channel.bindQueue(own, REPLIES_EXCHANGE, REPLIES_QUEUE),
      (channel: Channel) => channel.bindExchange(REPLIES_EXCHANGE, COMMANDS_EXCHANGE, 'any'),
      (channel: Channel) => channel.unbindQueue(own, COMMANDS_EXCHANGE, own),
      (channel: Channel) => channel.purgeQueue(commandQueueName('h1', 'compute')),
      (channel: Channel) => channel.deleteQueue(own),
      (channel: Channel) => channel.deleteExchange(COMMANDS_EXCHANGE),
    ])
      expect(await attempt(work)).toMatch('ACCESS_REFUSED');
  });

  test('can not answer for another host', async () => {
    const got: Reply[] = [];
    const subscription = await controller.onReply(async (reply) => void got.push(reply));
    const asked = command();
    const lie = Buffer.from(JSON.stringify(replyTo(asked)));
    const send = (properties: object): Promise<string> =>
      attempt((channel) => channel.publish(REPLIES_EXCHANGE, REPLIES_QUEUE, lie, properties));
    // In the name of h1 the broker refuses it; in its own name, or in none, the controller drops it.
    expect(await send({ userId: hostUserName('h1') })).toMatch('PRECONDITION_FAILED');
    expect(await send({ userId: hostUserName('h2') })).toBe('allowed');
    expect(await send({})).toBe('allowed');
    await agents.h1.sendReply(replyTo(asked, { observed: { said: 'the truth' } }));
    await eventually('the true reply', () => got.length > 0);
    expect(got.map(({ observed }) => observed)).toEqual([{ said: 'the truth' }]);
    await subscription.close();
  });

  test('can not log in as somebody else or anonymously', async () => {
    const config = broker.config('h2');
    const { port } = new URL(config.urls[0] ?? '');
    const password = readFileSync(config.password_file, 'utf8');
    for (const [username, vhost] of [
      [hostUserName('h1'), config.virtual_host],
      ['cumulet-controller', config.virtual_host],
      ['guest', config.virtual_host],
      [hostUserName('h2'), '/'],
    ] as const)
      await expect(
        connectAmqp({ hostname: '127.0.0.1', port: Number(port), username, password, vhost }),
      ).rejects.toThrow(/ACCESS_REFUSED|403|Expected ConnectionOpenOk; got <ConnectionClose/);
  });
});

describe('trouble', () => {
  const declared = (): Promise<boolean> =>
    controller.declareHost('h1').then(
      () => true,
      () => false,
    );

  test('messages that wait when the broker is emptied are lost, and the next ones arrive', async () => {
    await eventually('queues', declared);
    await controller.sendCommand(command());
    await broker.control('-p', 'cumulet', 'purge_queue', commandQueueName('h1', 'compute'));
    const got: Command[] = [];
    const subscription = await agents.h1.onCommand('h1', 'compute', (one) => void got.push(one));
    const next = command();
    await controller.sendCommand(next);
    await eventually('the next command', () => got.length > 0);
    expect(got).toEqual([next]);
    await subscription.close();
  });

  test('a deleted queue is declared by the next command, and the agent finds it', async () => {
    await eventually('queues', declared);
    const got: string[] = [];
    const subscription = await agents.h1.onCommand('h1', 'compute', ({ task }) => void got.push(task));
    await controller.sendCommand(command({ task: 'before' }));
    await eventually('the first command', () => got.length > 0);
    await broker.control('-p', 'cumulet', 'delete_queue', commandQueueName('h1', 'compute'));
    await eventually('a command', async () => {
      await controller.sendCommand(command({ task: 'after' })).catch(() => undefined);
      return got.includes('after');
    });
    await subscription.close();
  });

  test('a command waits for an agent only as long as its step does', async () => {
    await controller.sendCommand(command({ task: 'old' }));
    await new Promise((next) => setTimeout(next, 6_000));
    const got: string[] = [];
    const subscription = await agents.h1.onCommand('h1', 'compute', ({ task }) => void got.push(task));
    await controller.sendCommand(command({ task: 'new' }));
    await eventually('the new command', () => got.length > 0);
    expect(got).toEqual(['new']);
    await subscription.close();
  });

  test('a sender is told when the broker is away, and everything goes on when it is back', async () => {
    const got: string[] = [];
    const replies: string[] = [];
    const subscription = await agents.h1.onCommand('h1', 'compute', ({ task }) => void got.push(task));
    const listening = await controller.onReply(async ({ task }) => void replies.push(task));
    await controller.sendCommand(command({ task: 'before' }));
    await eventually('the first command', () => got.includes('before'));
    await broker.kill();
    await expect(controller.sendCommand(command({ task: 'lost' }))).rejects.toThrow();
    await expect(agents.h1.sendReply(replyTo(command({ task: 'lost' })))).rejects.toThrow();
    await eventually('the disconnection', () => !controller.connected());
    await broker.start();
    await eventually('a command after the restart', async () => {
      await controller.sendCommand(command({ task: 'after' })).catch(() => undefined);
      await agents.h1.sendReply(replyTo(command({ task: 'after' }))).catch(() => undefined);
      return got.includes('after') && replies.includes('after');
    });
    await subscription.close();
    await listening.close();
  });
});

test('with TLS both sides are checked', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-broker-tls-'));
  const file = (name: string): string => join(directory, name);
  const make = (name: string, ...more: string[]): Promise<unknown> => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', file(`${name}.key`)];
    const subject = ['-subj', `/CN=${name}`, '-out', file(`${name}.crt`)];
    return exec(['openssl', 'req', '-x509', ...key, ...subject, ...more]);
  };
  await make('ca');
  await make('stranger', '-addext', 'subjectAltName=DNS:localhost');
  const signed = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-addext', 'basicConstraints=CA:FALSE'];
  await make('broker', ...signed, '-addext', 'subjectAltName=DNS:localhost');
  const tls = { ca: file('ca.crt'), certificate: file('broker.crt'), key: file('broker.key') };
  const secure = await startRabbitMq({ hosts: ['h1'], tls });
  const own = secure.config('h1');
  const open = (config: typeof own, host: { host?: string } = { host: 'h1' }): AmqpBus => {
    const made = createAmqpBus({ config, log: silentLogger, ...host });
    buses.push(made);
    return made;
  };
  try {
    const trusted = open(own);
    const declaring = open(secure.config(), {});
    const unknown = { ca: tls.ca, cert: file('stranger.crt'), key: file('stranger.key') };
    const refused = [
      open({ ...own, tls: unknown }),
      open({ ...own, tls: { ca: file('stranger.crt'), cert: tls.certificate, key: tls.key } }),
      open({ ...own, tls: null }),
    ];
    await eventually('the queues', () =>
      declaring.declareHost('h1').then(
        () => trusted.connected(),
        () => false,
      ),
    );
    const lie = replyTo(command());
    await Promise.all(refused.map((one) => expect(one.sendReply(lie)).rejects.toThrow()));
    await trusted.sendReply(lie);
  } finally {
    await Promise.all(buses.splice(0).map((one) => one.close()));
    await secure.stop();
    rmSync(directory, { recursive: true });
  }
});
