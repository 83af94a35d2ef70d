// Configuration files: what is wrong is said with the file and the key.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import { ConfigError, loadConfig, parseConfig } from '@cumulet/common';

const Schema = Type.Object(
  {
    port: Type.Integer({ default: 5000, minimum: 1 }),
    mode: Type.Union([Type.Literal('a'), Type.Literal('b')], { default: 'a' }),
    nested: Type.Optional(Type.Object({ name: Type.String() }, { additionalProperties: false })),
  },
  { additionalProperties: false },
);

test('an empty file is the defaults', () => {
  expect(parseConfig(Schema, '', 'f')).toEqual({ port: 5000, mode: 'a' });
});

test.each([
  ['port: [1', /^f is not valid YAML: /],
  ['port: none', /^f: port: must be integer/],
  ['port: 0', /^f: port: must be >= 1/],
  ['colour: red', /^f: the file: unknown key 'colour'/],
  ['nested: {name: 7}', /^f: nested\.name: must be string/],
  ['just words', /^f: the file: must be object/],
])('%s is refused in words', (text, message) => {
  expect(() => parseConfig(Schema, text, 'f')).toThrow(ConfigError);
  expect(() => parseConfig(Schema, text, 'f')).toThrow(message);
});

test('a file is read, and one that is not there is named', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cumulet-config-'));
  const path = join(directory, 'c.yaml');
  try {
    writeFileSync(path, 'port: 7\nmode: b\n');
    expect(loadConfig(Schema, path)).toEqual({ port: 7, mode: 'b' });
    expect(() => loadConfig(Schema, join(directory, 'none'))).toThrow(/cannot read the configuration: .*none/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
