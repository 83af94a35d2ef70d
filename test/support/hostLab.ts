// Three hosts as network namespaces on one underlay, each with a network agent that follows a real controller's feed.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  CumuletError,
  exec,
  interfaceName,
  newId,
  parseConfig,
  silentLogger,
  systemClock,
  type AgentApi,
  type Exec,
} from '@cumulet/common';
import { createNetworkAgent, NetworkAgentConfig, type NetworkAgent } from '@cumulet/network-agent';
import {
  bindServerPorts,
  createServerPorts,
  releaseServerPorts,
} from '../../controller/src/services/network/serverPorts';
import { networkCalls } from './networkFixtures';
import { inNamespace, kernelOf } from './networkLab';
import { startTestCloud, type TestCloud } from './testCloud';

export interface LabHost {
  readonly name: string;
  /** Its address on the underlay. */
  readonly underlay: string;
  /** First word of its namespaces. */
  readonly prefix: string;
  readonly exec: Exec;
  agent: NetworkAgent;
  /** The machine loses its power: no agent, no link. What was configured stays, to be found when it is back. */
  die(): Promise<void>;
  /** Its agent reaches no controller, or reaches them again. All links stay up, and what they carry goes on. */
  cutOff(cut: boolean): void;
  /** The machine and a new agent are back. */
  revive(): Promise<void>;
}

/** A namespace that plays a server with one port. */
export interface LabGuest {
  readonly server: string;
  readonly portId: string;
  readonly mac: string;
  readonly address: string;
  readonly namespace: string;
  readonly run: Exec;
}

/** What tcpdump prints of the packets on a link since it listened. */
export interface Capture {
  text(): string;
  stop(): void;
}

export interface HostLab {
  readonly cloud: TestCloud;
  readonly calls: ReturnType<typeof networkCalls>;
  readonly hosts: readonly [LabHost, LabHost, LabHost];
  /** Records what crosses the underlay in VXLAN, as tcpdump prints it: it looks inside. Resolves when it listens. */
  wire(): Promise<Capture>;
  /** Records the answers to ARP questions of the machine outside. */
  arpAnswers(): Promise<Capture>;
  /** A machine outside: it has 203.0.113.1 on the physical network "lan". */
  readonly outside: Exec;
  /** Metadata questions that each host's agent passed on. */
  readonly asked: string[];
  /** A server on a host, with its port wired. */
  guest(host: LabHost, networkId: string, project?: string): Promise<LabGuest>;
  /** The same server on another host. */
  move(guest: LabGuest, host: LabHost): Promise<LabGuest>;
  remove(guest: LabGuest): Promise<void>;
  /** A namespace on the underlay that is no host of the cloud. */
  stranger(address: string): Promise<Exec>;
  close(): Promise<void>;
}

/** Milliseconds after which a question of a host that is cut off has failed, as over the wire. */
const UNANSWERED_MS = 3_000;

/** Bytes of a packet on the underlay: not the default, so that a network's MTU shows where it came from. */
export const UNDERLAY_MTU = 1450;

/** Waits until something holds. @throws when it does not within so many seconds */
export async function until(what: string, check: () => Promise<boolean>, seconds = 30): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await systemClock.sleep(50);
  }
}

function capture(namespace: string, link: string, filter: string): Promise<Capture> {
  const argv = [`--net=/run/netns/${namespace}`, 'tcpdump', '-lnn', '-i', link, filter];
  const child = spawn('/usr/bin/nsenter', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => reject(new Error('tcpdump ended')));
    child.stderr.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('listening on'))
        resolve({ text: () => seen, stop: () => void child.kill('SIGKILL') });
    });
  });
}

/** `settings`: how its controller is made, which runs no tasks unless told. */
export async function createHostLab(settings: Parameters<typeof startTestCloud>[0] = {}): Promise<HostLab> {
  const prefix = `t${randomBytes(3).toString('hex')}`;
  const bus = settings.bus ?? createMemoryBus();
  const cloud = await startTestCloud({ engine: { kinds: [] }, ...settings, bus });
  const api = cloud.controller.agentApi;
  const calls = networkCalls(() => cloud);
  const asked: string[] = [];

  const namespace = async (name: string): Promise<Exec> => {
    await exec(['ip', 'netns', 'add', `${prefix}-${name}`]);
    const run = inNamespace(`${prefix}-${name}`);
    await run(['ip', 'link', 'set', 'dev', 'lo', 'up']);
    return run;
  };
  const bridged = async (name: string, bridge: string): Promise<Exec> => {
    const run = await namespace(name);
    await run(['ip', 'link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0']);
    await run(['ip', 'link', 'set', 'dev', bridge, 'up']);
    return run;
  };
  const under = await bridged('under', 'under');
  const outside = await bridged('out', 'lan');
  await outside(['ip', 'addr', 'add', '203.0.113.1/24', 'dev', 'lan']);

  /** A cable from a namespace to a bridge in another. */
  const cable = async (hub: Exec, bridge: string, plug: string, name: string, link: string): Promise<void> => {
    const mtu = bridge === 'under' ? String(UNDERLAY_MTU) : '1500';
    const peer = ['peer', 'name', link, 'mtu', mtu, 'netns', `${prefix}-${name}`];
    await hub(['ip', 'link', 'add', plug, 'mtu', mtu, 'type', 'veth', ...peer]);
    await hub(['ip', 'link', 'set', 'dev', plug, 'master', bridge, 'up']);
    await inNamespace(`${prefix}-${name}`)(['ip', 'link', 'set', 'dev', link, 'up']);
  };

  const makeHost = async (number: number): Promise<LabHost> => {
    const name = `h${number}`;
    const run = await bridged(name, 'br-lan');
    const address = `10.50.0.${number}`;
    await cable(under, 'under', name, name, 'u0');
    await run(['ip', 'addr', 'add', `${address}/24`, 'dev', 'u0']);
    await cable(outside, 'lan', name, name, 'o0');
    await run(['ip', 'link', 'set', 'dev', 'o0', 'master', 'br-lan']);
    const stateDir = mkdtempSync(join(tmpdir(), `cumulet-${name}-`));
    chmodSync(stateDir, 0o755);
    const agent = async (): Promise<NetworkAgent> => {
      const made = createNetworkAgent({
        host: name,
        bus,
        api: apiOf(name),
        exec: run,
        readKernel: kernelOf(run),
        log: silentLogger,
        clock: systemClock,
        config: {
          ...parseConfig(NetworkAgentConfig, '{}', 'test'),
          stateDir,
          namespace_prefix: `${prefix}${name}`,
          physical_networks: { lan: 'br-lan' },
          underlay: number === 1 ? { interface: 'u0' } : { address },
        },
      });
      await made.start();
      return made;
    };
    const cables = async (state: 'up' | 'down'): Promise<void> => {
      for (const hub of [under, outside]) await hub(['ip', 'link', 'set', 'dev', name, state]);
    };
    const host: LabHost = {
      name,
      underlay: address,
      prefix: `${prefix}${name}`,
      exec: run,
      agent: await agent(),
      die: async () => {
        await cables('down');
        await host.agent.stop();
      },
      cutOff: (isCut) => void (isCut ? cut.add(name) : cut.delete(name)),
      revive: async () => {
        await cables('up');
        host.agent = await agent();
      },
    };
    cleanups.push(() => rmSync(stateDir, { recursive: true, force: true }));
    return host;
  };

  const cut = new Set<string>();
  /** What a host asks, which nobody answers while it is cut off, nor when it is by the time of the answer. */
  const asking = async <T>(host: string, ask: () => Promise<T>): Promise<T> => {
    if (!cut.has(host)) {
      const answer = await ask();
      if (!cut.has(host)) return answer;
    }
    await systemClock.sleep(UNANSWERED_MS);
    throw new CumuletError('unreachable', 'no controller answers');
  };

  const apiOf = (host: string): AgentApi => ({
    ...api,
    register: (registration) => asking(host, () => api.register(registration)),
    heartbeat: (...beat) => asking(host, () => api.heartbeat(...beat)),
    networkChanges: (...since) => asking(host, () => api.networkChanges(...since)),
    reportPorts: (...found) => asking(host, () => api.reportPorts(...found)),
    metadata: async ({ networkId, address, path }) => {
      asked.push(`${host} ${address}`);
      return { status: 200, contentType: 'text/plain', body: `${host} ${networkId} ${address} ${path}` };
    },
  });

  const cleanups: (() => void)[] = [];
  const hosts = [await makeHost(1), await makeHost(2), await makeHost(3)] as const;

  /** The port's link on a host with a new namespace behind it, which is wired by the host's agent. */
  const plug = async (host: LabHost, port: Omit<LabGuest, 'run' | 'namespace'>): Promise<LabGuest> => {
    const name = newId().slice(0, 8);
    const run = await namespace(name);
    const tap = interfaceName('tap', port.portId);
    const made = `v${name}`;
    await host.exec(['ip', 'link', 'add', made, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${prefix}-${name}`]);
    await run(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.accept_dad=0']);
    await run(['ip', 'link', 'set', 'dev', 'eth0', 'address', port.mac, 'mtu', String(UNDERLAY_MTU - 50), 'up']);
    await run(['ip', 'addr', 'add', `${port.address}/24`, 'dev', 'eth0']);
    await run(['ip', 'route', 'add', 'default', 'via', port.address.replace(/\d+$/, '1')]);
    // Only now, because a tap of ours without a port on this host is removed.
    await host.exec(['ip', 'link', 'set', 'dev', made, 'name', tap, 'alias', port.portId]);
    await cloud.cloud.db.write((session) => bindServerPorts(session, cloud.cloud, port.server, host.name));
    await until(`port ${port.portId} wired on ${host.name}`, async () => {
      const { body } = await calls.call('GET', `/ports/${port.portId}`, undefined, 'admin');
      return body.port.status === 'ACTIVE';
    });
    // The carrier of a veth may come up to a second later.
    await until(`${tap} forwards`, async () => {
      const { stdout } = await host.exec(['bridge', '-json', 'link', 'show', 'dev', tap]);
      return stdout.includes('"forwarding"');
    });
    return { ...port, run, namespace: `${prefix}-${name}` };
  };

  const release = async ({ server }: Pick<LabGuest, 'server'>): Promise<void> => {
    await cloud.cloud.db.write((session) => releaseServerPorts(session, cloud.cloud, server));
  };

  return {
    cloud,
    calls,
    hosts,
    wire: () => capture(`${prefix}-under`, 'under', 'udp port 4789'),
    arpAnswers: async () => {
      const { stdout } = await outside(['ip', '-json', 'link', 'show', 'dev', 'lan']);
      const [link] = JSON.parse(stdout) as { address: string }[];
      return capture(`${prefix}-out`, 'lan', `arp[6:2] == 2 and ether dst ${link?.address ?? ''}`);
    },
    outside,
    asked,
    guest: async (host, networkId, project = 'demo') => {
      const server = newId();
      const owner = { projectId: `${project}-project`, userId: `${project}-user` };
      const [port] = await cloud.cloud.db.write((session) =>
        createServerPorts(session, cloud.cloud, owner, { id: server, availabilityZone: 'nova' }, [{ networkId }], []),
      );
      if (!port) throw new Error('no port');
      const { body } = await calls.call('GET', `/ports/${port.id}`, undefined, 'admin');
      const address = body.port.fixed_ips[0].ip_address as string;
      return plug(host, { server, portId: port.id, mac: port.mac_address, address });
    },
    move: (guest, host) => plug(host, guest),
    remove: release,
    stranger: async (address) => {
      const name = newId().slice(0, 8);
      const run = await namespace(name);
      await cable(under, 'under', `s${name}`, name, 'u0');
      await run(['ip', 'addr', 'add', `${address}/24`, 'dev', 'u0']);
      return run;
    },
    close: async () => {
      const failures: unknown[] = [];
      for (const { agent } of hosts) {
        await agent.stop();
        await agent.purge().catch((error: unknown) => failures.push(error));
      }
      await cloud.stop();
      const listed = await exec(['ip', '-json', 'netns', 'list']);
      const names = (JSON.parse(listed.stdout || '[]') as { name: string }[]).map((entry) => entry.name);
      const ours = names.filter((name) => name.startsWith(prefix));
      for (const name of ours.filter((entry) => entry.startsWith(`${prefix}-`)))
        await exec(['ip', 'netns', 'del', name]);
      cleanups.forEach((clean) => clean());
      const left = ours.filter((name) => !name.startsWith(`${prefix}-`));
      if (left.length > 0) failures.push(new Error(`left behind: ${left.join(', ')}`));
      if (failures.length > 0) throw failures[0];
    },
  };
}
