// Configuration files: what is wrong is said with the file and the key, and one file configures every part of a cloud.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, loadConfig, parseConfig } from '@cumulet/common';
import { ControllerConfig } from '@cumulet/controller';
import { partsOf, StandaloneConfig } from '../../standalone/src/config';

const standalone = (text: string) => partsOf(parseConfig(StandaloneConfig, text, 'f'), 'f');

test('an empty file is the defaults', () => {
  expect(parseConfig(ControllerConfig, '', 'f')).toMatchObject({ listen: '127.0.0.1', port: 5000 });
});

test.each([
  ['port: [1', /^f is not valid YAML: /],
  ['port: none', /^f: port: must be integer/],
  ['port: -1', /^f: port: must be >= 0/],
  ['colour: red', /^f: the file: unknown key 'colour'/],
  ['database: {kind: oracle}', /^f: database\.kind: must be one of \["sqlite","mariadb"\]/],
  ['just words', /^f: the file: must be object/],
])('%s is refused in words', (text, message) => {
  expect(() => parseConfig(ControllerConfig, text, 'f')).toThrow(ConfigError);
  expect(() => parseConfig(ControllerConfig, text, 'f')).toThrow(message);
});

test('a file is read, and one that is not there is named', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-config-'));
  const path = join(directory, 'c.yaml');
  try {
    writeFileSync(path, 'port: 7\nregion: Lab\n');
    expect(loadConfig(ControllerConfig, path)).toMatchObject({ port: 7, region: 'Lab' });
    expect(() => loadConfig(ControllerConfig, join(directory, 'none'))).toThrow(
      /cannot read the configuration: .*none/,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('the file of a cloud on one machine', () => {
  test('gives every part its own configuration', () => {
    const parts = standalone('{listen: "10.0.0.5:80", data_dir: /srv/c, host: h1, external_address: 10.9.0.1/24}');
    expect(parts).toMatchObject({
      host: 'h1',
      controller: { listen: '10.0.0.5', port: 80, data_dir: '/srv/c', bootstrap_file: null },
      compute: { dir: '/srv/c/host' },
      storage: { dir: '/srv/c/host' },
      network: { stateDir: '/srv/c/network', external: { address: '10.9.0.1/24' } },
    });
  });

  test('names the machine by its host name, and takes an IPv6 address to listen on', () => {
    expect(standalone('listen: "::1:5000"')).toMatchObject({
      host: hostname(),
      controller: { listen: '::1', port: 5000 },
    });
  });

  test('lets a section change what the file set for it', () => {
    expect(standalone('controller: {port: 81, token_lifetime: 60}').controller).toMatchObject({
      port: 81,
      token_lifetime: 60,
    });
  });

  test.each([
    ['listen: everywhere', /^f: listen: 'everywhere' is not ADDRESS:PORT/],
    ['compute: {colour: red}', /^f: compute: the file: unknown key 'colour'/],
    ['unknown: 1', /^f: the file: unknown key 'unknown'/],
  ])('is refused with %s', (text, message) => {
    expect(() => standalone(text)).toThrow(message);
  });
});
