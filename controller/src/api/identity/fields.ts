// Pieces of request bodies that several resources have: names, descriptions, options, and attributes without a meaning.
import { Type, type TSchema } from '@sinclair/typebox';
import { InvalidError } from '../../errors';

export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** Something other than blanks, up to a length. */
export const nameOf = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '\\S' });
export const Description = nullable(Type.String());
export const IdText = Type.String({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9-]+$' });

/** Options of projects, domains and roles. Null takes an option back. */
export const ImmutableOption = Type.Object(
  { immutable: Type.Optional(nullable(Type.Boolean())) },
  { additionalProperties: false },
);

/** What of a body has no meaning for the service: it is kept and returned as it came. */
export function extraOf(body: object, known: readonly string[]): Record<string, unknown> {
  const reserved = new Set([...known, 'id', 'links']);
  return Object.fromEntries(Object.entries(body).filter(([key]) => !reserved.has(key)));
}

/** Options after a change: null takes one back. */
export function mergeOptions(
  before: Readonly<Record<string, unknown>>,
  change: Readonly<Record<string, unknown>> | undefined,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, value]) => value !== null));
}

/** An id in a body must be the one in the path. @throws InvalidError */
export function requireMatchingId(body: object, id: string): void {
  const given = (body as { id?: unknown }).id;
  if (given !== undefined && given !== null && given !== id)
    throw new InvalidError('Cannot change the id of a resource.', 'ValidationError');
}
