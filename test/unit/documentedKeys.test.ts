// Every key of every configuration file is in docs/operations.md.
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

const documented = new Set(
  [...readFileSync(join(root, 'docs/operations.md'), 'utf8').matchAll(/`([^`\n]*)`/g)].flatMap(
    ([, words = '']) => words.match(/[A-Za-z_]+/g) ?? [],
  ),
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
