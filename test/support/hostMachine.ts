// A host of the cloud as a machine of its own: libvirtd and the three agents on it, with a cable to the other hosts and one to the outside.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Neighbours } from './controllerConfig';
import { startOwnMachine, type OwnMachine } from './ownMachine';
import { createProcessGroup, type ProcessGroup } from './processGroup';

export const agentNames = ['compute-agent', 'network-agent', 'storage-agent'] as const;
export type AgentName = (typeof agentNames)[number];

export interface HostMachine {
  readonly name: string;
  readonly machine: OwnMachine;
  readonly agents: ProcessGroup<AgentName>;
  /** Boots it and starts what does not run; resolves when the agents are ready. */
  up(): Promise<void>;
}

export interface HostMachineOptions {
  readonly name: string;
  /** Its address on the bridge of all hosts, with the length of the prefix. */
  readonly address: string;
  /** Our bridges: of the hosts, and of the physical network `public`. */
  readonly bridges: { readonly hosts: string; readonly outside: string };
  /** The agent API of every controller. */
  readonly controllers: readonly string[];
  readonly neighbours: Pick<Neighbours, 'broker' | 'ca'>;
  /** More settings of an agent, by its name. */
  readonly settings?: Readonly<Partial<Record<AgentName, object>>>;
}

/** The bridge on a host that the physical network is on. */
const OUTSIDE = 'br-public';
/** TCP ports of agents on their host: for controllers and other hosts, and for questions about their health. */
const PORTS: Readonly<Record<AgentName, readonly [number, number]>> = {
  'compute-agent': [5101, 5111],
  'network-agent': [5102, 5112],
  'storage-agent': [5103, 5113],
};

function agentConfig(agent: AgentName, machine: OwnMachine, options: HostMachineOptions): object {
  const { name, controllers, neighbours, settings = {} } = options;
  const [port, health] = PORTS[agent];
  const own = {
    'compute-agent': { dir: join(machine.directory, 'host'), shutdown_seconds: 5 },
    'storage-agent': { dir: join(machine.directory, 'host') },
    'network-agent': {
      stateDir: join(machine.directory, 'network'),
      physical_networks: { public: OUTSIDE },
      underlay: { address: machine.address },
    },
  };
  return {
    host: name,
    controllers,
    address: machine.address,
    port,
    tls: neighbours.ca.config(name),
    broker: neighbours.broker.config(name),
    health: { listen: machine.address, port: health },
    ...own[agent],
    ...settings[agent],
  };
}

/** Boots the machine; nothing runs on it yet. Its certificate and its user at the broker are there. */
export async function createHostMachine(options: HostMachineOptions): Promise<HostMachine> {
  const { name, address, bridges } = options;
  const machine = await startOwnMachine([
    { link: 'eth0', bridge: bridges.hosts, address },
    { link: 'eth1', bridge: bridges.outside },
  ]);
  // QEMU runs as another user and must get through to its disks.
  mkdirSync(join(machine.directory, 'host'), { mode: 0o711 });
  const member = (agent: AgentName) => ({
    program: agent,
    config: agentConfig(agent, machine, options),
    health: PORTS[agent][1],
    machine,
  });
  const agents = createProcessGroup<AgentName>(machine.directory, {
    'compute-agent': member('compute-agent'),
    'network-agent': member('network-agent'),
    'storage-agent': member('storage-agent'),
  });
  const bridge = async (): Promise<void> => {
    const there = await machine.run('ip', '-json', 'link', 'show', 'type', 'bridge');
    if (there.includes(`"${OUTSIDE}"`)) return;
    await machine.run('ip', 'link', 'add', OUTSIDE, 'type', 'bridge', 'forward_delay', '0');
    await machine.run('ip', 'link', 'set', 'eth1', 'master', OUTSIDE);
    await machine.run('ip', 'link', 'set', OUTSIDE, 'up');
  };
  return {
    name,
    machine,
    agents,
    async up() {
      if (!machine.isOn()) await machine.powerOn();
      await machine.startLibvirtd();
      await bridge();
      for (const agent of agentNames) if (!agents.runs(agent)) agents.start(agent);
      for (const agent of agentNames) await agents.ready(agent);
    },
  };
}
