// What --check-config of a cloud on one machine finds before `up` puts a configuration in place.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '@cumulet/common';
import { createStandalone, partsOf, StandaloneConfig } from '@cumulet/standalone';
import { runProcess } from '../support/programs';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'cumulet-standalone-'))));
afterAll(() => rmSync(directory, { recursive: true }));

const check = (text: string) => {
  const file = join(directory, 'cumulet.yaml');
  writeFileSync(file, text);
  return runProcess('standalone', '--config', file, '--check-config');
};

test('a configuration that can be run with is right', async () => {
  expect(await check('remote_api: {address: 127.0.0.1}\n')).toEqual({
    exit: 0,
    out: `${join(directory, 'cumulet.yaml')} is right\n`,
    err: '',
  });
});

test.each([
  ['remote_api: {address: 198.51.100.7}', /remote_api.address: 198.51.100.7 is not an address of this machine/],
  ['remote_api: {address: 127.0.0.1, cert: /none, key: /none}', /remote_api.cert: can not be read/],
  ['floating: {interface: no-such-nic, range: 10.0.0.7-10.0.0.9}', /no interface no-such-nic/],
  ['floating: {interface: lo, range: some}', /the range some is not FIRST-LAST/],
  ['listen: 5000', /listen/],
])('what it can not run with is told: %s', async (text, words) => {
  expect(await check(text)).toMatchObject({ exit: 1, out: '', err: expect.stringMatching(words) });
});

test('what people set at the top reaches the parts', () => {
  const text =
    'listen: 127.0.0.1:7000\nremote_api: {address: 10.0.0.5}\nfloating: {interface: eth0, range: 10.0.0.7-10.0.0.9}\n';
  const { controller, network } = partsOf(parseConfig(StandaloneConfig, text, 'test'), 'test');
  expect(controller).toMatchObject({
    listen: '127.0.0.1',
    port: 7000,
    remote_api: { address: '10.0.0.5', port: 5000 },
  });
  expect(network.external).toMatchObject({ bridge: 'cml-ext', floating: { interface: 'eth0' } });
});

test.each([
  ['', []],
  ['remote_api: {address: 127.0.0.1, port: 1}', ['not yet started']],
])('a cloud that is composed and not started says what is missing: %s', async (text, missing) => {
  const config = parseConfig(StandaloneConfig, `data_dir: ${join(directory, 'data')}\n${text}\n`, 'test');
  const cloud = await createStandalone(partsOf(config, 'test'));
  expect(cloud.missing()).toEqual(missing);
  await cloud.stop();
});
