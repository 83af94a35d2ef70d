// A RabbitMQ of a test's own from the distribution's package: private files, ports, name server and process ids.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  controllerDefinitions,
  exec,
  hostDefinitions,
  type BrokerConfig,
  type BrokerDefinitions,
} from '@cumulet/common';
import { freePort } from './freePort';

export interface RabbitMq {
  readonly directory: string;
  /** The configuration of a controller, or of a host's agent. */
  config(host?: string): BrokerConfig;
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
  /** Hosts that have a user from the beginning. */
  readonly hosts?: readonly string[];
  /** With these it speaks TLS only, and demands a certificate of the same CA. */
  readonly tls?: { readonly ca: string; readonly certificate: string; readonly key: string };
}

const VIRTUAL_HOST = 'cumulet';

async function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Everything that the broker knows when it starts, in one file. */
function allDefinitions(passwords: ReadonlyMap<string, string>): BrokerDefinitions {
  const all = [...passwords].map(([host, password]) =>
    host === '' ? controllerDefinitions(VIRTUAL_HOST, password) : hostDefinitions(VIRTUAL_HOST, host, password),
  );
  return {
    vhosts: [{ name: VIRTUAL_HOST }],
    users: all.flatMap(({ users }) => users),
    permissions: all.flatMap(({ permissions }) => permissions),
  };
}

export async function startRabbitMq({ hosts = [], tls }: RabbitMqOptions = {}): Promise<RabbitMq> {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-rabbitmq-'));
  const at = (name: string): string => join(directory, name);
  const [port, distribution, epmd] = [await freePort(), await freePort(), await freePort()];
  for (const name of ['mnesia', 'log']) mkdirSync(at(name));
  const passwords = new Map(['', ...hosts].map((host) => [host, `password-of-${host}`]));
  for (const [host, password] of passwords) writeFileSync(at(`password-${host}`), password, { mode: 0o600 });
  writeFileSync(at('definitions.json'), JSON.stringify(allDefinitions(passwords)));
  writeFileSync(at('plugins'), '[].');
  const listener = tls
    ? [
        'listeners.tcp = none',
        `listeners.ssl.1 = 127.0.0.1:${port}`,
        `ssl_options.cacertfile = ${tls.ca}`,
        `ssl_options.certfile = ${tls.certificate}`,
        `ssl_options.keyfile = ${tls.key}`,
        'ssl_options.verify = verify_peer',
        'ssl_options.fail_if_no_peer_cert = true',
      ]
    : [`listeners.tcp.1 = 127.0.0.1:${port}`];
  writeFileSync(at('rabbitmq.conf'), [...listener, `load_definitions = ${at('definitions.json')}`, ''].join('\n'));
  const environment = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: directory,
    RABBITMQ_NODENAME: 'test@localhost',
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
  // In a process id namespace that dies with us, however we die: nothing of it is ever left.
  const namespace = ['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  let child: ChildProcess | undefined;

  const broker: RabbitMq = {
    directory,
    config: (host = '') => ({
      urls: [`${tls ? 'amqps' : 'amqp'}://${tls ? 'localhost' : '127.0.0.1'}:${port}`],
      virtual_host: VIRTUAL_HOST,
      password_file: at(`password-${host}`),
      tls: tls ? { ca: tls.ca, cert: tls.certificate, key: tls.key } : null,
    }),
    control: async (...argv) => {
      const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
      const command = ['env', ...settings, '/usr/lib/rabbitmq/bin/rabbitmqctl', '-q', ...argv];
      return (await exec(command, { timeout: 60_000 })).stdout;
    },
    async kill() {
      const running = child;
      if (!running || running.exitCode !== null || running.signalCode !== null) return;
      const ended = new Promise((done) => running.once('exit', done));
      running.kill('SIGKILL');
      await ended;
      // What was killed is the broker's parent; the broker itself dies a moment later.
      while (await answers(port)) await pause(10);
    },
    async start() {
      const server = spawn('setpriv', [...namespace, '/usr/lib/rabbitmq/bin/rabbitmq-server'], {
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = server;
      let said = '';
      for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => (said += String(text)));
      for (let tries = 0; !(await answers(port)); tries++) {
        if (server.exitCode !== null || tries > 600) throw new Error(`RabbitMQ did not start: ${said.slice(-2000)}`);
        await pause(100);
      }
    },
    async stop() {
      await broker.kill();
      rmSync(directory, { recursive: true, force: true });
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
