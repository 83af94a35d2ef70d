// The frame of every process of the cloud: arguments, configuration, health, signals, the service manager.
import type { Server } from 'node:net';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { Static, TSchema } from '@sinclair/typebox';
import { loadConfig } from './config';
import { messageOf } from './errors';
import { createHealthServer, type HealthConfig, type Missing } from './health';
import { createLogger, type Logger } from './log';
import { keepLogSmall } from './logFile';
import { createServiceManager } from './serviceManager';

export interface Running {
  readonly missing: Missing;
  /** Finishes or hands over what runs. */
  stop(): Promise<void>;
}

/** Something else than running that a process can do with its configuration, as an option without value. */
export interface Action<C> {
  readonly help: string;
  /** Returns what to say at the end. */
  run(config: C): Promise<string>;
}

export interface ProcessDefinition<S extends TSchema, C> {
  /** As the command is called. */
  readonly name: string;
  readonly schema: S;
  /** From the checked file to what `start` takes; refuses what a schema can't. @throws ConfigError */
  readonly prepare: (config: Static<S>, source: string) => C;
  /** Looks at what the configuration names, changing nothing; returns what it could not look at. @throws ConfigError */
  readonly check?: (config: C) => Promise<readonly string[]>;
  readonly health: (config: C) => HealthConfig;
  /** Resolves when the process serves. `fail` ends it for a failure that comes later. */
  readonly start: (config: C, log: Logger, fail: (error: unknown) => void) => Promise<Running>;
  readonly actions?: Readonly<Record<string, Action<C>>>;
  /** More lines of help. */
  readonly more?: string;
}

/** Opens a server's port. Rejects with the system's error when it is taken. */
export async function listenOn(server: Server, address: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function usage<S extends TSchema, C>({ name, check, actions = {}, more = '' }: ProcessDefinition<S, C>): string {
  const others = Object.keys(actions).map((flag) => ` | --${flag}`);
  const lines = Object.entries(actions).map(([flag, { help }]) => `  --${flag.padEnd(14)} ${help}\n`);
  return `usage: ${name} --config FILE [--check-config${others.join('')}]

  --config FILE    configuration (YAML); every key is documented in docs/operations.md
  --check-config   read it${check ? ' and what it names' : ''}, say what is wrong with it and exit
${lines.join('')}${more}
example: ${name} --config /etc/cumulet/${name.replace('cumulet-', '')}.yaml
`;
}

async function run<S extends TSchema, C>(definition: ProcessDefinition<S, C>, config: C): Promise<void> {
  const log = createLogger(definition.name.replace('cumulet-', ''));
  keepLogSmall(process.env, log);
  const manager = createServiceManager(process.env, log);
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, 'the process ends');
    process.stderr.write(`${definition.name}: ${messageOf(error)}\n`);
    process.exit(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const started: { running?: Running } = {};
  const health = definition.health(config);
  if (health !== null) {
    const missing: Missing = () => started.running?.missing() ?? Promise.resolve(['it starts']);
    await listenOn(createHealthServer(missing), health.listen, health.port);
  }
  const starting = definition.start(config, log, fail);
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    manager.stopping();
    await (await starting).stop();
    log.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => void stop(signal).catch(fail));
  started.running = await starting;
  if (stopping) return;
  manager.ready();
  log.info({ pid: process.pid }, 'running');
}

async function main<S extends TSchema, C>(definition: ProcessDefinition<S, C>): Promise<number | undefined> {
  const { actions = {} } = definition;
  const flag = { type: 'boolean' } as const;
  const options: ParseArgsConfig['options'] = {
    config: { type: 'string' },
    'check-config': flag,
    help: { ...flag, short: 'h' },
    ...Object.fromEntries(Object.keys(actions).map((name) => [name, flag])),
  };
  const say = (text: string): number => {
    process.stdout.write(text);
    return 0;
  };
  try {
    const { values } = parseArgs({ options });
    if (values['help']) return say(usage(definition));
    const path = values['config'];
    if (typeof path !== 'string') throw new Error(`--config is missing\n\n${usage(definition)}`);
    const config = definition.prepare(loadConfig(definition.schema, path), path);
    if (values['check-config']) {
      const notes = (await definition.check?.(config)) ?? [];
      return say([`${path} is right`, ...notes, ''].join('\n'));
    }
    const action = Object.entries(actions).find(([name]) => values[name])?.[1];
    if (action) return say(`${await action.run(config)}\n`);
    await run(definition, config);
    return undefined;
  } catch (error) {
    process.stderr.write(`${definition.name}: ${messageOf(error)}\n`);
    return 1;
  }
}

/** Runs a process until a signal ends it. */
export async function runProcess<S extends TSchema, C>(definition: ProcessDefinition<S, C>): Promise<void> {
  const code = await main(definition);
  if (code !== undefined) process.exit(code);
}
