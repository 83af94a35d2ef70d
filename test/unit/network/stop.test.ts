// What a network agent that was stopped leaves running: nothing, because what comes next may be a purge.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  parseConfig,
  silentLogger,
  systemClock,
  type Exec,
  type NetworkChanges,
} from '@cumulet/common';
import { createNetworkAgent, NetworkAgentConfig } from '@cumulet/network-agent';
import { fakeAgentApi } from '../../support/fakeAgentApi';
import { until } from '../../support/engineTasks';

test('a stop waits for a run that a hint began', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'cumulet-stop-'));
  // A host on which nothing is, and where nobody changes a rule.
  const exec: Exec = (argv, options) =>
    argv.includes('monitor')
      ? new Promise((_resolve, reject) =>
          options?.signal?.addEventListener('abort', () => reject(new Error('aborted'))),
        )
      : Promise.resolve({ stdout: '', stderr: '' });
  const nothing: NetworkChanges = { sequence: 1, reload: true, objects: [], gone: [] };
  let answer: (() => void) | undefined;
  let isHeld = false;
  const api = {
    ...fakeAgentApi(),
    networkChanges: () =>
      isHeld
        ? new Promise<NetworkChanges>((resolve) => (answer = () => resolve({ ...nothing, sequence: 2 })))
        : Promise.resolve(nothing),
  };
  const bus = createMemoryBus();
  const config = { ...parseConfig(NetworkAgentConfig, '{}', 'test'), stateDir };
  const parts = { host: 'h1', bus, api, exec, log: silentLogger, clock: systemClock, config };
  const agent = createNetworkAgent({ ...parts, readKernel: () => Promise.resolve('1') });
  await agent.start();
  isHeld = true;
  await bus.hintChanges(2);
  await until('the question of the run', () => answer !== undefined);
  let hasStopped = false;
  const stopping = agent.stop().then(() => (hasStopped = true));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(hasStopped).toBe(false);
  answer?.();
  await stopping;
  rmSync(stateDir, { recursive: true, force: true });
});
