// Building blocks of compute's body schemas, as the compute API reference describes its parameters.

/** Printable, no white space at either end. */
export const name = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: '^(?![\\s\\p{C}])[^\\p{C}\\p{Zl}\\p{Zp}]*(?<![\\s])$',
} as const;

export const description = {
  type: ['string', 'null'],
  maxLength: 255,
  pattern: '^[^\\p{C}\\p{Zl}\\p{Zp}]*$',
} as const;

/** Real booleans and the words clients send for them. */
export const boolean = {
  enum: [
    ...[true, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes'],
    ...[false, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no'],
  ],
} as const;

const TRUE = new Set<unknown>([true, 'true', '1', 'on', 'yes']);
/** What a value that fits `boolean` means. */
export const isTrue = (value: unknown): boolean => TRUE.has(typeof value === 'string' ? value.toLowerCase() : value);

/** A number, or a text of digits. Larger than `maximum` is refused in both forms by the handler's `integerOf`. */
export const positiveInteger = { type: ['integer', 'string'], pattern: '^[0-9]+$', minimum: 1 } as const;

export const uuid = { type: 'string', format: 'uuid' } as const;
export const address = { type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] } as const;
export const tag = { type: 'string', minLength: 1, maxLength: 60, pattern: '^[^,/]*$' } as const;
export const fqdn = { type: 'string', pattern: '^[a-zA-Z0-9._-]*$', minLength: 1, maxLength: 255 } as const;
export const projectId = { type: 'string', pattern: '^[a-zA-Z0-9-]*$', minLength: 1, maxLength: 255 } as const;
export const metadata = {
  type: 'object',
  patternProperties: { '^[a-zA-Z0-9_:. -]{1,255}$': { type: 'string', maxLength: 255 } },
  additionalProperties: false,
} as const;

/** An object with exactly these properties. */
export function object(properties: Readonly<Record<string, object>>, required: readonly string[] = []): object {
  return { type: 'object', properties, required: [...required], additionalProperties: false };
}

/** Caches a schema per microversion, so that each is compiled once. */
export function byVersion(build: (minor: number) => object): (version: { readonly minor: number }) => object {
  const built = new Map<number, object>();
  return ({ minor }) => {
    let schema = built.get(minor);
    if (!schema) built.set(minor, (schema = build(minor)));
    return schema;
  };
}
