// A host in a namespace of its own with a network agent on it, guests behind veths, and a controller's feed that tests write.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createMemoryBus,
  exec,
  interfaceName,
  messageOf,
  parseConfig,
  silentLogger,
  systemClock,
  type AgentApi,
  type Bus,
  type Exec,
  type MetadataRequest,
  type NetworkObject,
  type NetworkState,
  type PortState,
  type PortsEnsure,
  type Reply,
  type SecurityGroupRuleState,
  type SecurityGroupState,
} from '@cumulet/common';
import { fakeAgentApi } from './fakeAgentApi';
import { createNetworkAgent, NetworkAgentConfig, type NetworkAgent } from '@cumulet/network-agent';

export interface Guest {
  /** Name of the namespace that plays the guest. */
  readonly namespace: string;
  readonly port: PortState;
  /** Runs a command inside; throws unless it exits with 0. */
  readonly run: Exec;
}

interface ReportedPort {
  readonly id: string;
  readonly wired: boolean;
  readonly fault?: string;
}

export interface NetworkLab {
  readonly prefix: string;
  readonly host: string;
  readonly exec: Exec;
  readonly bus: Bus;
  readonly stateDir: string;
  readonly reports: ReportedPort[][];
  readonly asked: MetadataRequest[];
  /** While true the controller answers nothing. */
  down: boolean;
  agent(config?: Partial<NetworkAgentConfig>, run?: Exec): Promise<NetworkAgent>;
  /** An agent that is not started. */
  idle(config?: Partial<NetworkAgentConfig>, run?: Exec): NetworkAgent;
  /** Changes the desired state: objects are put, ids are removed. */
  change(objects: readonly NetworkObject[], gone?: readonly { kind: NetworkObject['kind']; id: string }[]): number;
  /** The desired state as it is now. */
  objects(): NetworkObject[];
  /** Sends ports.ensure or ports.remove as the controller does, and waits for the reply. */
  command(
    kind: 'ports.ensure' | 'ports.remove',
    portIds: readonly string[],
    until?: PortsEnsure['until'],
  ): Promise<Reply>;
  /** A namespace whose eth0 is the other end of the port's link; addresses are set unless `bare`. */
  guest(port: PortState, options?: { bare?: boolean; gateway?: string }): Promise<Guest>;
  namespace(name: string): Promise<string>;
  close(): Promise<void>;
}

export const inNamespace =
  (name: string): Exec =>
  (argv, options) =>
    exec(['nsenter', `--net=/run/netns/${name}`, ...argv], options);

/** The kernel's settings as seen in a namespace. */
export const kernelOf =
  (run: Exec) =>
  async (path: string): Promise<string> =>
    (await run(['cat', path])).stdout;

/** Whether a command succeeds. */
export const succeeds = (run: Exec, argv: readonly string[]): Promise<boolean> =>
  run(argv).then(
    () => true,
    () => false,
  );

export const pings = (guest: { run: Exec }, address: string): Promise<boolean> =>
  succeeds(guest.run, ['ping', '-c', '2', '-i', '0.2', '-W', '1', address]);

/** A veth's carrier may reach its bridge up to a second late (the kernel batches such news): waits until the ports forward. */
async function carriers(onHost: Exec, portIds: readonly string[]): Promise<void> {
  const names = portIds.map((id) => interfaceName('tap', id));
  for (let tries = 0; tries < 60; tries++) {
    const shown = await onHost(['bridge', '-json', 'link', 'show']);
    const ports = JSON.parse(shown.stdout || '[]') as { ifname: string; state: string }[];
    const waiting = names.filter((name) => ports.some((port) => port.ifname === name && port.state !== 'forwarding'));
    if (waiting.length === 0) return;
    await systemClock.sleep(50);
  }
}

export async function createNetworkLab(): Promise<NetworkLab> {
  const prefix = `t${randomBytes(3).toString('hex')}`;
  const host = `${prefix}-host`;
  const made = new Set<string>();
  const stateDir = mkdtempSync(join(tmpdir(), 'cumulet-net-'));
  chmodSync(stateDir, 0o755);
  const agents: NetworkAgent[] = [];
  const namespace = async (name: string): Promise<string> => {
    await exec(['ip', 'netns', 'add', name]);
    made.add(name);
    await inNamespace(name)(['ip', 'link', 'set', 'lo', 'up']);
    return name;
  };
  await namespace(host);
  const onHost = inNamespace(host);
  // As on a machine where nobody asked for it: what we filter is by settings of our own bridges.
  await onHost(['sysctl', '-q', '-w', 'net.bridge.bridge-nf-call-iptables=0', 'net.bridge.bridge-nf-call-ip6tables=0']);
  const plugged = new Set<string>();
  const objects = new Map<string, { object: NetworkObject; at: number }>();
  const gone: { kind: NetworkObject['kind']; id: string; at: number }[] = [];
  let sequence = 1;
  let session = 0;
  let sends = 0;
  const bus = createMemoryBus();
  const waiting = new Map<string, (reply: Reply) => void>();
  await bus.onReply(async (reply) => waiting.get(reply.task)?.(reply));

  const api: AgentApi = {
    ...fakeAgentApi(),
    register: async () => ({ session: ++session, expected: [] }),
    heartbeat: async () => undefined,
    networkChanges: async (_host, since) => {
      if (lab.down) throw new Error('the controller is away');
      const reload = since === 0;
      const news = [...objects.values()].filter((entry) => entry.at > since).map((entry) => entry.object);
      return { sequence, reload, objects: news, gone: reload ? [] : gone.filter((entry) => entry.at > since) };
    },
    reportPorts: async (_host, ports) => {
      lab.reports.push([...ports]);
    },
    metadata: async (request) => {
      if (lab.down) throw new Error('the controller is away');
      lab.asked.push(request);
      return {
        status: 200,
        contentType: 'text/plain',
        body: `${request.networkId} ${request.address} ${request.path}`,
      };
    },
  };

  const lab: NetworkLab = {
    prefix,
    host,
    exec: onHost,
    bus,
    stateDir,
    reports: [],
    asked: [],
    down: false,
    namespace,
    agent: async (config, run) => {
      const agent = lab.idle(config, run);
      agents.push(agent);
      await agent.start();
      return agent;
    },
    idle: (config = {}, run = onHost) =>
      createNetworkAgent({
        host,
        bus,
        api,
        exec: run,
        readKernel: kernelOf(run),
        log: silentLogger,
        clock: systemClock,
        config: { ...parseConfig(NetworkAgentConfig, '{}', 'test'), stateDir, namespace_prefix: prefix, ...config },
      }),
    objects: () => [...objects.values()].map((entry) => entry.object),
    change: (put, remove = []) => {
      sequence++;
      for (const object of put) objects.set(object.id, { object, at: sequence });
      for (const { kind, id } of remove) {
        objects.delete(id);
        gone.push({ kind, id, at: sequence });
      }
      return sequence;
    },
    command: async (kind, portIds, until = 'wired') => {
      const reply = await new Promise<Reply>((resolve, reject) => {
        const task = randomUUID();
        waiting.set(task, resolve);
        const base = {
          task,
          step: 'network',
          send: ++sends,
          host,
          session,
          generation: 1,
          resource: `server of ${portIds.join()}`.slice(0, 60),
        };
        const body = { port_ids: [...portIds], sequence };
        const command = kind === 'ports.remove' ? { ...base, kind, body } : { ...base, kind, body: { ...body, until } };
        bus.sendCommand(command).catch(reject);
      });
      if (kind === 'ports.ensure')
        await carriers(
          onHost,
          [...portIds].filter((id) => plugged.has(id)),
        );
      return reply;
    },
    guest: async (port, { bare = false, gateway } = {}) => {
      const name = await namespace(`${prefix}-${interfaceName('tap', port.id)}`);
      const tap = interfaceName('tap', port.id);
      const run = inNamespace(name);
      const plug = () => onHost(['ip', 'link', 'add', tap, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
      // An agent that looks often may have made a tap of its own by now, which no guest would be on.
      await plug().catch(async (error: unknown) => {
        if (!messageOf(error).includes('File exists')) throw error;
        await onHost(['ip', 'link', 'del', tap]);
        await plug();
      });
      await onHost(['ip', 'link', 'set', 'dev', tap, 'alias', port.id]);
      plugged.add(port.id);
      await run(['ip', 'link', 'set', 'dev', 'eth0', 'address', port.mac]);
      await run(['sysctl', '-q', '-w', 'net.ipv6.conf.eth0.accept_dad=0']);
      await run(['ip', 'link', 'set', 'dev', 'eth0', 'up']);
      if (!bare) {
        for (const { address } of port.fixed_ips) {
          const length = address.includes(':') ? '64' : '24';
          await run([
            'ip',
            'addr',
            'add',
            `${address}/${length}`,
            'dev',
            'eth0',
            ...(length === '64' ? ['nodad'] : []),
          ]);
        }
        if (gateway !== undefined) await run(['ip', 'route', 'add', 'default', 'via', gateway]);
      }
      return { namespace: name, port, run };
    },
    close: async () => {
      const failures: unknown[] = [];
      for (const agent of agents) {
        await agent.stop();
        await agent.purge().catch((error: unknown) => failures.push(error));
      }
      const left = await exec(['ip', '-json', 'netns', 'list']);
      const names = (JSON.parse(left.stdout || '[]') as { name: string }[]).map((entry) => entry.name);
      for (const name of names.filter((entry) => entry.startsWith(`${prefix}-`)))
        await exec(['ip', 'netns', 'del', name]);
      rmSync(stateDir, { recursive: true, force: true });
      if (failures.length > 0) throw failures[0];
    },
  };
  return lab;
}

/** What the network's DHCP server offers this guest: scapy's names of the options, unknown ones by number in hexadecimal. */
export async function leaseOf(guest: Pick<Guest, 'run'>): Promise<Record<string, unknown>> {
  const result = await guest.run(['python3', join(__dirname, 'dhcpClient.py'), 'eth0']);
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

const mac = (): string => `fa:16:3e:${[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** A tenant network with one IPv4 subnet, gateway .1 and DHCP port .2. */
export function tenantNetwork(cidr = '10.0.0.0/24', over: Partial<NetworkState> = {}): NetworkState {
  const subnetId = randomUUID();
  const base = cidr.replace(/0\/24$/, '');
  return {
    kind: 'network',
    id: randomUUID(),
    mtu: 1350,
    attachment: { type: 'tenant' },
    tunnel: null,
    dns_domain: 'lab.test.',
    subnets: [
      {
        id: subnetId,
        cidr,
        ip_version: 4,
        gateway_ip: `${base}1`,
        enable_dhcp: true,
        dns_nameservers: [],
        host_routes: [],
        ipv6_ra_mode: null,
        ipv6_address_mode: null,
      },
    ],
    dhcp: { port_id: randomUUID(), mac: mac(), addresses: [{ subnet_id: subnetId, address: `${base}2` }] },
    dhcp_hosts: [],
    ...over,
  };
}

/** A server's port on the first subnet of a network. */
export function serverPort(
  network: NetworkState,
  address: string,
  groups: readonly string[],
  over: Partial<PortState> = {},
): PortState {
  return {
    kind: 'port',
    id: randomUUID(),
    network_id: network.id,
    mac: mac(),
    fixed_ips: [{ subnet_id: network.subnets[0]?.id ?? '', address }],
    admin_state_up: true,
    port_security_enabled: true,
    allowed_address_pairs: [],
    security_group_ids: [...groups],
    ...over,
  };
}

/** The network with DHCP entries for these ports. */
export function withHosts(network: NetworkState, ports: readonly PortState[]): NetworkState {
  const hosts = ports.map((port, index) => ({
    port_id: port.id,
    mac: port.mac,
    hostname: `vm${index + 1}`,
    addresses: port.fixed_ips,
    extra_options: [],
  }));
  return { ...network, dhcp_hosts: hosts };
}

export function rule(over: Partial<SecurityGroupRuleState>): SecurityGroupRuleState {
  return {
    id: randomUUID(),
    direction: 'ingress',
    ethertype: 'IPv4',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: null,
    ...over,
  };
}

/** A group that lets everything out and the given rules in. */
export function securityGroup(
  rules: readonly SecurityGroupRuleState[],
  over: Partial<SecurityGroupState> = {},
): SecurityGroupState {
  const egress = [rule({ direction: 'egress' }), rule({ direction: 'egress', ethertype: 'IPv6' })];
  return {
    kind: 'security_group',
    id: randomUUID(),
    stateful: true,
    rules: [...egress, ...rules],
    members: [],
    ...over,
  };
}

/** Makes a lab before each test of a file, and closes it afterwards. */
export function labForEach(use: (lab: NetworkLab) => void): void {
  let lab: NetworkLab | undefined;
  beforeEach(async () => use((lab = await createNetworkLab())));
  afterEach(() => lab?.close());
}
