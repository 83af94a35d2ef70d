// Routers on the kernel: who gets through from where, what a change of a floating IP ends, and routes beyond the subnets.
import { randomUUID } from 'node:crypto';
import type { NetworkState, RouterState } from '@cumulet/common';
import {
  labForEach,
  inNamespace,
  pings,
  rule,
  securityGroup,
  serverPort,
  tenantNetwork,
  type Guest,
  type NetworkLab,
} from '../../support/networkLab';

let lab: NetworkLab;
labForEach((made) => (lab = made));

const group = securityGroup([rule({})]);
const external = { bridge: 'cml-ext', address: '172.24.4.1/24' };

interface Stage {
  readonly guest: Guest;
  readonly router: RouterState;
  readonly outer: NetworkState;
  readonly inner: NetworkState;
  /** Changes the router and waits until the host follows. */
  readonly change: (next: Partial<RouterState>) => Promise<void>;
}

async function stage(over: Partial<RouterState> = {}): Promise<Stage> {
  await lab.agent({ external, physical_networks: { public: 'cml-ext' } });
  const inner = tenantNetwork();
  const outer = tenantNetwork('172.24.4.0/24', {
    attachment: { type: 'physical', physical_network: 'public' },
    dhcp: null,
  });
  const own = serverPort(inner, '10.0.0.5', [group.id]);
  const port = { ...own, allowed_address_pairs: [{ ip_address: '192.0.2.0/24', mac_address: own.mac }] };
  const router: RouterState = {
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
    floating_ips: [],
    routes: [],
    ...over,
  };
  lab.change([group, inner, outer, port, router]);
  const guest = await lab.guest(port, { gateway: '10.0.0.1' });
  const settled = async (): Promise<void> => {
    expect(await lab.command('ports.ensure', [port.id])).toMatchObject({ outcome: 'done', fault: null });
  };
  await settled();
  const change = async (next: Partial<RouterState>): Promise<void> => {
    lab.change([{ ...router, ...next }]);
    await settled();
  };
  return { guest, router, outer, inner, change };
}

const hostPings = (address: string): Promise<boolean> => pings({ run: lab.exec }, address);

test('behind SNAT a guest reaches out, but nobody outside reaches its inner address by routing to it', async () => {
  const { guest, router, change } = await stage();
  expect(await pings(guest, '172.24.4.1')).toBe(true);
  await lab.exec(['ip', 'route', 'add', '10.0.0.0/24', 'via', '172.24.4.10']);
  expect(await hostPings('10.0.0.5')).toBe(false);
  const { gateway } = router;
  if (!gateway) throw new Error('no gateway');
  await change({ gateway: { ...gateway, enable_snat: false } });
  expect(await hostPings('10.0.0.5')).toBe(true);
});

test('a floating IP that is taken away or moved ends the flows that used it', async () => {
  const floating = { id: randomUUID(), floating_address: '172.24.4.20', fixed_address: '10.0.0.5' };
  const { router, change } = await stage({ floating_ips: [floating] });
  expect(await hostPings('172.24.4.20')).toBe(true);
  const flows = async (): Promise<string> =>
    (await inNamespace(`${lab.prefix}-router-${router.id}`)(['conntrack', '-L'])).stdout;
  expect(await flows()).toContain('172.24.4.20');
  await change({ floating_ips: [] });
  expect(await flows()).not.toContain('172.24.4.20');
  expect(await hostPings('172.24.4.20')).toBe(false);
  await change({ floating_ips: [{ ...floating, floating_address: '172.24.4.21' }] });
  expect(await hostPings('172.24.4.21')).toBe(true);
});

test('an extra route leads to what is behind a guest, and goes away with it', async () => {
  const { guest, router, change } = await stage();
  await guest.run(['ip', 'addr', 'add', '192.0.2.7/32', 'dev', 'lo']);
  const inRouter = inNamespace(`${lab.prefix}-router-${router.id}`);
  const routes = async (): Promise<string> => (await inRouter(['ip', 'route', 'show'])).stdout;
  await change({ routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.5' }] });
  expect(await pings({ run: inRouter }, '192.0.2.7')).toBe(true);
  await change({ routes: [] });
  expect(await routes()).not.toContain('192.0.2.0/24');
  expect(await routes()).toContain('default via 172.24.4.1');
});

test('a router without its gateway keeps its networks joined and nothing else', async () => {
  const { guest, change } = await stage();
  await change({ gateway: null });
  expect(await pings(guest, '10.0.0.1')).toBe(true);
  expect(await pings(guest, '172.24.4.1')).toBe(false);
});

test('a router that is administratively down is not there', async () => {
  const { guest, change } = await stage();
  expect(await pings(guest, '10.0.0.1')).toBe(true);
  await change({ admin_state_up: false });
  expect(await pings(guest, '10.0.0.1')).toBe(false);
});

test('guests reach the host on the external bridge by ICMP only, on whatever address of it', async () => {
  const { guest } = await stage();
  await lab.exec(['ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo']);
  const listener = lab
    .exec(['python3', '-c', 'import socket; s = socket.create_server(("", 8080)); s.settimeout(6); s.accept()'])
    .then(
      () => 'reached',
      () => 'not reached',
    );
  expect(await pings(guest, '192.0.2.1')).toBe(true);
  for (const address of ['172.24.4.1', '192.0.2.1']) {
    await expect(guest.run(['curl', '-s', '-m', '1', `http://${address}:8080/`])).rejects.toThrow('exit code 28');
  }
  expect(await listener).toBe('not reached');
});

test("other people's containers on this host are reached only as the host's own rules allow", async () => {
  await lab.exec(['iptables', '-P', 'FORWARD', 'DROP']);
  for (const [name, peer, address] of [
    ['docker0', 'containers', '192.0.2.1/24'],
    ['', 'uplink', '198.51.100.1/24'],
  ] as const) {
    const other = await lab.namespace(`${lab.prefix}-${peer}`);
    const inOther = inNamespace(other);
    await lab.exec(['ip', 'link', 'add', `v-${peer}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other]);
    const device = name === '' ? `v-${peer}` : name;
    if (name !== '') {
      await lab.exec(['ip', 'link', 'add', name, 'type', 'bridge']);
      await lab.exec(['ip', 'link', 'set', 'dev', `v-${peer}`, 'master', name]);
    }
    await lab.exec(['ip', 'addr', 'add', address, 'dev', device]);
    await lab.exec(['ip', 'link', 'set', 'dev', `v-${peer}`, 'up']);
    await lab.exec(['ip', 'link', 'set', 'dev', device, 'up']);
    await inOther(['ip', 'addr', 'add', address.replace('.1/', '.9/'), 'dev', 'eth0']);
    await inOther(['ip', 'link', 'set', 'dev', 'eth0', 'up']);
    await inOther(['ip', 'route', 'add', 'default', 'via', address.replace('/24', '')]);
  }
  const { guest } = await stage();
  // The uplink answers though the host drops what it forwards by default: our guests' way out is ours to open.
  expect(await pings(guest, '198.51.100.9')).toBe(true);
  expect(await pings(guest, '192.0.2.9')).toBe(false);
  await lab.exec(['iptables', '-A', 'FORWARD', '-o', 'docker0', '-j', 'ACCEPT']);
  expect(await pings(guest, '192.0.2.9')).toBe(true);
});
