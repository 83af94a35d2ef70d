// What `up --listen` makes of the configuration.
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { parseConfig } from '@cumulet/common';
import { StandaloneConfig } from '@cumulet/standalone';
import { withRemote, type ListenOptions } from '../../../cli/src/up/remote';
import { freePort } from '../../support/freePort';

/** As the cloud reads it. */
const parse = (text: string): unknown => parseConfig(StandaloneConfig, text, 'test');

const BASE = '# mine\nlisten: 127.0.0.1:5000 # as it was\n';
const options = (more: Partial<ListenOptions>): ListenOptions => ({ listen: '', cert: '', key: '', ...more });
const ask = (more: Partial<ListenOptions>, text = BASE): Promise<string> => withRemote(text, options(more));

/** On loopback no port of this machine is taken by accident; the address only has to be none that ends listening. */
const ELSEWHERE = '198.51.100.7';

test('nothing asked changes nothing', async () => {
  expect(await ask({})).toBe(BASE);
});

test('an address is added and everything else kept; said again it changes nothing', async () => {
  const text = await ask({ listen: ELSEWHERE });
  expect(text).toMatch(/^# mine\nlisten: 127\.0\.0\.1:5000 # as it was\n/);
  expect(parse(text)).toMatchObject({ listen: '127.0.0.1:5000', remote_api: { address: ELSEWHERE } });
  expect(await ask({ listen: ELSEWHERE }, text)).toBe(text);
  expect(await ask({}, text)).toBe(text);
});

test('another address replaces the first one, and leaves the port', async () => {
  const text = await ask({ listen: 'cloud.example' }, `remote_api: {address: ${ELSEWHERE}, port: 6000}\n`);
  expect(parse(text)).toMatchObject({ remote_api: { address: 'cloud.example', port: 6000 } });
});

test.each(['127.0.0.1', 'localhost', '::1'])('%s ends it', async (listen) => {
  expect(parse(await ask({ listen }, `remote_api: {address: ${ELSEWHERE}}\nhost: a\n`))).toMatchObject({
    host: 'a',
    remote_api: null,
  });
  expect(await ask({ listen })).toBe(BASE);
});

test('a certificate is kept with the address, and goes when that is named without one', async () => {
  const files = { cert: '/c.pem', key: '/k.pem' };
  const first = await ask({ listen: 'cloud.example', ...files });
  expect(parse(first)).toMatchObject({ remote_api: { address: 'cloud.example', ...files } });
  const second = await ask({ cert: '/d.pem', key: '/k.pem' }, first);
  expect(parse(second)).toMatchObject({ remote_api: { address: 'cloud.example', cert: '/d.pem', key: '/k.pem' } });
  expect(parse(await ask({ listen: 'cloud.example' }, second))).toMatchObject({
    remote_api: { address: 'cloud.example', cert: null, key: null },
  });
});

test.each([
  [{ cert: '/c.pem' }, BASE, /go together/],
  [{ listen: ELSEWHERE, key: '/k.pem' }, BASE, /go together/],
  [{ cert: '/c.pem', key: '/k.pem' }, BASE, /need --listen ADDRESS/],
  [{ listen: 'localhost', cert: '/c.pem', key: '/k.pem' }, BASE, /none reaches localhost/],
  [{ listen: ELSEWHERE }, 'a: [', /not valid YAML/],
  [{ listen: ELSEWHERE }, '- a\n', /not valid YAML/],
  [{ listen: ELSEWHERE }, 'controller: {remote_api: null}\n', /below controller/],
])('what can not be done is said: %j on %j', async (more, text, words) => {
  await expect(ask(more, text)).rejects.toThrow(words);
});

test('a port that another program has is told before anything is changed', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  // A name that ends nothing and still leads to loopback, where the test may listen.
  const address = '::ffff:127.0.0.1';
  const text = (at: number): string => `remote_api: {address: ${ELSEWHERE}, port: ${at}}\n`;
  await expect(ask({ listen: address }, text(port))).rejects.toThrow(`port ${port} of ${address} is in use`);
  other.close();
  expect(parse(await ask({ listen: address }, text(await freePort())))).toMatchObject({ remote_api: { address } });
});
