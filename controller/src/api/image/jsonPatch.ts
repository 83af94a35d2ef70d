// Reads the body of PATCH /images/{id}: a list of operations on top-level attributes, in two generations of JSON patch.
import { ApiError, InvalidError } from '../../errors';
import type { ImageChange } from '../../services/image/update';
import { checkBody } from '../body';
import { requireChangeable, requireIntegers } from './imageBody';
import { imageSchema } from './imageSchema';

const OPERATIONS = ['add', 'remove', 'replace'] as const;
type Operation = (typeof OPERATIONS)[number];
type Fields = Readonly<Record<string, unknown>>;

/** Content types, and whether they are of the old generation: {"add": "/path"} instead of {"op": "add", "path": ...}. */
const GENERATIONS: Readonly<Record<string, 'old' | 'new'>> = {
  'application/openstack-images-v2.0-json-patch': 'old',
  'application/openstack-images-v2.1-json-patch': 'new',
};
export const PATCH_TYPES = Object.keys(GENERATIONS);

function newOperation(fields: Fields): { op: Operation; path: unknown } {
  const available = OPERATIONS.join(', ');
  const given = fields['op'];
  if (given === undefined || given === null) {
    throw new InvalidError(
      `Unable to find \`op\` in JSON Schema change. It must be one of the following: ${available}.`,
    );
  }
  const op = OPERATIONS.find((one) => one === given);
  if (!op) {
    throw new InvalidError(
      `Invalid operation: \`${JSON.stringify(given)}\`. It must be one of the following: ${available}.`,
    );
  }
  if (!('path' in fields)) throw new InvalidError("Unable to find 'path' in JSON Schema change");
  return { op, path: fields['path'] };
}

function oldOperation(fields: Fields): { op: Operation; path: unknown } {
  const ops = OPERATIONS.filter((one) => one in fields);
  const [op] = ops;
  if (ops.length !== 1 || !op) {
    throw new InvalidError('Operation objects must contain exactly one member named "add", "remove", or "replace".');
  }
  return { op, path: fields[op] };
}

/** The parts of a JSON pointer (RFC 6901, with the limits of the image API). @throws InvalidError */
function parsePointer(pointer: unknown): string[] {
  if (typeof pointer !== 'string') throw new InvalidError('A JSON pointer must be a string.');
  const fail = (why: string): never => {
    throw new InvalidError(`Pointer \`${pointer}\` ${why}.`);
  };
  if (!pointer.startsWith('/')) fail('does not start with "/"');
  if (/\/\s*\//.test(pointer)) fail('contains adjacent "/"');
  if (pointer.length > 1 && pointer.endsWith('/')) fail('ends with "/"');
  if (/~(?![01])/.test(pointer)) fail('contains "~" not part of a recognized escape sequence');
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~').trim());
}

function attributeName(pointer: unknown): string {
  const path = parsePointer(pointer);
  const [name = ''] = path;
  if (name === 'locations') requireChangeable(name);
  if (path.length !== 1 || name === '') {
    throw new InvalidError(`Invalid JSON pointer for this resource: '/${path.join('/')}'`);
  }
  if (name.length > 255) throw new InvalidError('Custom property should not be greater than 255 characters.');
  return name;
}

function change(raw: unknown, generation: 'old' | 'new'): ImageChange {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new InvalidError('Operations must be JSON objects.');
  }
  const fields = raw as Fields;
  const { op, path } = generation === 'old' ? oldOperation(fields) : newOperation(fields);
  const name = attributeName(path);
  if (op !== 'remove' && !('value' in fields)) {
    throw new InvalidError(`Operation "${op}" requires a member named "value".`);
  }
  requireChangeable(name);
  if (op === 'remove') return { op, name };
  const partial = { [name]: fields['value'] };
  checkBody(imageSchema, partial);
  requireIntegers(partial);
  return { op, name, value: fields['value'], addOnlyNew: generation === 'old' };
}

/** @throws ApiError 415 (another content type), InvalidError (malformed), ForbiddenError (read-only or reserved attributes) */
export function parsePatch(contentType: string | undefined, body: unknown): ImageChange[] {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  const generation = GENERATIONS[type];
  if (!generation) {
    const accept_patch = PATCH_TYPES.join(', ');
    throw new ApiError(415, 'UnsupportedMediaType', `Image PATCH expects Content-Type one of: ${accept_patch}`, {
      accept_patch,
    });
  }
  if (body === undefined) throw new InvalidError('Body expected in request.');
  if (!Array.isArray(body)) throw new InvalidError('Request body must be a JSON array of operation objects.');
  return body.map((raw: unknown) => change(raw, generation));
}
