// What `up` chooses by itself: external addresses, quotas, the words of errors and of the last screen.
import { externalPrefix } from '../../../cli/src/up/configure';
import { contains, usedNetworks } from '../../../cli/src/up/freeNetwork';
import { lastScreen, rows } from '../../../cli/src/up/screen';
import { errorMessage } from '../../../cli/src/http';
import { machineQuota } from '../../../cli/src/up/tenancy';

test.each([
  [
    'nothing in the way',
    [
      { dst: 'default', dev: 'eth0' },
      { dst: '10.0.0.0/8', dev: 'eth0' },
    ],
    '172.24.4',
  ],
  ['our own bridge of an earlier run', [{ dst: '172.24.4.0/24', dev: 'cml-ext' }], '172.24.4'],
  ['the same network', [{ dst: '172.24.4.0/24', dev: 'eth1' }], '172.24.5'],
  ['one host in it', [{ dst: '172.24.4.7', dev: 'eth1' }], '172.24.5'],
  ['a wider network around it', [{ dst: '172.24.0.0/21', dev: 'eth1' }], '172.24.8'],
  ['all of the usual ones taken', [{ dst: '172.16.0.0/12', dev: 'wg0' }], '10.231.128'],
  ["a corporation's VPN", ['172.16.0.0/12', '10.0.0.0/8'].map((dst) => ({ dst, dev: 'tun0' })), '192.168.128'],
  [
    'a VPN that takes over the default route',
    ['0.0.0.0/1', '128.0.0.0/1'].map((dst) => ({ dst, dev: 'tun0' })),
    '172.24.4',
  ],
])('external addresses with %s', (_, routes, prefix) => {
  expect(externalPrefix(routes).prefix).toBe(prefix);
});

test('another external network is explained by the route it avoids', () => {
  expect(externalPrefix([{ dst: '172.24.0.0/22', dev: 'eth1' }])).toEqual({ prefix: '172.24.4' });
  expect(externalPrefix([{ dst: '172.24.4.0/22', dev: 'vpn0' }]).reason).toMatch(
    /172\.24\.8\.0\/24.*172\.24\.4\.0\/22 of vpn0/,
  );
  // As a blackhole route, which leads to no interface.
  expect(externalPrefix([{ dst: '172.24.4.0/24' }]).reason).toMatch(/172\.24\.4\.0\/24 of this machine/);
});

test('no free external network is said in words', () => {
  const used = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((dst) => ({ dst, dev: 'eth0' }));
  expect(() => externalPrefix(used)).toThrow(/meets a route of this machine: set external_address/);
});

test.each([
  [2, 4096, { cores: 16, ram: 3200, instances: 25 }],
  [64, 1_048_576, { cores: 512, ram: 838_784, instances: 200 }],
  [1, 100, { cores: 8, ram: 128, instances: 1 }],
])('quota of a machine with %i processors and %i MiB', (cores, memory, quota) => {
  expect(machineQuota(cores, memory)).toEqual(quota);
});

test.each([
  ['{"badRequest": {"code": 400, "message": "no such flavor"}}', 'no such flavor'],
  ['{"NeutronError": {"type": "OverQuota", "message": "too many", "detail": ""}}', 'too many'],
  ['{"code": "404 Not Found", "title": "x", "message": "no image"}', 'no image'],
  ['<html><body>413 <b>Too large</b></body></html>', '413 Too large'],
])('the sentence in %s', (body, message) => {
  expect(errorMessage(body)).toBe(message);
});

const summary = {
  url: 'http://127.0.0.1:5000',
  endpoint: undefined,
  ssh: `ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /home/me/.ssh/id_cumulet root@172.24.4.10`,
  cloudsFile: '/home/me/.config/openstack/clouds.yaml',
  data: '/var/lib/cumulet',
  logs: '/var/log/cumulet',
  command: '/home/me/cumulet/cumulet',
};

test('the last screen tells endpoint, login, three commands, places and the ends', () => {
  const text = lastScreen({ ...summary, warnings: [] }).join('\n');
  for (const part of [
    'http://127.0.0.1:5000/v3',
    'root@172.24.4.10',
    '/var/lib/cumulet',
    '/var/log/cumulet',
    'down --purge',
  ]) {
    expect(text).toContain(part);
  }
  expect(text).not.toContain('From other machines');
  const open = lastScreen({ ...summary, endpoint: 'https://10.0.0.5:5000', warnings: [] });
  expect(open).toContain('From other machines: https://10.0.0.5:5000   (cumulet cloud export --help)');
  expect(rows(open)).toBeLessThanOrEqual(24);
  expect(text.match(/^ {2}openstack --os-cloud cumulet-demo /gm)).toHaveLength(3);
});

test('warnings come last, and never make the screen longer than 24 lines of 80 columns', () => {
  const lines = lastScreen({
    ...summary,
    warnings: Array.from({ length: 20 }, (_, n) => `number ${n} ${'word '.repeat(30)}`),
  });
  expect(rows(lines)).toBeLessThanOrEqual(24);
  expect(lines.at(-1)).toMatch(/and \d+ more warnings/);
  expect(lastScreen({ ...summary, warnings: ['no KVM'] }).at(-1)).toBe('warning: no KVM');
});

test('routes of all tables and addresses of this machine are in use', () => {
  const used = usedNetworks();
  expect(used.some(({ dst, dev }) => dev === 'lo' && dst.includes('/') && contains(dst, '127.0.0.1'))).toBe(true);
  expect(used.length).toBeGreaterThan(1);
});
