// The cloud as separate processes: a real server on it, its floating IP, kill -9 of each process, and who listens where.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { root } from '../support/checkout';
import { processNames, startProcessCloud, type ProcessCloud } from '../support/processCloud';
import { createServer, deleteServer, makeContent, until, type Content } from '../support/realCloud';
import { tinyImage } from '../support/tinyImage';

jest.setTimeout(240_000);

let cloud: ProcessCloud;
let content: Content;
let external: string;

beforeAll(async () => {
  cloud = await startProcessCloud();
  content = await makeContent(cloud.client, tinyImage());
  const { network } = await cloud.client.call<{ network: { id: string } }>('POST', '/network/v2.0/networks', {
    network: {
      name: 'public',
      'router:external': true,
      'provider:network_type': 'flat',
      'provider:physical_network': 'public',
    },
  });
  external = network.id;
  await cloud.client.call('POST', '/network/v2.0/subnets', {
    subnet: {
      network_id: external,
      ip_version: 4,
      cidr: '172.24.4.0/24',
      gateway_ip: '172.24.4.1',
      enable_dhcp: false,
    },
  });
  const { router } = await cloud.client.call<{ router: { id: string } }>('POST', '/network/v2.0/routers', {
    router: { name: 'edge', external_gateway_info: { network_id: external } },
  });
  const { subnets } = await cloud.client.call<{ subnets: { id: string }[] }>(
    'GET',
    `/network/v2.0/subnets?network_id=${content.network}`,
  );
  await cloud.client.call('PUT', `/network/v2.0/routers/${router.id}/add_router_interface`, {
    subnet_id: subnets[0]?.id,
  });
  const groups = await cloud.client.call<{ security_groups: { id: string }[] }>(
    'GET',
    '/network/v2.0/security-groups?name=default',
  );
  await cloud.client.call('POST', '/network/v2.0/security-group-rules', {
    security_group_rule: {
      security_group_id: groups.security_groups[0]?.id,
      direction: 'ingress',
      protocol: 'icmp',
      remote_ip_prefix: '0.0.0.0/0',
    },
  });
});
afterAll(() => cloud?.stop());

/** A floating IP on a server's port. */
async function floatingIp(serverId: string): Promise<{ id: string; address: string }> {
  const { ports } = await cloud.client.call<{ ports: { id: string }[] }>(
    'GET',
    `/network/v2.0/ports?device_id=${serverId}`,
  );
  const { floatingip } = await cloud.client.call<{ floatingip: { id: string; floating_ip_address: string } }>(
    'POST',
    '/network/v2.0/floatingips',
    { floatingip: { floating_network_id: external, port_id: ports[0]?.id } },
  );
  return { id: floatingip.id, address: floatingip.floating_ip_address };
}
async function answersPing(address: string, seconds = 90): Promise<void> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(500))
    if (spawnSync('ping', ['-n', '-c', '1', '-W', '1', address]).status === 0) return;
  throw new Error(`${address} does not answer`);
}
interface Audit {
  checked: { hosts: number; servers: number; host_resources: number };
  findings: { message: string }[];
}
/** The audit's words, after the agents had time to follow. */
async function audit(): Promise<Audit> {
  let found: Audit = { checked: { hosts: 0, servers: 0, host_resources: 0 }, findings: [] };
  for (const end = Date.now() + 30_000; Date.now() < end; await pause(500)) {
    found = await cloud.client.call<Audit>('GET', '/cumulet/v1/audit');
    if (found.findings.length === 0) break;
  }
  return found;
}

/** Sockets that a process or its children listen on in the host's network namespace: "address:port". */
function listening(): string[] {
  const namespace = readlinkSync('/proc/self/ns/net');
  const inodes = new Set<string>();
  const wanted = new Set<number>(processNames.map((name) => cloud.pid(name)));
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = new Map<number, number>();
  for (const pid of processes) {
    try {
      const parent = / \w (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ''))?.[1];
      parents.set(Number(pid), Number(parent));
    } catch {
      // It ended meanwhile.
    }
  }
  const isOurs = (pid: number): boolean => wanted.has(pid) || (parents.has(pid) && isOurs(parents.get(pid) ?? 0));
  for (const pid of parents.keys()) {
    try {
      if (!isOurs(pid) || readlinkSync(`/proc/${pid}/ns/net`) !== namespace) continue;
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode) inodes.add(inode);
      }
    } catch {
      // It ended meanwhile.
    }
  }
  const lines = execFileSync('ss', ['-H', '-n', '-l', '-t', '-u', '-e'], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => inodes.has(/ ino:(\d+)/.exec(line)?.[1] ?? ''))
    .map((line) => line.trim().split(/\s+/)[4] ?? '')
    .sort();
}

test('each process is ready, counts, and says what it lacks', async () => {
  for (const name of processNames) {
    expect(await cloud.health(name, '/healthz')).toMatchObject({ status: 200 });
    const { text } = await cloud.health(name, '/metrics');
    expect(text).toContain('process_resident_memory_bytes');
    expect((await cloud.health(name, '/etc')).status).toBe(404);
  }
  for (const name of ['controller-1', 'controller-2'] as const)
    expect((await cloud.health(name, '/metrics')).text).toMatch(/cumulet_agents\{role="compute",state="up"\} 1/);
});

test('they listen where docs/operations.md says, and nowhere else', () => {
  const { ports } = cloud;
  const wanted = Object.values(ports).map((port) => `127.0.0.1:${port}`);
  expect(listening()).toEqual(wanted.sort());
  const documented = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  for (const port of [5000, 5100, 5101, 5102, 5103, 5110, 5111, 5112, 5113]) expect(documented).toContain(`${port} |`);
});

test('a server boots, answers on its floating IP, and leaves nothing behind', async () => {
  const promise = await cloud.client.request('PATCH', `/image/v2/images/${content.image}`, {
    body: JSON.stringify([{ op: 'add', path: '/hw_qemu_guest_agent', value: 'yes' }]),
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
  });
  expect(promise.status).toBe(200);
  const id = await createServer(cloud.client, content, 'hello');
  await until(cloud.client, id, 'ACTIVE');
  const floating = await floatingIp(id);
  await answersPing(floating.address);
  // The router answers for a floating address before its rules send pings on to the guest.
  const consoleOf = async (): Promise<string> => {
    const action = { 'os-getConsoleOutput': {} };
    return (await cloud.client.call<{ output: string }>('POST', `/compute/v2.1/servers/${id}/action`, action)).output;
  };
  for (const end = Date.now() + 60_000; Date.now() < end && !(await consoleOf()).includes('TINY');) await pause(500);
  expect(await consoleOf()).toContain('TINY');
  // What controllers ask the agent directly, over its listener.
  expect(await cloud.client.call('GET', `/compute/v2.1/servers/${id}/diagnostics`)).toMatchObject({
    driver: 'libvirt',
    num_cpus: 1,
    num_nics: 1,
  });
  const password = { changePassword: { adminPass: 'secret' } };
  await expect(cloud.client.call('POST', `/compute/v2.1/servers/${id}/action`, password)).rejects.toThrow(
    /409.*the agent in the guest does not answer/,
  );
  const during = await audit();
  expect(during.findings).toEqual([]);
  expect(during.checked.host_resources).toBeGreaterThan(3);
  await cloud.client.call('DELETE', `/network/v2.0/floatingips/${floating.id}`);
  await deleteServer(cloud.client, id);
  expect((await audit()).findings).toEqual([]);
});

describe('whatever happens to the processes', () => {
  let first: string;
  let floating: { id: string; address: string };
  /** Servers by what was done to the cloud while they were made. */
  const underWay = new Map<string, string>();
  const ask = async (during: string): Promise<void> => {
    underWay.set(during, await createServer(cloud.client, content, during));
  };

  beforeAll(async () => {
    first = await createServer(cloud.client, content, 'before');
    await until(cloud.client, first, 'ACTIVE');
    floating = await floatingIp(first);
    await answersPing(floating.address);
  });

  test.each(processNames)('servers go on over kill -9 of the %s', async (name) => {
    await ask(`kill-${name}`);
    await cloud.end(name, 'SIGKILL');
    try {
      // Guests are emulated, beside others that boot: they answer slowly.
      await answersPing(floating.address, 30);
    } finally {
      cloud.start(name);
    }
    await cloud.ready(name);
    await answersPing(floating.address, 30);
  });

  test('the broker may be killed and come back', async () => {
    await cloud.broker.kill();
    await ask('without-broker');
    for (
      const end = Date.now() + 15_000;
      (await cloud.health('controller-1', '/readyz')).status !== 503;
      await pause(100)
    )
      if (Date.now() > end) throw new Error('the controller does not miss its broker');
    await cloud.broker.start();
    for (const name of processNames) await cloud.ready(name);
  });

  test('SIGTERM ends each process cleanly', async () => {
    await ask('over-a-restart');
    for (const name of processNames) {
      expect([name, await cloud.end(name)]).toEqual([name, 0]);
      cloud.start(name);
      await cloud.ready(name);
    }
  });

  test('what was asked for meanwhile is done, and nothing is left behind', async () => {
    for (const id of underWay.values()) await until(cloud.client, id, 'ACTIVE', 200);
    await answersPing(floating.address, 30);
    expect((await audit()).findings).toEqual([]);
    await cloud.client.call('DELETE', `/network/v2.0/floatingips/${floating.id}`);
    await Promise.all([first, ...underWay.values()].map((id) => deleteServer(cloud.client, id)));
    expect((await audit()).findings).toEqual([]);
  });
});
