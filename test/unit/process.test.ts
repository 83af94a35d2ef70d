// The cloud's processes as a service manager sees them: what they say of a wrong configuration, when they are ready, how they end.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../support/freePort';
import { startTestCloud } from '../support/testCloud';
import { runProcess, startProcess, type ProcessName, type Program, type Run } from '../support/programs';

let directory: string;
/** Where nobody listens. */
let nobody: number;
const at = (...path: string[]): string => join(directory, ...path);
const tls = (name: string) => ({
  ca: at(name, 'ca.crt'),
  cert: at(name, 'certificate.crt'),
  key: at(name, 'certificate.key'),
});
const admin = (...args: string[]): Promise<Run> => runProcess('controller', ...args, '--ca', at('ca'));

/** What the administrator's commands said that made all files here. */
let made: Record<'ca' | 'controller' | 'host', Run>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-process-'));
  nobody = await freePort();
  made = {
    ca: await admin('ca', 'init'),
    controller: await admin('controller', 'add', 'ctl', '--out', at('ctl')),
    host: await admin('host', 'add', 'h1', '--out', at('h1')),
  };
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('the administrator’s commands', () => {
  test('make the CA, a controller’s files and a host’s, and say what to do with them', async () => {
    for (const one of Object.values(made)) expect(one).toMatchObject({ exit: 0, err: '' });
    expect(made.ca.out).toContain(`rabbitmqctl import_definitions < ${at('ca')}/broker.json`);
    expect(made.controller.out).toMatch(/^Copy .*ctl to \/etc\/cumulet\/tls on controller ctl/);
    expect(made.controller.out).not.toContain('rabbitmqctl');
    expect(made.host.out).toContain(`rabbitmqctl import_definitions < ${at('h1')}/broker.json`);
    const secret = (directory: string): string => readFileSync(at(directory, 'token-keys.secret'), 'utf8');
    expect(secret('ctl')).toBe(secret('ca'));
    expect(statSync(at('ctl', 'token-keys.secret')).mode & 0o777).toBe(0o600);
    expect(existsSync(at('h1', 'token-keys.secret'))).toBe(false);
    const renewed = await admin('host', 'add', 'h1', '--out', at('h1'), '--renew');
    expect([renewed.exit, renewed.out]).toEqual([0, expect.not.stringContaining('rabbitmqctl')]);
  });

  test.each([
    [['ca', 'init'], 'is there already; nothing was changed'],
    [['ca', 'init', 'twice'], 'unknown command'],
    [['ca', 'add', 'h1'], 'unknown command'],
    [['host', 'remove', 'h1'], 'unknown command'],
    [['host', 'add'], 'unknown command'],
    [['host', 'add', 'h1', 'h2'], 'unknown command'],
    [['host', 'add', 'h1', '--force'], "Unknown option '--force'"],
  ])('%j is refused in words', async (args, words) => {
    const { exit, out, err } = await admin(...args);
    expect([exit, out]).toEqual([1, '']);
    expect(err).toMatch(/^cumulet-controller: /);
    expect(err).toContain(words);
  });
});

/** Writes a configuration file and returns its path. */
function configFile(name: string, config: object): string {
  const path = at(`${name}.yaml`);
  writeFileSync(path, JSON.stringify(config));
  return path;
}
/** No broker listens where this one should be. */
const broker = (name: string) => ({
  urls: [`amqp://127.0.0.1:${nobody}`],
  password_file: at(name, 'broker-password'),
});
const agentConfig = async (more: object = {}) => ({
  host: 'h1',
  controllers: [`https://127.0.0.1:${nobody}`],
  address: '127.0.0.1',
  port: await freePort(),
  tls: tls('h1'),
  broker: broker('h1'),
  health: { port: await freePort() },
  dir: at('host'),
  ...more,
});
async function controllerConfig(more: object = {}) {
  writeFileSync(at('bootstrap.json'), JSON.stringify({ admin_password: 'first-password' }));
  return {
    port: await freePort(),
    data_dir: at('controller'),
    bootstrap_file: at('bootstrap.json'),
    password_cost: 10,
    agent_api: { listen: '127.0.0.1', port: await freePort(), tls: tls('ctl') },
    broker: broker('ctl'),
    health: { port: await freePort() },
    ...more,
  };
}

describe('arguments', () => {
  test('help names every option, and the commands of the controller', async () => {
    const agent = await runProcess('storage-agent', '--help');
    expect([agent.exit, agent.err]).toEqual([0, '']);
    expect(agent.out).toContain('usage: cumulet-storage-agent --config FILE [--check-config | --purge]');
    expect(agent.out).toMatch(/\n {2}--purge {10}remove everything/);
    expect((await runProcess('controller', '-h')).out).toMatch(
      /--check-config \| --print-policy \| --copy-database\][^]*host add NAME/,
    );
  });

  test.each(['controller', 'compute-agent', 'network-agent', 'storage-agent'] as const)(
    'the configuration of the %s is checked; an unknown key or a wrong value is refused in words',
    async (name) => {
      const { dir, ...agent } = await agentConfig();
      const good = {
        controller: await controllerConfig(),
        // Without a name a host has that of the machine.
        'compute-agent': { ...agent, dir, host: null },
        'network-agent': { ...agent, stateDir: dir },
        'storage-agent': { ...agent, dir },
      }[name];
      const check = (what: string, change: object): Promise<Run> =>
        runProcess(name, '--check-config', '--config', configFile(`${name}-${what}`, { ...good, ...change }));
      const [right, ...wrong] = await Promise.all([
        check('right', {}),
        check('key', { colour: 'blue' }),
        check('broker', { broker: { urls: ['amqp://me:secret@host'] } }),
        check('health', { health: { port: 'many' } }),
        check('nodes', { broker: { ...good.broker, urls: ['amqps://b-1', 'amqp://b-2'] } }),
        check('twice', { broker: { ...good.broker, urls: ['amqps://b-1', 'amqps://b-1'] } }),
        check('password', { broker: { ...good.broker, password_file: '/nowhere' } }),
        check('tls', { broker: { ...good.broker, tls: { ca: '/nowhere' } } }),
        check('pair', { broker: { ...good.broker, tls: { ca: '/nowhere', key: '/nowhere' } } }),
      ]);
      expect(right).toEqual({ exit: 0, out: `${at(`${name}-right.yaml`)} is right\n`, err: '' });
      expect(wrong).toEqual(
        [
          ...[
            "unknown key 'colour'",
            'broker.urls.0',
            'health',
            'all nodes must be reached alike',
            'a node is there twice',
          ],
          ...['broker.password_file: can not be read', 'broker.tls.ca: can not be read', 'cert and key go together'],
        ].map((words) => ({
          exit: 1,
          out: '',
          err: expect.stringContaining(words) as string,
        })),
      );
    },
  );

  test('that of the controller is checked against the files that it names, and against its database', async () => {
    const config = await controllerConfig({ data_dir: at('checked') });
    const check = (change: object): Promise<Run> =>
      runProcess('controller', '--check-config', '--config', configFile('checked', { ...config, ...change }));
    const cloud = await startTestCloud({ realIdentity: true });
    const path = join(cloud.directory, 'cumulet.db');
    const [right, foreign, damaged] = [join(cloud.directory, 'token-keys.secret'), at('foreign'), at('damaged')];
    copyFileSync(at('ca', 'token-keys.secret'), foreign);
    writeFileSync(damaged, 'short');
    await cloud.controller.stop();
    const database = { path };
    const image = { dir: join(cloud.directory, 'images') };
    const fence_command = ['/bin/sh', at('fence.sh')];
    expect(await check({ database, image, token_key_file: right, fence_command })).toMatchObject({ exit: 0, err: '' });
    for (const [change, words] of [
      [{ token_key_file: damaged }, 'does not hold 32 bytes in base64'],
      [{ database, token_key_file: foreign }, `the key file ${foreign} does not fit the signing keys in the database`],
      [
        { database, token_key_file: at('none') },
        `there is no key file ${at('none')}, but the database has signing keys`,
      ],
      [{ database, token_key_file: right, image: { dir: at('unshared') } }, "is not this cloud's directory of images"],
      [{ policy_file: at('none') }, 'none'],
      [{ fence_command: [at('none'), 'north'] }, 'fence_command: ENOENT'],
      [{ fence_command: [damaged] }, 'fence_command: EACCES'],
      [{ database: { kind: 'mariadb' } }, 'database.password_file: is needed'],
    ] as const) {
      const { exit, out, err } = await check(change);
      expect([exit, out, err]).toEqual([1, '', expect.stringContaining(words)]);
    }
    const away = await check({ database: { kind: 'mariadb', port: nobody, password_file: foreign } });
    expect(away.out).toMatch(
      / is right\nnot checked: whether .* fit the database, because it is not reached: .*ECONNREFUSED/,
    );
    expect(existsSync(at('checked'))).toBe(false);
    rmSync(cloud.directory, { recursive: true });
  });

  test.each([
    ['nothing', [], /--config is missing\n\nusage: cumulet-network-agent/],
    ['an unknown option', ['--colour'], /Unknown option '--colour'/],
    ['a file that is not there', ['--config', '/nowhere/c.yaml'], /cannot read the configuration: ENOENT/],
  ])('%s is refused in words', async (_what, args, words) => {
    const { exit, out, err } = await runProcess('network-agent', ...args);
    expect([exit, out]).toEqual([1, '']);
    expect(err).toMatch(/^cumulet-network-agent: /);
    expect(err).toMatch(words);
  });
});

describe('a start that can not succeed ends with the reason', () => {
  const refused = async (name: ProcessName, config: object): Promise<string> => {
    const { exit, err } = await runProcess(name, '--config', configFile('refused', config));
    expect(exit).toBe(1);
    return err;
  };

  test('a name that no host can have', async () => {
    const err = await refused('storage-agent', await agentConfig({ host: 'h/1' }));
    expect(err).toContain("host: 'h/1' can't be the name of a host");
  });

  test('a certificate that is not there, by its key in the configuration', async () => {
    const missing = { ...tls('h1'), cert: at('nowhere') };
    const words = 'tls.cert: can not be read: ENOENT';
    expect(await refused('compute-agent', await agentConfig({ tls: missing }))).toContain(words);
    const agent_api = { listen: '127.0.0.1', port: nobody, tls: missing };
    expect(await refused('controller', await controllerConfig({ agent_api }))).toContain(words);
  });

  test('a port that somebody else has', async () => {
    const other = createServer();
    await new Promise<void>((done) => void other.listen(0, '127.0.0.1', done));
    const { port } = other.address() as AddressInfo;
    try {
      expect(await refused('storage-agent', await agentConfig({ port }))).toContain(`EADDRINUSE`);
      expect(await refused('storage-agent', await agentConfig({ health: { port } }))).toContain('EADDRINUSE');
    } finally {
      other.close();
    }
  });
});

test('the rules that hold are listed in the form of a policy file; one that nothing asks for is refused', async () => {
  const policy_file = at('policy.yaml');
  const print = (name: 'controller' | 'standalone', config: object): Promise<Run> =>
    runProcess(name, '--print-policy', '--config', configFile(`${name}-policy`, config));
  const controller = await controllerConfig({ policy_file });
  writeFileSync(policy_file, '"identity:list_users": "role:auditor"\n');
  const [one, other] = await Promise.all([print('controller', controller), print('standalone', {})]);
  const lines = one.out.split('\n');
  for (const line of [
    '"admin": "role:admin and not domain_scope:True"',
    '"identity:list_users": "role:auditor"',
    '"network:ports:show:binding:host_id": "rule:admin"',
    '"os_compute_api:servers:create": "rule:admin_or_member"',
    '"image:publicize_image": "rule:admin"',
    '"cumulet:audit": "rule:admin or rule:system_admin"',
  ])
    expect(lines).toContain(line);
  const names = (out: string): string[] => out.split('\n').map((line) => line.slice(0, line.indexOf('": ')));
  expect(names(other.out)).toEqual(names(one.out));
  // What is printed is a policy file itself.
  writeFileSync(policy_file, one.out);
  expect(await print('controller', controller)).toEqual(one);
  writeFileSync(policy_file, '"identity:lst_users": "role:auditor"\n');
  expect(await print('controller', controller)).toEqual({
    exit: 1,
    out: '',
    err: `cumulet-controller: policy file ${policy_file}: unknown rule 'identity:lst_users' (--print-policy lists the names)\n`,
  });
});

test('a failure that comes after the start ends a process with the reason', async () => {
  const other = createServer();
  await new Promise<void>((done) => void other.listen(0, '127.0.0.1', done));
  const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  writeFileSync(at('bootstrap.json'), JSON.stringify({ admin_password: 'first-password' }));
  const config = { listen, data_dir: at('standalone'), bootstrap_file: at('bootstrap.json') };
  try {
    const { exit, out, err } = await runProcess('standalone', '--config', configFile('standalone', config));
    expect(exit).toBe(1);
    expect(err).toMatch(/^cumulet-standalone: listen EADDRINUSE/);
    expect(out).toContain('"msg":"the process ends"');
  } finally {
    other.close();
  }
});

interface Readiness {
  readonly ready: boolean;
  readonly missing: readonly string[];
}

/** Asks until the process misses just these things. */
async function misses(port: number, wanted: readonly string[]): Promise<void> {
  let last: unknown = 'no answer';
  for (let tries = 0; tries < 300; tries++, await pause(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (!answer) continue;
    const { ready, missing } = (last = (await answer.json()) as Readiness);
    expect([answer.status, ready]).toEqual(missing.length === 0 ? [200, true] : [503, false]);
    if (JSON.stringify(missing) === JSON.stringify(wanted)) return;
  }
  throw new Error(`it never missed just ${wanted.join(', ')}: ${JSON.stringify(last)}`);
}

describe('without a broker', () => {
  const running: Program[] = [];
  const start = (name: ProcessName, config: object): Program => {
    const started = startProcess(name, '--config', configFile(name, config));
    running.push(started);
    return started;
  };
  afterEach(async () => {
    for (const one of running.splice(0)) {
      one.signal('SIGKILL');
      await one.ended;
    }
  });

  test('a controller serves, is not ready, and ends when it is told to', async () => {
    const config = await controllerConfig();
    const controller = start('controller', config);
    await misses(config.health.port, ['the message broker is not reached']);
    const url = `http://127.0.0.1:${config.health.port}`;
    expect((await fetch(`http://127.0.0.1:${config.port}/identity/v3`)).status).toBe(200);
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const line of [
      'cumulet_tasks_active 0',
      'cumulet_agents{role="compute",state="up"} 0',
      'cumulet_agents{role="storage",state="down"} 0',
    ])
      expect(metrics.split('\n')).toContain(line);
    expect(metrics).toMatch(
      /^cumulet_http_request_duration_seconds_count\{service="\/identity\/v3",method="GET",status="200"\} 1$/m,
    );
    controller.signal('SIGTERM');
    // One signal is enough, and a second does no harm.
    controller.signal('SIGTERM');
    const { exit, out, err } = await controller.ended;
    expect([exit, err]).toEqual([0, '']);
    expect(out).toMatch(/"signal":"SIGTERM","msg":"stopping"[^]*"msg":"stopped"/);
  });

  test('an agent waits for a controller, is not ready, and ends when it is told to', async () => {
    const config = await agentConfig();
    const agent = start('storage-agent', config);
    await misses(config.health.port, ['the message broker is not reached', 'no controller answers']);
    agent.signal('SIGINT');
    const { exit, out } = await agent.ended;
    expect(exit).toBe(0);
    expect(out).toContain('registration did not succeed; it is tried again');
  });
});
