// The command `cumulet` in this process against a cloud with a simulated host; also as a process of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryBus } from '@cumulet/common';
import { taskKinds, type ControllerConfig } from '@cumulet/controller';
import { findCommand } from '../../cli/src/commandLine';
import { allCommands } from '../../cli/src/commands';
import { cumulet } from '../../cli/src/run';
import { agents } from '../../controller/src/db/entities/tasks';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from './identity';
import { runProgram, type Run } from './programs';
import { createSimulatedHost, type SimulatedHost } from './simulatedHost';

const MAIN = join(__dirname, '../../cli/dist/main.js');
const TERMINAL = join(__dirname, 'terminal.py');

export interface CommandCloud {
  readonly cloud: IdentityCloud;
  readonly host: SimulatedHost;
  /** One more host, until the cloud stops. */
  addHost(name: string): Promise<SimulatedHost>;
  readonly hosts: ReadonlyMap<string, SimulatedHost>;
  /** Takes a host's power away, long ago. */
  powerOff(name: string): Promise<void>;
  /** Where clouds.yaml is, with `test` (administrator), `demo` (member of project demo) and `wrong`. */
  readonly directory: string;
  run(line: string, env?: Record<string, string>): Promise<Run>;
  /** The same as a process. */
  spawn(args: readonly string[], env?: Record<string, string>): Promise<Run>;
  /** The same on a terminal, where questions are answered; everything that was shown is `out`. */
  type(args: readonly string[], answers?: readonly [string, string][], env?: Record<string, string>): Promise<Run>;
  /** The output of a command that must succeed. */
  readonly ok: (line: string) => Promise<string>;
  /** The parsed output of a command that must succeed. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into answers freely
  readonly json: (line: string) => Promise<any>;
  /** The error of a command that must end with this status, without output. */
  readonly fails: (exit: number, line: string) => Promise<string>;
  /** Commands that begin with one of the words and did not succeed yet. */
  untried(...words: string[]): string[];
  stop(): Promise<void>;
}

/** Words as a shell splits them, with double quotes. */
const split = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');

async function content(cloud: IdentityCloud): Promise<void> {
  const must = async (path: string, body: object) => {
    const answer = await cloud.test.call('POST', path, { token: cloud.admin, body });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const image = await must('/image/v2/images', {
    name: 'tiny',
    disk_format: 'raw',
    container_format: 'bare',
    visibility: 'public',
  });
  const headers = { 'content-type': 'application/octet-stream' };
  const upload = { token: cloud.admin, body: Buffer.alloc(1024), headers };
  await cloud.test.call('PUT', `/image/v2/images/${image.id}/file`, upload);
  await must('/compute/v2.1/flavors', { flavor: { name: 'm1.tiny', vcpus: 1, ram: 128, disk: 1 } });
  const { network } = await must('/network/v2.0/networks', { network: { name: 'demo' } });
  await must('/network/v2.0/subnets', {
    subnet: { name: 'demo-subnet', network_id: network.id, ip_version: 4, cidr: '10.0.0.0/24' },
  });
}

export async function startCommandCloud(config: Partial<ControllerConfig> = {}): Promise<CommandCloud> {
  const bus = createMemoryBus();
  const hosts = new Map<string, SimulatedHost>();
  const engine = { kinds: taskKinds, leaseMs: 200, pollMs: 20, maxBackoffMs: 30, askAgainFactor: 0.03 };
  const cloud = await startIdentity({
    bus,
    host: (name) => hosts.get(name)?.api,
    engine,
    config: { fence_command: ['true'], ...config },
  });
  const addHost = async (name: string): Promise<SimulatedHost> => {
    const host = createSimulatedHost(name, bus, cloud.test.controller.agentApi);
    hosts.set(name, host);
    await host.start();
    return host;
  };
  const host = await addHost('node-1');
  await content(cloud);
  const project = await cloud.project('demo');
  const person = await cloud.person('demo');
  await cloud.grant('member', `projects/${project}`, `users/${person.id}`);

  const directory = mkdtempSync(join(tmpdir(), 'cumulet-cli-'));
  const auth = { auth_url: `${cloud.test.url}/v3`, username: 'admin', password: ADMIN_PASSWORD, project_name: 'admin' };
  const demo = { ...auth, username: 'demo', password: person.password, project_name: 'demo' };
  const clouds = { test: { auth }, demo: { auth: demo }, wrong: { auth: { ...auth, password: 'wrong' } } };
  writeFileSync(join(directory, 'clouds.yaml'), JSON.stringify({ clouds }));
  const succeeded = new Set<string>();

  const commandCloud: CommandCloud = {
    cloud,
    host,
    addHost,
    hosts,
    async powerOff(name) {
      await hosts.get(name)?.stop();
      await cloud.test.cloud.db.write((session) => session.update(agents, { host: name }, { heard_at: 0 }));
    },
    directory,
    async run(line, env = { OS_CLOUD: 'test' }) {
      const argv = split(line);
      const [out, err]: string[][] = [[], []];
      const exit = await cumulet(argv, {
        env: { HOME: directory, ...env },
        directory,
        colour: false,
        print: (text) => void out?.push(text),
        complain: (text) => void err?.push(text),
        progress: () => undefined,
      });
      const { command } = findCommand(argv, allCommands());
      if (exit === 0 && command && !argv.includes('--help')) succeeded.add(command.name);
      return { exit, out: (out ?? []).join('\n'), err: (err ?? []).join('\n') };
    },
    spawn: (args, env = { OS_CLOUD: 'test' }) => runProgram(process.execPath, [MAIN, ...args], directory, env),
    type: (args, answers = [], env = { OS_CLOUD: 'test' }) =>
      runProgram('python3', [TERMINAL, JSON.stringify(answers), process.execPath, MAIN, ...args], directory, env),
    async ok(line) {
      const { exit, out, err } = await commandCloud.run(line);
      if (exit !== 0) throw new Error(`cumulet ${line} ended with ${exit}: ${err}`);
      return out;
    },
    json: async (line) => JSON.parse(await commandCloud.ok(`${line} -f json`)),
    async fails(exit, line) {
      const run = await commandCloud.run(line);
      if (run.exit !== exit || run.out !== '' || run.err === '')
        throw new Error(`cumulet ${line} ended with ${run.exit} instead of ${exit}: ${run.err} ${run.out}`);
      return run.err;
    },
    untried: (...words) =>
      allCommands()
        .map(({ name }) => name)
        .filter((name) => words.some((word) => `${name} `.startsWith(`${word} `)) && !succeeded.has(name)),
    async stop() {
      for (const one of hosts.values()) await one.stop();
      await cloud.stop();
      rmSync(directory, { recursive: true });
    },
  };
  return commandCloud;
}
