// A guest as makers of systems ship them, Debian 12 with systemd and cloud-init, on the real cloud: by the metadata service and by a config
// drive at once, with the commands that a person would type.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../support/checkout';
import { runProgram, type Run } from '../support/programs';
import { PASSWORD, startRealCloud, type RealCloud } from '../support/realCloud';
import { debianImage } from './debianImage';
import { askAll, factsOf, type GuestFacts } from './guestFacts';

jest.setTimeout(600_000);
/** Until both are up, on emulated processors. */
const BOOT_SECONDS = 300;
const directory = mkdtempSync(join(tmpdir(), 'cumulet-guests-'));
let cloud: RealCloud;

const run = (...words: string[]): Promise<Run> =>
  runProgram(process.execPath, [join(root, 'cli/dist/main.js'), ...words], directory, {
    OS_AUTH_URL: cloud.url,
    OS_USERNAME: 'admin',
    OS_PASSWORD: PASSWORD,
    OS_PROJECT_NAME: 'admin',
  });
/** The output of a command that must succeed. */
async function cumulet(...words: string[]): Promise<string> {
  const { exit, out, err } = await run(...words);
  if (exit !== 0) throw new Error(`cumulet ${words.join(' ')} ended with ${exit}: ${err}`);
  return out.trim();
}
const value = (column: string, ...words: string[]): Promise<string> => cumulet(...words, '-f', 'value', '-c', column);
interface Port {
  readonly mac_address: string;
  readonly fixed_ips: readonly { readonly ip_address: string }[];
}
async function portOf(server: string): Promise<{ id: string; mac: string; address: string; mtu: number }> {
  const id = await value('ID', 'port', 'list', '--server', server);
  const port = JSON.parse(await cumulet('port', 'show', id, '-f', 'json')) as Port;
  const mtu = Number(await value('mtu', 'network', 'show', 'lab'));
  return { id, mac: port.mac_address, address: port.fixed_ips[0]?.ip_address ?? '', mtu };
}

/** Logs in as soon as it lets somebody in, and asks. @throws Error with the end of the console's log */
async function factsFrom(server: string, neighbour: string): Promise<GuestFacts> {
  const { exit, out, err } = await run(
    'server',
    'ssh',
    '--wait',
    String(BOOT_SECONDS),
    server,
    '--',
    askAll(neighbour),
  );
  if (exit === 0) return factsOf(out);
  throw new Error(`${server}: ${out}${err}${(await cumulet('console', 'log', 'show', server)).slice(-4000)}`);
}

beforeAll(async () => {
  const image = debianImage();
  cloud = await startRealCloud();
  mkdirSync(join(directory, '.ssh'));
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, '.ssh/id_ed25519')]);
  writeFileSync(
    join(directory, 'config.yaml'),
    '#cloud-config\nwrite_files:\n- {path: /etc/mark, content: "by cloud-config"}\nruncmd:\n- [sh, -c, "id -u > /run/mark"]\n',
  );
  writeFileSync(join(directory, 'script.sh'), '#!/bin/sh\necho by script > /etc/mark\nid -u > /run/mark\n');
  const system = ['os_distro=debian', 'os_version=12'].flatMap((property) => ['--property', property]);
  await cumulet('image', 'add', '--name', 'debian', ...system, image);
  await cumulet('flavor', 'create', '--ram', '512', '--disk', '3', '--vcpus', '1', 'm1.guest');
  await cumulet('keypair', 'create', '--public-key', join(directory, '.ssh/id_ed25519.pub'), 'mine');
  const flat = ['--provider-network-type', 'flat', '--provider-physical-network', 'public'];
  await cumulet('network', 'create', '--external', ...flat, 'public');
  await cumulet('subnet', 'create', '--network', 'public', '--no-dhcp', '--subnet-range', '172.24.4.0/24', 'public');
  await cumulet('network', 'create', 'lab');
  await cumulet('subnet', 'create', '--network', 'lab', '--subnet-range', '10.31.0.0/24', 'lab');
  await cumulet('router', 'create', '--external-gateway', 'public', 'way');
  await cumulet('router', 'add', 'subnet', 'way', 'lab');
  for (const rule of [
    ['--protocol', 'icmp'],
    ['--protocol', 'tcp', '--dst-port', '22'],
  ])
    await cumulet('security', 'group', 'rule', 'create', ...rule, 'default');
  const boot = ['--image', 'debian', '--flavor', 'm1.guest', '--network', 'lab', '--key-name', 'mine', '--wait'];
  await cumulet('server', 'create', ...boot, '--user-data', join(directory, 'config.yaml'), 'by-service');
  await cumulet('server', 'create', ...boot, '--user-data', join(directory, 'script.sh'), '--config-drive', 'by-drive');
  for (const server of ['by-service', 'by-drive'])
    await cumulet('floating', 'ip', 'create', '--port', (await portOf(server)).id, 'public');
});

afterAll(async () => {
  await cloud?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.each([
  ['by-service', 'DataSourceOpenStackLocal', 'by cloud-config', 'by-drive'],
  ['by-drive', 'DataSourceConfigDrive', 'by script', 'by-service'],
])('%s', (server, source, mark, neighbour) => {
  let guest: GuestFacts;
  beforeAll(async () => void (guest = await factsFrom(server, neighbour)));

  test('cloud-init knows where it is, and ends without an error', async () => {
    const { v1 } = JSON.parse(guest.result) as { v1: { datasource: string; errors: string[] } };
    expect(v1).toEqual({ datasource: expect.stringContaining(source) as string, errors: [] });
    // By what the firmware says, or there would be nobody to ask.
    expect([guest.product, guest.vendor]).toEqual(['OpenStack Nova', 'OpenStack Foundation']);
    expect(guest.identified).toContain('DMI_PRODUCT_NAME=OpenStack Nova');
    const id = await value('id', 'server', 'show', server);
    expect([guest.uuid, guest.instance]).toEqual([id, id]);
  });

  test('it has its name, its user data, and whom it lets in', () => {
    expect(guest).toMatchObject({ hostname: server, user: 'debian', mark, markedBy: '0' });
  });

  test('its network is that of its port', async () => {
    const { mac, address, mtu } = await portOf(server);
    const links = JSON.parse(guest.links) as {
      readonly ifname: string;
      readonly mtu: number;
      readonly addr_info: readonly { readonly local: string }[];
    }[];
    const cards = links.filter(({ ifname }) => ifname !== 'lo');
    expect(cards).toMatchObject([{ mtu, addr_info: [{ local: address }] }]);
    expect(guest.network).toContain(mac);
  });

  test("the resolver of its network knows its neighbour's name", async () => {
    const { address } = await portOf(neighbour);
    expect(guest.neighbour).toMatch(new RegExp(`^${address} `));
    expect(guest.ping).toContain(' 0% packet loss');
  });

  test('its root has grown to the flavor', () => {
    expect(Number(guest.disk) * 512).toBe(3 * 1024 ** 3);
    expect(Number(guest.filesystem) * 512).toBeGreaterThan(2.6 * 1024 ** 3);
  });

  test('it has entropy, a clock in UTC and the serial console', async () => {
    expect(guest.entropy).toMatch(/^virtio_rng/);
    expect(guest.clock).toBe('Timezone=Etc/UTC\nLocalRTC=no');
    expect(Math.abs(Number(guest.time) - Date.now() / 1000)).toBeLessThan(600);
    const log = await cumulet('console', 'log', 'show', server);
    expect(log).toContain('Linux version');
    expect(log).toMatch(/Cloud-init v\. \S+ finished/);
    expect(log).toContain(`${server} login:`);
  });
});

test('a flavor that is too small is refused with both sizes', async () => {
  await cumulet('flavor', 'create', '--ram', '512', '--disk', '1', '--vcpus', '1', 'm1.small');
  const { exit, err } = await run(
    ...['server', 'create', '--image', 'debian', '--flavor', 'm1.small', '--network', 'lab', 'small'],
  );
  expect(exit).toBe(1);
  expect(err).toMatch(/Flavor disk is 1073741824 bytes, image is 13\d{8} bytes/);
});
