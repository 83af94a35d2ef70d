// A compute agent with a stand-in for libvirt and a clock that hurries, for each test of a file, and servers to talk about.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  newId,
  parseConfig,
  silentLogger,
  type Clock,
  type Reply,
  type ServerEnsure,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent, type ComputeAgent } from '@cumulet/compute-agent';
import { driveAgent, type AgentDriver } from './agentDriver';
import { fakeAgentApi, type FakeAgentApi } from './fakeAgentApi';
import { fakeHypervisor, type FakeHypervisor } from './fakeHypervisor';

export interface AgentChanges {
  readonly connect?: () => Promise<FakeHypervisor['hypervisor']>;
  readonly virt_type?: string;
}

export interface ComputeScene {
  /** The agent's directory; a server's disk is in it. */
  readonly dir: string;
  readonly fake: FakeHypervisor;
  readonly api: FakeAgentApi;
  readonly agent: ComputeAgent;
  readonly driver: AgentDriver;
  /** One more agent, with the same directory and hypervisor; the one before must have been stopped. */
  readonly startAgent: (changes?: AgentChanges) => Promise<void>;
  /** Ends the pause before the next regular look at everything. */
  readonly lookNow: () => void;
  readonly aServer: (changes?: Partial<ServerEnsure>) => ServerEnsure;
  readonly ensure: (server: ServerEnsure, generation?: number) => Promise<Reply>;
  readonly remove: (id: string) => Promise<Reply>;
}

/** Sets the scene up before each test and takes it down after. */
export function computeScene(): ComputeScene {
  let lookNow: () => void;
  let dir: string;
  let fake: FakeHypervisor;
  let api: FakeAgentApi;
  let agent: ComputeAgent;
  let driver: AgentDriver;

  /** Time passes as fast as somebody waits for a guest; heartbeats and regular looks would make it fly for nobody. */
  function fastClock(): Clock {
    let now = 1_000_000;
    return {
      now: () => now,
      tick: (every, signal) =>
        new Promise((resolve) => {
          if (every === 20_000) lookNow = resolve;
          signal?.addEventListener('abort', () => resolve());
        }),
      sleep: (milliseconds) => {
        now += milliseconds;
        return new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  async function startAgent(changes: AgentChanges = {}): Promise<void> {
    const bus = createMemoryBus();
    driver = await driveAgent(bus, 'h1');
    const { connect = () => Promise.resolve(fake.hypervisor), virt_type = 'qemu' } = changes;
    const config = parseConfig(ComputeConfig, JSON.stringify({ dir, virt_type }), 'test');
    agent = createComputeAgent({ host: 'h1', bus, api, exec, log: silentLogger, clock: fastClock(), config, connect });
    await agent.start();
  }

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'cumulet-compute-'));
    writeFileSync(join(dir, 'disk.qcow2'), '');
    fake = fakeHypervisor();
    api = fakeAgentApi();
    await startAgent();
  });
  afterEach(async () => {
    await agent.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  return {
    get dir() {
      return dir;
    },
    get fake() {
      return fake;
    },
    get api() {
      return api;
    },
    get agent() {
      return agent;
    },
    get driver() {
      return driver;
    },
    startAgent,
    lookNow: () => lookNow(),
    aServer: (changes = {}) => ({
      server_id: newId(),
      name: 'web',
      project_id: newId(),
      vcpus: 1,
      memory_mib: 128,
      disk: { path: join(dir, 'disk.qcow2'), format: 'qcow2' },
      interfaces: [],
      config_drive: null,
      power: 'running',
      reboot: null,
      redefine: false,
      ...changes,
    }),
    ensure: (server, generation = 1) => driver.run('server.ensure', server.server_id, server, { generation }),
    remove: (id) => driver.run('server.remove', id, { server_id: id }, { generation: 99 }),
  };
}
