// One node of RabbitMQ from the distribution's package: private files, ports and process ids.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { exec } from '@cumulet/common';
import { startConfined, type Confined } from './confined';

export interface RabbitNodeOptions {
  /** Exists; the node's files will be there. */
  readonly directory: string;
  /** Erlang's name for it, `name@host`. */
  readonly name: string;
  /** Content of rabbitmq.conf. */
  readonly settings: string;
  /** Where clients reach it, as the settings say. */
  readonly address: string;
  readonly port: number;
  /** TCP ports on loopback for other nodes, and for the daemon that knows which node is where. */
  readonly distribution: number;
  readonly epmd: number;
  /** The secret that nodes of one cluster share. */
  readonly cookie: string;
}

export interface RabbitNode {
  /** Starts it, again after `kill`, and resolves when clients can connect. */
  start(): Promise<void>;
  /** Ends it as a power cut would; its files stay. */
  kill(): Promise<void>;
  /** Holds it, or lets it go on, as a machine with other work would. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends it, and what it kept. */
  replace(): Promise<void>;
  /** Runs `rabbitmqctl`, or another of its programs. Takes seconds: it is a virtual machine of its own. */
  control(argv: readonly string[], program?: string): Promise<string>;
}

const PROGRAMS = '/usr/lib/rabbitmq/bin';

const answers = (port: number, address: string): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, address, () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });

export function createRabbitNode(options: RabbitNodeOptions): RabbitNode {
  const { directory, name, settings, address, port, distribution, epmd, cookie } = options;
  const at = (file: string): string => join(directory, file);
  for (const folder of ['mnesia', 'log']) mkdirSync(at(folder));
  writeFileSync(at('plugins'), '[].');
  writeFileSync(at('rabbitmq.conf'), settings);
  writeFileSync(at('.erlang.cookie'), cookie, { mode: 0o400 });
  const environment = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: directory,
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at('mnesia'),
    RABBITMQ_LOG_BASE: at('log'),
    RABBITMQ_PID_FILE: at('pid'),
    RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_ENABLED_PLUGINS_FILE: at('plugins'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}',
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  };
  let node: Confined | undefined;
  const kill = async (): Promise<void> => {
    await node?.kill();
    node = undefined;
  };
  return {
    async start() {
      const log = at('output');
      const started = startConfined([`${PROGRAMS}/rabbitmq-server`], { log, env: environment });
      node = started;
      for (let tries = 0; !(await answers(port, address)); tries++) {
        if (started.ended() || tries > 600)
          throw new Error(`RabbitMQ did not start: ${readFileSync(log, 'utf8').slice(-2000)}`);
        await pause(100);
      }
    },
    kill,
    signal: (name) => node?.signal(name),
    async replace() {
      await kill();
      rmSync(at('mnesia'), { recursive: true });
      mkdirSync(at('mnesia'));
    },
    async control(argv, program = 'rabbitmqctl') {
      const variables = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
      return (await exec(['env', ...variables, `${PROGRAMS}/${program}`, '-q', ...argv], { timeout: 60_000 })).stdout;
    },
  };
}
