// Every key of every configuration file is in docs/operations.md, and directories are those that stand there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentProcessConfig } from '@cumulet/common';
import { ComputeConfig } from '@cumulet/compute-agent';
import { NetworkAgentConfig } from '@cumulet/network-agent';
import { StandaloneConfig } from '@cumulet/standalone';
import { StorageConfig } from '@cumulet/storage-agent';
import { ControllerProcessConfig } from '../../controller/src/process';
import { root } from '../support/checkout';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/** The names of all keys, those of sections included. */
function keysOf({ properties = {}, anyOf = [] }: Schema): string[] {
  const own = Object.entries(properties).flatMap(([key, schema]) => [key, ...keysOf(schema)]);
  return [...own, ...anyOf.flatMap(keysOf)];
}

const text = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const documented = new Set(
  [...text.matchAll(/`([^`\n]*)`/g)].flatMap(([, words = '']) => words.match(/[A-Za-z_]+/g) ?? []),
);

test.each([
  ['controller', ControllerProcessConfig],
  ['compute', agentProcessConfig('compute', ComputeConfig)],
  ['network', agentProcessConfig('network', NetworkAgentConfig)],
  ['storage', agentProcessConfig('storage', StorageConfig)],
  ['standalone', StandaloneConfig],
])('all keys of %s are documented', (_name, schema) => {
  const keys = keysOf(schema as Schema);
  expect(keys.length).toBeGreaterThan(5);
  expect(keys.filter((key) => !documented.has(key))).toEqual([]);
});

test.each([
  ['compute', 'dir', ComputeConfig.properties.dir],
  ['storage', 'dir', StorageConfig.properties.dir],
  ['network', 'stateDir', NetworkAgentConfig.properties.stateDir],
])('the directory of a %s agent of its own is the documented one', (section, key, schema: { default?: unknown }) => {
  const [, words = ''] = text.split(`### \`${section}\`\n`);
  const path = new RegExp(`^\\| \`${key}\` \\| \`<data_dir>(/\\w+)\``, 'm').exec(words)?.[1];
  expect(path).toMatch(/^\/\w/);
  expect(schema.default).toBe(`${ControllerProcessConfig.properties.data_dir.default}${path}`);
});
