// One host of real parts for a test: three agents, a libvirtd of its own, files and a network namespace; its controller is another's.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  createHostListener,
  createNeighbours,
  exec,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type AgentApi,
  type Bus,
  type MigrationTarget,
  type TlsFiles,
} from '@cumulet/common';
import { ComputeConfig, createComputeAgent } from '@cumulet/compute-agent';
import { LibvirtClient } from '@cumulet/libvirt';
import { createNetworkAgent, NetworkAgentConfig } from '@cumulet/network-agent';
import { createStorageAgent, StorageConfig } from '@cumulet/storage-agent';
import { hostAnswers } from './hostAnswers';
import type { HostUnderContract } from './hostContract';
import { inNamespace, kernelOf } from './networkLab';
import { startPrivateLibvirtd } from './privateLibvirtd';

export interface RealHost extends HostUnderContract {
  /** Whether the next agents have their disks in a directory that others could have too. */
  sharesDisks: boolean;
  /** Removes all of it. */
  close(): Promise<void>;
}

/** How long a guest that does not listen is asked to shut down. */
const SHUTDOWN_SECONDS = 20;

/** Its agents are not started. @param tls - by which other hosts know it */
export async function createRealHost(name: string, bus: Bus, api: AgentApi, tls: TlsFiles): Promise<RealHost> {
  const prefix = `t${randomBytes(3).toString('hex')}`;
  const namespace = `${prefix}-host`;
  await exec(['ip', 'netns', 'add', namespace]);
  const onHost = inNamespace(namespace);
  await onHost(['ip', 'link', 'set', 'dev', 'lo', 'up']);
  const libvirtd = await startPrivateLibvirtd([], namespace);
  const libvirt = await LibvirtClient.connect({ socketPath: libvirtd.socketPath });
  libvirt.on('warning', () => undefined);
  const dir = join(libvirtd.directory, 'data');
  mkdirSync(dir, { mode: 0o711 });
  const shared = join(libvirtd.directory, 'shared');
  mkdirSync(shared, { mode: 0o711 });
  writeFileSync(join(shared, '.cumulet-disks'), newId());
  const common = { host: name, bus, api, log: silentLogger, clock: systemClock };

  const make = (sharesDisks: boolean) => {
    const settings = {
      dir,
      domain_prefix: 'cumulet-contract-',
      libvirt_socket: libvirtd.socketPath,
      shutdown_seconds: SHUTDOWN_SECONDS,
    };
    const compute = createComputeAgent({
      ...common,
      neighbours: createNeighbours(tls),
      exec,
      // The regular report is no answer to anything, and not in the contract.
      tellAllMs: 3_600_000,
      config: parseConfig(ComputeConfig, JSON.stringify(settings), 'test'),
    });
    const storage = createStorageAgent({
      ...common,
      exec,
      config: parseConfig(
        StorageConfig,
        JSON.stringify({ dir, min_free_mib: 0, shared_disks: sharesDisks ? shared : null }),
        'test',
      ),
    });
    const network = createNetworkAgent({
      ...common,
      exec: onHost,
      readKernel: kernelOf(onHost),
      config: {
        ...parseConfig(NetworkAgentConfig, '{}', 'test'),
        stateDir: join(dir, 'network'),
        namespace_prefix: prefix,
      },
    });
    return { compute, storage, network, asked: hostAnswers(compute, storage, network) };
  };
  let agents = make(false);
  let running = false;
  /** Of the agents of the moment. */
  const target: MigrationTarget = {
    examine: (...asked) => agents.compute.target.examine(...asked),
    prepare: (...asked) => agents.compute.target.prepare(...asked),
    finish: (...asked) => agents.compute.target.finish(...asked),
    open: (...asked) => agents.compute.target.open(...asked),
  };
  const listener = createHostListener({}, tls, silentLogger, target);
  await new Promise<void>((done) => void listener.listen(0, '127.0.0.1', done));
  const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;

  const host: RealHost = {
    // A screen's socket is in the directory of the machine's libvirt as its daemon sees it: only that of the machine is seen here.
    consoles: ['serial'],
    address,
    sharesDisks: false,
    get api() {
      return agents.asked;
    },
    async start() {
      agents = make(host.sharesDisks);
      running = true;
      await Promise.all([agents.compute.start(), agents.storage.start(), agents.network.start()]);
    },
    async stop() {
      if (!running) return;
      running = false;
      await Promise.all([agents.compute.stop(), agents.storage.stop(), agents.network.stop()]);
    },
    powerOff: (server) => libvirt.destroyDomain(server),
    async close() {
      try {
        await host.stop();
        listener.close();
        listener.closeAllConnections();
        await agents.network.purge();
      } finally {
        await libvirt.close();
        await libvirtd.stop();
        const { stdout } = await exec(['ip', '-json', 'netns', 'list']);
        const names = (JSON.parse(stdout || '[]') as { name: string }[]).map((entry) => entry.name);
        for (const one of names.filter((entry) => entry.startsWith(`${prefix}-`)))
          await exec(['ip', 'netns', 'del', one]);
      }
    },
  };
  return host;
}
