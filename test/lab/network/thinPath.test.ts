// One tenant network from nothing to a reachable guest and back, on the real kernel in a namespace of its own.
import { randomUUID } from 'node:crypto';
import { interfaceName, type NetworkState, type RouterState } from '@cumulet/common';
import {
  labForEach,
  inNamespace,
  leaseOf,
  pings,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  withHosts,
  type NetworkLab,
} from '../../support/networkLab';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const external = { bridge: 'cml-ext', address: '172.24.4.1/24' };

function publicNetwork(): NetworkState {
  const network = tenantNetwork('172.24.4.0/24', {
    attachment: { type: 'physical', physical_network: 'public' },
    dhcp: null,
  });
  return { ...network, subnets: network.subnets.map((subnet) => ({ ...subnet, enable_dhcp: false })) };
}

function routerOf(inner: NetworkState, outer: NetworkState, fixed: string): RouterState {
  return {
    kind: 'router',
    id: randomUUID(),
    admin_state_up: true,
    interfaces: [{ port_id: randomUUID(), network_id: inner.id, mac: 'fa:16:3e:aa:00:01', addresses: ['10.0.0.1/24'] }],
    gateway: {
      port_id: randomUUID(),
      network_id: outer.id,
      mac: 'fa:16:3e:aa:00:02',
      addresses: ['172.24.4.10/24'],
      next_hops: ['172.24.4.1'],
      enable_snat: true,
    },
    floating_ips: [{ id: randomUUID(), floating_address: '172.24.4.20', fixed_address: fixed }],
    routes: [],
  };
}

test('a port gets its address by DHCP, its metadata, the outside by SNAT and visitors by its floating IP, and leaves no trace', async () => {
  const group = securityGroup([rule({ protocol: 'icmp' })]);
  const network = tenantNetwork();
  const outer = publicNetwork();
  const port = serverPort(network, '10.0.0.5', [group.id]);
  const other = serverPort(network, '10.0.0.6', [group.id]);
  const router = routerOf(network, outer, '10.0.0.5');
  const agent = await lab.agent({ external, physical_networks: { public: 'cml-ext' } });
  lab.change([group, withHosts(network, [port, other]), outer, port, other, router]);
  const guest = await lab.guest(port, { bare: true });
  const neighbour = await lab.guest(other);
  const started = performance.now();
  const reply = await lab.command('ports.ensure', [port.id, other.id]);
  console.log(`first port of a network: ${Math.round(performance.now() - started)} ms`);
  expect(reply).toMatchObject({ outcome: 'done', observed: { wired: true }, fault: null });

  const lease = await leaseOf(guest);
  expect(lease).toMatchObject({
    yiaddr: '10.0.0.5',
    router: '10.0.0.1',
    name_server: '10.0.0.2',
    mtu: 1350,
    classless_static_routes: expect.anything(),
  });
  await guest.run(['ip', 'addr', 'add', '10.0.0.5/24', 'dev', 'eth0']);
  await guest.run(['ip', 'route', 'add', 'default', 'via', '10.0.0.1']);
  await guest.run(['ip', 'route', 'add', '169.254.169.254/32', 'via', '10.0.0.2']);
  const metadata = await guest.run([
    'curl',
    '-s',
    '-m',
    '5',
    '-H',
    'X-Forwarded-For: 10.0.0.6',
    'http://169.254.169.254/latest/x',
  ]);
  expect(metadata.stdout).toBe(`${network.id} 10.0.0.5 /latest/x`);

  expect(await pings(guest, '172.24.4.1')).toBe(true);
  expect(await pings({ run: lab.exec }, '172.24.4.20')).toBe(true);
  await neighbour.run(['ip', 'route', 'add', 'default', 'via', '10.0.0.1']);
  expect(await pings(neighbour, '172.24.4.20')).toBe(true);
  await expect(guest.run(['curl', '-s', '-m', '1', 'http://172.24.4.1:22/'])).rejects.toThrow();
  const kinds = new Set((await agent.inventory()).map((resource) => resource.kind));
  expect([...kinds].sort()).toEqual(
    [
      'bridge',
      'dhcp-files',
      'dnsmasq',
      'external-bridge',
      'iptables-chain',
      'namespace',
      'nft-chain',
      'tap',
      'veth',
    ].sort(),
  );

  lab.change(
    [],
    [
      { kind: 'port', id: port.id },
      { kind: 'port', id: other.id },
      { kind: 'router', id: router.id },
      { kind: 'network', id: network.id },
      { kind: 'network', id: outer.id },
      { kind: 'security_group', id: group.id },
    ],
  );
  expect(await lab.command('ports.remove', [port.id, other.id])).toMatchObject({
    outcome: 'done',
    observed: { wired: false },
  });
  expect((await agent.inventory()).map((resource) => resource.kind)).toEqual(['external-bridge']);
  const flows = await lab.exec(['conntrack', '-L']);
  expect(flows.stdout).not.toContain('zone=');
  const rules = await lab.exec(['iptables-save']);
  expect(rules.stdout).not.toContain(port.id);
});

test('a tap is made before anything opens it, with vnet_hdr, the network MTU and the port id, and is never bridged without its rules', async () => {
  const group = securityGroup([]);
  const network = tenantNetwork();
  const port = serverPort(network, '10.0.0.5', [group.id]);
  await lab.agent();
  lab.change([group, network, port]);
  await lab.command('ports.ensure', [port.id]);
  const name = interfaceName('tap', port.id);
  const shown = await lab.exec(['ip', '-json', '-details', 'link', 'show', 'dev', name]);
  const [link] = JSON.parse(shown.stdout) as Record<string, unknown>[];
  expect(link).toMatchObject({
    ifalias: port.id,
    mtu: 1350,
    master: interfaceName('br', network.id),
    linkinfo: { info_kind: 'tun', info_data: { type: 'tap', vnet_hdr: true, persist: true } },
  });
});

test('a domain can start on a tap that is made, while nothing passes it before it is wired', async () => {
  const group = securityGroup([]);
  const network = tenantNetwork();
  const port = serverPort(network, '10.0.0.6', [group.id]);
  const name = interfaceName('tap', port.id);
  const shown = async (): Promise<string> => (await lab.exec(['ip', 'link', 'show', 'dev', name])).stdout;
  // The rules take their time: what is asked meanwhile sees a tap without a bridge.
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await lab.agent({}, async (argv, options) => {
    if (argv[0] === 'nft' && options?.input?.includes(name)) await held;
    return lab.exec(argv, options);
  });
  lab.change([group, network, port]);
  expect(await lab.command('ports.ensure', [port.id], 'made')).toMatchObject({ outcome: 'done' });
  const early = await shown();
  release();
  expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done' });
  expect(early).not.toContain('master');
  expect(await shown()).toContain(`master ${interfaceName('br', network.id)}`);
});

test('another port on a known network is wired within the boot budget', async () => {
  const group = securityGroup([rule({ protocol: 'tcp', port_range_min: 22, port_range_max: 22 })]);
  const network = tenantNetwork();
  const ports = Array.from({ length: 12 }, (_, index) => serverPort(network, `10.0.0.${index + 10}`, [group.id]));
  await lab.agent();
  lab.change([group, network]);
  const times: number[] = [];
  for (const [index, port] of ports.entries()) {
    lab.change([withHosts(network, ports.slice(0, index + 1)), port]);
    const started = performance.now();
    expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done' });
    times.push(Math.round(performance.now() - started));
  }
  console.log(`ports.ensure, ms: ${times.join(' ')}`);
  const entries = await inNamespace(lab.host)(['cat', `${lab.stateDir}/${network.id}/hosts`]);
  expect(entries.stdout.trim().split('\n')).toHaveLength(12);
});
