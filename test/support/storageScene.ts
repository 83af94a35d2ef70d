// A storage agent with real qemu-img and a directory of its own, for each test of a file, and images to make disks of.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type DiskEnsure,
  type Exec,
} from '@cumulet/common';
import { createStorageAgent, StorageConfig, type StorageAgent } from '@cumulet/storage-agent';
import { driveAgent, type AgentDriver } from './agentDriver';
import { fakeAgentApi, sha512, type FakeAgentApi } from './fakeAgentApi';

export const GIB = 2 ** 30;

/** What qemu-img tells of a file. */
export const info = (path: string): Record<string, unknown> =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' })) as Record<
    string,
    unknown
  >;

/** Whether a qcow2 disk begins with 4 KiB of this byte. */
export const holds = (path: string, pattern: number): boolean =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `read -P ${pattern} 0 4k`, path], { encoding: 'utf8' }).includes(
    '4096/4096',
  ) &&
  !execFileSync('qemu-io', ['-f', 'qcow2', '-c', `read -P ${pattern} 0 4k`, path], { encoding: 'utf8' }).includes(
    'failed',
  );

export interface StorageScene {
  /** The agent's directory. */
  readonly dir: string;
  readonly api: FakeAgentApi;
  readonly agent: StorageAgent;
  readonly driver: AgentDriver;
  /** Every command that the agent ran. */
  readonly commands: string[][];
  /** One more agent, in the same directory or another; the one before must have been stopped. */
  readonly startAgent: (at?: string) => Promise<void>;
  /** The bytes of a qcow2 image that begins with 64 KiB of 0x5a. */
  readonly qcow2Image: (size: string) => Buffer;
  /** Gives the image to the controller that the agent asks. */
  readonly upload: (bytes: Buffer, format: 'qcow2' | 'raw') => DiskEnsure['image'];
}

/** Sets the scene up before each test and takes it down after. */
export function storageScene(): StorageScene {
  let dir: string;
  let api: FakeAgentApi;
  let agent: StorageAgent;
  let driver: AgentDriver;
  const commands: string[][] = [];
  const recorded: Exec = (argv, options) => {
    commands.push([...argv]);
    return exec(argv, options);
  };

  async function startAgent(at = dir): Promise<void> {
    const bus = createMemoryBus();
    driver = await driveAgent(bus, 'h1');
    const config = parseConfig(StorageConfig, JSON.stringify({ dir: at, min_free_mib: 0 }), 'test');
    agent = createStorageAgent({ host: 'h1', bus, api, exec: recorded, log: silentLogger, clock: systemClock, config });
    await agent.start();
  }

  beforeEach(async () => {
    commands.length = 0;
    dir = mkdtempSync(join(tmpdir(), 'cumulet-storage-'));
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
    get api() {
      return api;
    },
    get agent() {
      return agent;
    },
    get driver() {
      return driver;
    },
    commands,
    startAgent,
    qcow2Image(size) {
      const path = join(dir, 'source.qcow2');
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, size]);
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x5a 0 64k', path]);
      return execFileSync('cat', [path], { maxBuffer: 64 << 20 });
    },
    upload(bytes, format) {
      api.images.set(sha512(bytes), bytes);
      return { id: newId(), digest: sha512(bytes), format, size: bytes.length };
    },
  };
}
