// JSON Schema checks with readable errors: ajv, compiled once per schema.
import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import type { Static, TSchema } from '@sinclair/typebox';

const ajv = addFormats(
  new Ajv({ allErrors: false, strict: false, useDefaults: false, coerceTypes: false, verbose: false }),
);
const compiled = new WeakMap<object, ValidateFunction>();

export interface SchemaProblem {
  /** JSON pointer of the offending value, '' for the whole. */
  readonly path: string;
  readonly keyword: string;
  /** What is wrong, in words. */
  readonly message: string;
}

function words(error: ErrorObject): string {
  const params = error.params as Record<string, unknown>;
  if (error.keyword === 'additionalProperties') return `unknown key '${String(params['additionalProperty'])}'`;
  if (error.keyword === 'enum') return `must be one of ${JSON.stringify(params['allowedValues'])}`;
  if (error.keyword === 'const') return `must be ${JSON.stringify(params['allowedValue'])}`;
  return error.message ?? error.keyword;
}

/** The first problem of a value against a schema, or undefined when it fits. */
export function schemaProblem(schema: object, value: unknown): SchemaProblem | undefined {
  let check = compiled.get(schema);
  if (!check) compiled.set(schema, (check = ajv.compile(schema)));
  if (check(value)) return undefined;
  const error = check.errors?.[0];
  return error
    ? { path: error.instancePath, keyword: error.keyword, message: words(error) }
    : { path: '', keyword: 'schema', message: 'does not fit' };
}

/** Narrows a value to a TypeBox schema's type. */
export function fits<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return schemaProblem(schema, value) === undefined;
}
