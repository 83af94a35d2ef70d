// A cloud with a simulated host, its demo content, and an engine that can be killed and started again.
import { createMemoryBus, type Bus, type Mischief } from '@cumulet/common';
import { createEngine, taskKinds, type ControllerConfig, type Engine, type EngineObserver } from '@cumulet/controller';
import { MoreThan } from '../../controller/src/db';
import { agents, tasks } from '../../controller/src/db/entities/tasks';
import { createSimulatedHost, type SharedPool, type SimulatedHost } from '../support/simulatedHost';
import { startTestCloud, type TestCloud } from '../support/testCloud';

export interface CloudWithHost {
  readonly test: TestCloud;
  readonly host: SimulatedHost;
  /** All of them, the one above first. */
  readonly hosts: readonly SimulatedHost[];
  readonly bus: Bus;
  /** Starts an engine, in place of one that was killed. By default it asks a host again after 1/70 of the time that it takes in life. */
  startEngine(observer?: EngineObserver, askAgainFactor?: number): Promise<Engine>;
  /** Kills the engine that runs now and starts another one of the same kind. */
  restartEngine(): Promise<void>;
  /** Asks for a server and returns its id. */
  boot(name?: string, changes?: Record<string, unknown>): Promise<string>;
  /** Resolves when no task is active any more. @throws Error that lists those that are */
  settled(seconds?: number): Promise<void>;
  /** Fails with every difference between database and host, and with every number that does not add up. */
  expectClean(): Promise<void>;
  /** Takes a host's power away: its guests end, and its agents have been silent for long. */
  powerOff(host: SimulatedHost): Promise<void>;
  stop(): Promise<void>;
}

async function content(test: TestCloud): Promise<{ image: string; network: string }> {
  const must = async (method: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const answer = await test.call(method, path, { token: 'admin', body, ...(headers ? { headers } : {}) });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const image = await must('POST', '/image/v2/images', {
    name: 'tiny',
    disk_format: 'raw',
    container_format: 'bare',
    visibility: 'public',
  });
  await must('PUT', `/image/v2/images/${image.id}/file`, Buffer.alloc(1024), {
    'content-type': 'application/octet-stream',
  });
  await must('POST', '/compute/v2.1/flavors', { flavor: { name: 'm1.nano', id: 'nano', vcpus: 1, ram: 128, disk: 1 } });
  await must('POST', '/compute/v2.1/flavors', {
    flavor: { name: 'm1.micro', id: 'micro', vcpus: 2, ram: 256, disk: 2 },
  });
  const { network } = await must('POST', '/network/v2.0/networks', {
    network: { name: 'demo', project_id: 'demo-project' },
  });
  await must('POST', '/network/v2.0/subnets', {
    subnet: { network_id: network.id, ip_version: 4, cidr: '10.0.0.0/24', project_id: 'demo-project' },
  });
  return { image: image.id as string, network: network.id as string };
}

/** `mischief` decides the fate of each message once the cloud is there; `pools` are the directories of disks of hosts that share one. */
export async function startCloudWithHost(
  mischief: Mischief = () => 'deliver',
  names: readonly string[] = ['node-1'],
  config: Partial<ControllerConfig> = {},
  pools: Readonly<Record<string, SharedPool>> = {},
): Promise<CloudWithHost> {
  let calm = true;
  const bus = createMemoryBus((direction, message) => (calm ? 'deliver' : mischief(direction, message)));
  const byName = new Map<string, SimulatedHost>();
  const test = await startTestCloud({ bus, host: (name) => byName.get(name)?.api, config });
  const { cloud } = test;
  const make = (name: string): SimulatedHost => {
    const host = createSimulatedHost(name, bus, test.controller.agentApi, 200, pools[name]);
    byName.set(name, host);
    return host;
  };
  const hosts = names.map(make);
  const [host] = hosts;
  if (!host) throw new Error('a cloud with a host needs a host');
  for (const one of hosts) await one.start();
  const { image, network } = await content(test);
  calm = false;
  let engine: Engine | undefined;
  let observe: EngineObserver | undefined;
  let factor: number | undefined;

  const world: CloudWithHost = {
    test,
    host,
    hosts,
    bus,
    async startEngine(observer, askAgainFactor = 0.015) {
      observe = observer;
      factor = askAgainFactor;
      engine = createEngine(cloud, {
        kinds: taskKinds,
        leaseMs: 200,
        pollMs: 20,
        maxBackoffMs: 30,
        askAgainFactor,
        ...(observer ? { observer } : {}),
      });
      await engine.start();
      return engine;
    },
    async restartEngine() {
      await engine?.kill();
      // As when enough time has passed: the dead one's leases have run out.
      await cloud.db.write((session) => session.update(tasks, { lease_until: MoreThan(0) }, { lease_until: 0 }));
      await world.startEngine(observe, factor);
    },
    async boot(name = 'server', changes = {}) {
      const answer = await test.call('POST', '/compute/v2.1/servers', {
        token: 'demo',
        body: { server: { name, imageRef: image, flavorRef: 'nano', networks: [{ uuid: network }], ...changes } },
      });
      if (answer.status !== 202) throw new Error(`boot: ${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.body.server.id as string;
    },
    async settled(seconds = 20) {
      const end = Date.now() + seconds * 1000;
      for (;;) {
        const active = await cloud.db.read((session) => session.find(tasks, { where: { active: 1 } }));
        if (active.length === 0) return;
        if (Date.now() > end)
          throw new Error(
            `stuck: ${active.map((task) => `${task.kind} in ${task.step}: ${task.error ?? 'no error'}`).join('; ')}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async expectClean() {
      const answer = await test.call('GET', '/cumulet/v1/audit', { token: 'admin' });
      expect(answer.status).toBe(200);
      expect(answer.body.findings.map((finding: { message: string }) => finding.message)).toEqual([]);
    },
    async powerOff(one) {
      await one.stop();
      for (const id of one.domains.keys()) one.domains.set(id, 'shutdown');
      one.taps.clear();
      await cloud.db.write((session) => session.update(agents, { host: one.name }, { heard_at: 0 }));
    },
    async stop() {
      await engine?.kill();
      for (const one of hosts) await one.stop();
      await test.stop();
    },
  };
  return world;
}
