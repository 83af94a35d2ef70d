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
  expect((await cloud.health('controller', '/metrics')).text).toMatch(/cumulet_agents\{role="compute",state="up"\} 1/);
});

test('a configuration is checked, and an unknown key or a wrong value is refused in words', () => {
  for (const name of processNames) {
    const check = (file: string) =>
      spawnSync(process.execPath, [join(root, name, 'dist/main.js'), '--check-config', '--config', file], {
        encoding: 'utf8',
      });
    const good = check(cloud.configFile(name));
    expect([good.status, good.stdout]).toEqual([0, `${cloud.configFile(name)} is right\n`]);
    const bad = join(cloud.directory, 'bad.yaml');
    for (const [change, words] of [
      [{ colour: 'blue' }, "unknown key 'colour'"],
      [{ broker: { urls: ['amqp://me:secret@host'] } }, 'broker.urls.0'],
      [{ health: { port: 'many' } }, 'health'],
    ] as const) {
      const config = JSON.parse(readFileSync(cloud.configFile(name), 'utf8')) as object;
      execFileSync('tee', [bad], {
        input: JSON.stringify({ ...config, ...change }),
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      const answer = check(bad);
      expect([answer.status, answer.stderr]).toEqual([1, expect.stringContaining(words)]);
    }
  }
});

test('they listen where docs/operations.md says, and nowhere else', () => {
  const { ports } = cloud;
  const wanted = Object.entries(ports)
    .filter(([name]) => name !== 'controller listener')
    .map(([, port]) => `127.0.0.1:${port}`);
  expect(listening()).toEqual(wanted.sort());
  const documented = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  for (const port of [5000, 5100, 5101, 5102, 5103, 5110, 5111, 5112, 5113]) expect(documented).toContain(`${port} |`);
});

test('a server boots, answers on its floating IP, and leaves nothing behind', async () => {
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
  const during = await audit();
  expect(during.findings).toEqual([]);
  expect(during.checked.host_resources).toBeGreaterThan(3);
  await cloud.client.call('DELETE', `/network/v2.0/floatingips/${floating.id}`);
  await deleteServer(cloud.client, id);
  expect((await audit()).findings).toEqual([]);
});

test.each(processNames)(
  'kill -9 of the %s: servers go on, and a create that was under way is finished',
  async (name) => {
    const first = await createServer(cloud.client, content, `before-${name}`);
    await until(cloud.client, first, 'ACTIVE');
    const floating = await floatingIp(first);
    await answersPing(floating.address);
    const second = await createServer(cloud.client, content, `during-${name}`);
    await cloud.end(name, 'SIGKILL');
    try {
      // Guests are emulated, beside one that boots: they answer slowly.
      await answersPing(floating.address, 30);
    } finally {
      cloud.start(name);
    }
    await cloud.ready(name);
    await until(cloud.client, second, 'ACTIVE', 200);
    await answersPing(floating.address, 30);
    expect((await audit()).findings).toEqual([]);
    await cloud.client.call('DELETE', `/network/v2.0/floatingips/${floating.id}`);
    for (const id of [first, second]) await deleteServer(cloud.client, id);
    expect((await audit()).findings).toEqual([]);
  },
);

test('the broker is killed and comes back: what was asked for meanwhile is done', async () => {
  await cloud.broker.kill();
  const id = await createServer(cloud.client, content, 'without-broker');
  for (const end = Date.now() + 15_000; (await cloud.health('controller', '/readyz')).status !== 503; await pause(100))
    if (Date.now() > end) throw new Error('the controller does not miss its broker');
  await cloud.broker.start();
  await until(cloud.client, id, 'ACTIVE', 200);
  for (const name of processNames) await cloud.ready(name);
  await deleteServer(cloud.client, id);
});

test('SIGTERM ends each process cleanly, and it takes up its work again', async () => {
  const id = await createServer(cloud.client, content, 'over-a-restart');
  for (const name of processNames) {
    expect([name, await cloud.end(name)]).toEqual([name, 0]);
    cloud.start(name);
    await cloud.ready(name);
  }
  await until(cloud.client, id, 'ACTIVE', 200);
  await deleteServer(cloud.client, id);
  expect((await audit()).findings).toEqual([]);
});
