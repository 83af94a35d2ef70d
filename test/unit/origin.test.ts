// Which address the links of an answer name, by what the caller wrote and where the connection came in.
import { createOrigins, machineNames, type OriginOptions, type Reached } from '../../controller/src/api/origin';

const options: OriginOptions = {
  endpoint: null,
  names: ['cloud.example', '203.0.113.9', '2001:db8:0:0::9'],
  listening: () => [{ port: 5000 }, { port: 443 }],
  remote: () => 'https://10.0.0.5:443',
  machine: () => ['Node-1', '10.0.0.5', 'fe80::1', '2001:db8::5'],
};

const reached = (host: string | undefined, socket: Partial<Reached['socket']> = {}): Reached => ({
  headers: host === undefined ? {} : { host },
  socket: { localAddress: '10.0.0.5', localPort: 5000, remoteAddress: '10.0.0.77', ...socket },
});
const plain = (host?: string, more: Partial<OriginOptions> = {}): string =>
  createOrigins({ ...options, ...more })(reached(host));
const secure = (host?: string, more: Partial<OriginOptions> = {}): string =>
  createOrigins({ ...options, ...more })(reached(host, { encrypted: true, localPort: 443 }));

test.each([
  ['127.0.0.1:5000', 'http://127.0.0.1:5000'],
  ['localhost:5000', 'http://localhost:5000'],
  ['10.0.0.5:5000', 'http://10.0.0.5:5000'],
  ['node-1:5000', 'http://node-1:5000'],
  ['NODE-1:5000', 'http://node-1:5000'],
  ['cloud.example:5000', 'http://cloud.example:5000'],
  ['203.0.113.9:5000', 'http://203.0.113.9:5000'],
  ['[2001:db8::5]:5000', 'http://[2001:db8::5]:5000'],
  ['[2001:DB8:0:0:0:0:0:5]:5000', 'http://[2001:db8::5]:5000'],
  ['[2001:db8::9]:5000', 'http://[2001:db8::9]:5000'],
  ['[::1]:5000', 'http://[::1]:5000'],
  ['127.9.9.9:443', 'http://127.9.9.9:443'],
])('names of ours are those that links have: %s', (host, origin) => {
  expect(plain(host)).toBe(origin);
});

test.each([
  undefined,
  '',
  'evil.example:5000',
  '10.0.0.6:5000',
  '10.0.0.5:5001',
  '10.0.0.5',
  'cloud.example.evil.example:5000',
  'cloud.example:5000@evil.example',
  'cloud.example:5000/path',
  'localhost:5001',
  '[2001:db8::6]:5000',
  '[not:an:address]:5000',
  'a:99999',
  'node 1:5000',
  'node-1:5000\r\nx: y',
])('anything else is not repeated: %j', (host) => {
  expect(plain(host)).toBe('http://10.0.0.5:5000');
  expect(secure(host === '10.0.0.5' ? undefined : host)).toBe('https://10.0.0.5:443');
  const endpoint = 'https://cloud.example:8443';
  expect(plain(host, { endpoint })).toBe(endpoint);
});

test('over TLS links are https, and the usual port need not be said', () => {
  expect(secure('10.0.0.5')).toBe('https://10.0.0.5');
  expect(secure('10.0.0.5:443')).toBe('https://10.0.0.5');
  expect(secure('cloud.example:5000')).toBe('https://cloud.example:5000');
  expect(secure('evil.example', { remote: () => undefined })).toBe('https://10.0.0.5:443');
});

test('the near end of a tunnel may have any port, but only a tunnel that ends on this machine', () => {
  const tunnel = createOrigins(options);
  for (const remoteAddress of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
    expect(tunnel(reached('localhost:8000', { remoteAddress }))).toBe('http://localhost:8000');
  expect(tunnel(reached('localhost:8000'))).toBe('http://10.0.0.5:5000');
  expect(tunnel(reached('evil.example:8000', { remoteAddress: '127.0.0.1' }))).toBe('http://10.0.0.5:5000');
});

test('behind a proxy that ends TLS the endpoint is told, with its scheme', () => {
  const endpoint = 'https://cloud.example';
  expect(plain('cloud.example', { endpoint })).toBe(endpoint);
  expect(plain('cloud.example:443', { endpoint })).toBe(endpoint);
  expect(plain('cloud.example:5000', { endpoint })).toBe('http://cloud.example:5000');
  expect(plain('127.0.0.1:5000', { endpoint })).toBe('http://127.0.0.1:5000');
  expect(plain('10.0.0.1', { endpoint })).toBe(endpoint);
});

test('an address of the machine that comes later is known soon, and the address reached is written as URLs want it', () => {
  const origin = createOrigins({ ...options, machine: () => [] });
  expect(origin(reached('10.0.0.5:5000', { localAddress: '::ffff:10.0.0.9' }))).toBe('http://10.0.0.9:5000');
  expect(origin(reached('x', { localAddress: '2001:db8::5' }))).toBe('http://[2001:db8::5]:5000');
  expect(origin({ headers: {}, socket: {} })).toBe('http://127.0.0.1:0');
  const looks = jest.fn(() => ['10.0.0.5']);
  const now = jest.spyOn(performance, 'now').mockReturnValue(1_000);
  const looking = createOrigins({ ...options, machine: looks });
  for (let times = 0; times < 3; times++) looking(reached('10.0.0.5:5000'));
  now.mockReturnValue(6_000);
  looking(reached('10.0.0.5:5000'));
  now.mockRestore();
  expect(looks).toHaveBeenCalledTimes(2);
});

test('this machine is known by its host name and addresses', () => {
  expect(machineNames()).toContain('127.0.0.1');
  const origin = createOrigins({ endpoint: null, names: [], listening: () => [{ port: 5000 }] });
  const [name = ''] = machineNames();
  expect(origin(reached(`${name}:5000`))).toBe(`http://${name.toLowerCase()}:5000`);
});
