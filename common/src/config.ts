// Configuration files: YAML, checked against a schema, unknown keys refused.
import { readFileSync } from 'node:fs';
import type { Static, TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parse } from 'yaml';
import { ConfigError, messageOf } from './errors';
import { schemaProblem } from './schema';

/** Parses configuration text and fills in the schema's defaults. @throws ConfigError naming the source and key. */
export function parseConfig<S extends TSchema>(schema: S, text: string, source: string): Static<S> {
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (error) {
    throw new ConfigError(`${source} is not valid YAML: ${messageOf(error)}`, { source });
  }
  const filled = Value.Default(schema, value);
  const problem = schemaProblem(schema, filled);
  if (problem) {
    const key = problem.path.replaceAll('/', '.').slice(1) || 'the file';
    throw new ConfigError(`${source}: ${key}: ${problem.message}`, { source, key });
  }
  return filled;
}

/** Reads and checks a configuration file. @throws ConfigError */
export function loadConfig<S extends TSchema>(schema: S, path: string): Static<S> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read the configuration: ${messageOf(error)}`, { source: path });
  }
  return parseConfig(schema, text, path);
}
