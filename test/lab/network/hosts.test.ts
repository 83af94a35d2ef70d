// Networks between three hosts: who reaches whom over VXLAN, what stays local, and routers that move when their host dies.
import { readdir } from 'node:fs/promises';
import { systemClock } from '@cumulet/common';
import { routers } from '../../../controller/src/db/entities/network';
import { hosts as hostRows } from '../../../controller/src/db/entities/tasks';
import { bridgeName, vxlanName } from '../../../network-agent/src/names';
import { watch } from '../../support/frames';
import { createHostLab, UNDERLAY_MTU, until, type HostLab, type LabGuest, type LabHost } from '../../support/hostLab';
import { leaseOf, pings, succeeds } from '../../support/networkLab';

let lab: HostLab;
let began: number;

const hostsOf = (): readonly [LabHost, LabHost, LabHost] => lab.hosts;

beforeEach(async () => {
  lab = await createHostLab();
  began = Date.now();
  // Everybody may be pinged by everybody, so that a ping that fails says something about the network.
  for (const project of ['demo', 'other']) {
    const { body } = await lab.calls.call('GET', '/security-groups', undefined, project);
    const rule = { security_group_id: body.security_groups[0].id, direction: 'ingress', protocol: 'icmp' };
    await lab.calls.make('/security-group-rules', 'security_group_rule', rule, project);
  }
});
afterEach(() => lab.close());

/** A network with the subnet 10.0.0.0/24. */
async function spanning(project = 'demo'): Promise<{ id: string; subnet: string; mtu: number; vni: number }> {
  const network = await lab.calls.network({}, project);
  const subnet = await lab.calls.subnet(network.id, {}, project);
  const { body } = await lab.calls.call('GET', `/networks/${network.id}`, undefined, 'admin');
  return { id: network.id, subnet: subnet.id, mtu: network.mtu, vni: body.network['provider:segmentation_id'] };
}

/** Where a host's table says that an address is: peers by MAC, broadcasts under zeros. */
async function forwarding(host: LabHost, networkId: string): Promise<string[]> {
  const { stdout } = await host.exec(['bridge', '-json', 'fdb', 'show', 'dev', vxlanName(networkId)]);
  const rows = JSON.parse(stdout || '[]') as { mac: string; dst?: string }[];
  return rows.flatMap(({ mac, dst }) => (dst === undefined ? [] : [`${mac} ${dst}`])).sort();
}

/** Whether a host has nothing of a network any more. */
const without = async (host: LabHost, networkId: string): Promise<boolean> =>
  !(await succeeds(host.exec, ['ip', 'link', 'show', 'dev', bridgeName(networkId)]));

const FLOOD = '00:00:00:00:00:00';

test('guests on three hosts reach each other, and each host sends only to those that have the network', async () => {
  const [one, two, three] = hostsOf();
  const net = await spanning();
  expect(net.mtu).toBe(UNDERLAY_MTU - 50);
  const a = await lab.guest(one, net.id);
  expect(await succeeds(one.exec, ['ip', 'link', 'show', 'dev', vxlanName(net.id)])).toBe(false);
  const b = await lab.guest(two, net.id);
  await until('both know each other', async () => (await forwarding(one, net.id)).length === 2);
  expect(await forwarding(one, net.id)).toEqual([`${FLOOD} ${two.underlay}`, `${b.mac} ${two.underlay}`]);
  expect(await pings(a, b.address)).toBe(true);
  const c = await lab.guest(three, net.id);
  await until('the third is known', async () => (await forwarding(one, net.id)).length === 4);
  expect(await pings(a, c.address)).toBe(true);
  expect(await pings(c, b.address)).toBe(true);
  // As large as the network's MTU allows, in one packet.
  expect(await succeeds(a.run, ['ping', '-c', '1', '-W', '2', '-M', 'do', '-s', String(net.mtu - 28), b.address])).toBe(
    true,
  );
  await lab.remove(b);
  await lab.remove(c);
  await until('the last peer is gone', async () => {
    return !(await succeeds(one.exec, ['ip', 'link', 'show', 'dev', vxlanName(net.id)]));
  });
  await until('its rules are gone', async () => !(await one.exec(['iptables-save'])).stdout.includes('4789'));
  for (const host of [two, three]) await until('its bridge is gone', () => without(host, net.id));
});

test('DHCP and metadata are answered by each host itself and never leave it', async () => {
  const [one, two] = hostsOf();
  const net = await spanning();
  const a = await lab.guest(one, net.id);
  const b = await lab.guest(two, net.id);
  await until(
    'tunnels',
    async () => (await forwarding(one, net.id)).length + (await forwarding(two, net.id)).length === 4,
  );
  const ports = await lab.calls.call('GET', `/ports?device_owner=network:dhcp&network_id=${net.id}`);
  const server = ports.body.ports[0].fixed_ips[0].ip_address as string;
  const wire = await lab.wire();
  for (const guest of [a, b]) {
    expect(await leaseOf(guest)).toMatchObject({ yiaddr: guest.address, mtu: net.mtu, server_id: server });
    expect(await pings(guest, server)).toBe(true);
    await guest.run(['ip', 'route', 'add', '169.254.169.254/32', 'via', server]);
    const { stdout } = await guest.run(['curl', '-s', '-m', '5', 'http://169.254.169.254/openstack']);
    expect(stdout).toContain(guest.address);
  }
  expect(lab.asked).toEqual([`${one.name} ${a.address}`, `${two.name} ${b.address}`]);
  // A guest that asks on its own link, as those do that don't know the way.
  await a.run(['ip', 'route', 'replace', '169.254.169.254/32', 'dev', 'eth0']);
  expect(await succeeds(a.run, ['curl', '-s', '-m', '5', 'http://169.254.169.254/openstack'])).toBe(true);
  expect(await pings(a, b.address)).toBe(true);
  await until('the ping on the wire', () => Promise.resolve(wire.text().includes('echo reply')));
  wire.stop();
  const count = (pattern: RegExp): number => (wire.text().match(pattern) ?? []).length;
  expect(count(/BOOTP\/DHCP/g)).toBe(0);
  expect(count(new RegExp(`${server.replaceAll('.', '\\.')}\\b`, 'g'))).toBe(0);
  expect(count(/169\.254\.169\.254/g)).toBe(0);
  expect(count(/echo request/g)).toBeGreaterThan(0);
});

test('two tenants with the same subnet on the same hosts never meet', async () => {
  const [one, two] = hostsOf();
  const [mine, theirs] = [await spanning('demo'), await spanning('other')];
  const a = await lab.guest(one, mine.id, 'demo');
  const b = await lab.guest(two, mine.id, 'demo');
  const x = await lab.guest(one, theirs.id, 'other');
  const y = await lab.guest(two, theirs.id, 'other');
  await until('tunnels', async () => (await forwarding(one, theirs.id)).length === 2);
  expect(await pings(a, b.address)).toBe(true);
  expect(await pings(x, y.address)).toBe(true);
  const free = ['10.0.0.240', '10.0.0.241'] as const;
  await lab.calls.call(
    'PUT',
    `/ports/${y.portId}`,
    {
      port: { allowed_address_pairs: [{ ip_address: free[0] }] },
    },
    'other',
  );
  await y.run(['ip', 'addr', 'add', `${free[0]}/24`, 'dev', 'eth0']);
  await until('the extra address', () => pings(x, free[0]));
  expect(await pings(a, free[0])).toBe(false);
});

test('VXLAN from an address that is no host of the network is dropped', async () => {
  const [one, two, three] = hostsOf();
  const net = await spanning();
  const a = await lab.guest(one, net.id);
  await lab.guest(two, net.id);
  await until('tunnels', async () => (await forwarding(one, net.id)).length === 2);
  const stranger = await lab.stranger('10.50.0.66');
  const listening = await watch(a);
  const inner = `Ether(src="fa:16:3e:77:77:77",dst="${a.mac}")/IP(src="10.0.0.77",dst="${a.address}")/ICMP()`;
  const inject = (tag: string): string[] => {
    const outer = `IP(dst="${one.underlay}")/UDP(sport=50000,dport=4789)/VXLAN(vni=${net.vni},flags=8)`;
    return ['python3', '-c', `from scapy.all import *; send(${outer}/${inner}/Raw(b"TAG-${tag};"), verbose=0)`];
  };
  await stranger(inject('stranger'));
  await three.exec(inject('hostwithoutthenetwork'));
  await two.exec(inject('peer'));
  expect(await listening.until('peer')).toEqual([]);
});

test('a server that moves to another host is reached there at once, and nothing goes to the old host', async () => {
  const [one, two, three] = hostsOf();
  const net = await spanning();
  const a = await lab.guest(one, net.id);
  const before = await lab.guest(two, net.id);
  await until('tunnels', async () => (await forwarding(one, net.id)).length === 2);
  expect(await pings(a, before.address)).toBe(true);
  const after = await lab.move(before, three);
  const started = Date.now();
  const moved = [`${FLOOD} ${three.underlay}`, `${after.mac} ${three.underlay}`];
  await until('entries follow', async () => (await forwarding(one, net.id)).join() === moved.join(), 5);
  await until('an answer', () => succeeds(a.run, ['ping', '-c', '1', '-W', '1', after.address]), 5);
  process.stdout.write(`reached on its new host ${Date.now() - started} ms after it was wired there\n`);
  const wire = await lab.wire();
  expect(await pings(a, after.address)).toBe(true);
  await until('the ping on the wire', () => Promise.resolve(wire.text().includes('echo reply')));
  wire.stop();
  expect(wire.text()).not.toContain(`> ${two.underlay}.4789`);
  await until('the old host has nothing of it', () => without(two, net.id));
});

describe('a router with a floating IP', () => {
  interface Stage {
    readonly router: string;
    readonly floating: string;
    readonly guests: readonly LabGuest[];
    readonly remove: () => Promise<void>;
  }

  async function stage(): Promise<Stage> {
    const { make, call, subnet, router } = lab.calls;
    const physical = { 'provider:network_type': 'flat', 'provider:physical_network': 'lan', 'router:external': true };
    const outer = await make('/networks', 'network', { name: 'lan', ...physical }, 'admin');
    await subnet(outer.id, { cidr: '203.0.113.0/24', enable_dhcp: false }, 'admin');
    const net = await spanning();

    const guests: LabGuest[] = [];
    for (const host of lab.hosts) guests.push(await lab.guest(host, net.id));
    const gate = await router({ external_gateway_info: { network_id: outer.id } });
    await call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: net.subnet });
    const at = await hostOf(gate.id);
    const elsewhere = guests.find((_, index) => lab.hosts[index]?.name !== at);
    const floating = await make('/floatingips', 'floatingip', {
      floating_network_id: outer.id,
      port_id: elsewhere?.portId,
    });
    return {
      router: gate.id,
      floating: floating.floating_ip_address,
      guests,
      remove: async () => {
        await call('DELETE', `/floatingips/${floating.id}`);
        await call('PUT', `/routers/${gate.id}/remove_router_interface`, { subnet_id: net.subnet });
        await call('DELETE', `/routers/${gate.id}`);
        for (const guest of guests) await lab.remove(guest);
      },
    };
  }

  async function hostOf(routerId: string): Promise<string> {
    const rows = await lab.cloud.cloud.db.read((session) => session.find(routers, { where: { id: routerId } }));
    return rows[0]?.host ?? '';
  }

  const copies = async (routerId: string): Promise<string[]> => {
    const names = await readdir('/run/netns');
    return lab.hosts.filter(({ prefix }) => names.includes(`${prefix}-router-${routerId}`)).map(({ name }) => name);
  };

  const reached = (address: string): Promise<boolean> => succeeds(lab.outside, ['ping', '-c', '1', '-W', '1', address]);

  test('serves guests on other hosts; when its host dies it moves, and the old copy goes when the host is back', async () => {
    const { router, floating, guests, remove } = await stage();
    for (const guest of guests) await until('the way out', () => pings(guest, '203.0.113.1'));
    await until('the floating IP', () => reached(floating));
    const [first = ''] = await copies(router);
    expect(first).toBe(await hostOf(router));
    const dead = lab.hosts.find(({ name }) => name === first);
    const alive = guests.filter((_, index) => lab.hosts[index] !== dead);
    // The watch judges only after it has heard the hosts for a whole time-out.
    await systemClock.sleep(Math.max(0, began + 11_000 - Date.now()));
    await dead?.die();
    const died = Date.now();
    expect(await reached(floating)).toBe(false);
    await until('traffic through another host', () => reached(floating), 40);
    const seconds = (Date.now() - died) / 1000;
    process.stdout.write(`traffic by the floating IP was back ${seconds.toFixed(1)} s after the router's host died\n`);
    expect(seconds).toBeLessThan(30);
    for (const guest of alive) await until('the way out', () => pings(guest, '203.0.113.1'), 5);
    expect((await copies(router)).sort()).toEqual([first, await hostOf(router)].sort());
    await dead?.revive();
    expect(await copies(router)).toEqual([await hostOf(router)]);
    for (const guest of guests) await until('the way out', () => pings(guest, '203.0.113.1'), 5);
    expect(await reached(floating)).toBe(true);
    await remove();
    for (const host of lab.hosts)
      await until(`nothing left on ${host.name}`, async () => (await host.agent.inventory()).length === 0);
  });

  test('is answered for by one host at any moment while its host is cut off from the controllers only', async () => {
    const { router, floating, guests, remove } = await stage();
    await until('the floating IP', () => reached(floating));
    const first = await hostOf(router);
    const lost = lab.hosts.find(({ name }) => name === first);
    const [local] = guests.filter((_, index) => lab.hosts[index] === lost);
    const [other] = guests.filter((_, index) => lab.hosts[index] !== lost);
    const askOnce = async (): Promise<void> => {
      const answers = await lab.arpAnswers();
      await lab.outside(['arping', '-q', '-b', '-c', '1', '-w', '1', '-I', 'lan', floating]).catch(() => undefined);
      // A second copy would answer as fast as the first.
      await systemClock.sleep(200);
      answers.stop();
      rounds.push(answers.text().split('\n').filter(Boolean).length);
    };
    const rounds: number[] = [];
    await systemClock.sleep(Math.max(0, began + 11_000 - Date.now()));
    lost?.cutOff(true);
    const started = Date.now();
    while ((await hostOf(router)) === first) await askOnce();
    const moved = Date.now() - started;
    for (let more = 0; more < 5 || (more < 40 && rounds.at(-1) !== 1); more++) await askOnce();
    process.stdout.write(
      `cut off: the router moved after ${(moved / 1000).toFixed(1)} s, was answered for again after ` +
        `${((Date.now() - started) / 1000).toFixed(1)} s; ARP answers by round: ${rounds.join(' ')}\n`,
    );
    expect(Math.max(...rounds)).toBe(1);
    await until('the floating IP', () => reached(floating), 10);
    if (!local || !other || !lost) throw new Error('no guests');
    // What the host's guests need of it is as before: the router within the network, and each other.
    expect(await pings(local, local.address.replace(/\d+$/, '1'))).toBe(true);
    expect(await pings(local, other.address)).toBe(true);
    lost.cutOff(false);
    await until('the old copy is gone', async () => (await copies(router)).join() === (await hostOf(router)));
    for (const guest of guests) await until('the way out', () => pings(guest, '203.0.113.1'), 10);
    await remove();
  });

  test('is in service again where no host took it, and never goes out of service where none could', async () => {
    const { router, floating, remove } = await stage();
    await until('the floating IP', () => reached(floating));
    const first = await hostOf(router);
    const lost = lab.hosts.find(({ name }) => name === first);
    // Two heartbeats tell it.
    await systemClock.sleep(4_500);
    // The host's agent was told that others could take the router, and does not hear that they can't any more.
    lost?.cutOff(true);
    for (const { name } of lab.hosts)
      if (name !== first)
        await lab.cloud.cloud.db.write((session) => session.update(hostRows, { name }, { enabled: false }));
    await until('the end of it', async () => !(await reached(floating)));
    lost?.cutOff(false);
    await until('the floating IP', () => reached(floating), 10);
    expect(await hostOf(router)).toBe(first);
    // Two heartbeats tell it.
    await systemClock.sleep(4_500);
    lost?.cutOff(true);
    const end = Date.now() + 13_000;
    while (Date.now() < end) expect(await reached(floating)).toBe(true);
    lost?.cutOff(false);
    expect(await hostOf(router)).toBe(first);
    await remove();
  });

  test('leaves a host that is disabled', async () => {
    const { router, floating } = await stage();
    await until('the floating IP', () => reached(floating));
    const first = await hostOf(router);
    await lab.cloud.cloud.db.write((session) => session.update(hostRows, { name: first }, { enabled: false }));
    await until('the move', async () => (await hostOf(router)) !== first);
    await until('one copy', async () => (await copies(router)).join() === (await hostOf(router)));
    await until('the floating IP', () => reached(floating), 5);
  });
});
