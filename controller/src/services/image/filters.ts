// Filters of image lists: base attributes with their operators, tags, and custom properties by any other name.
import { imageProperties, imageTags } from '../../db/entities/image';
import { InvalidError } from '../../errors';
import type { ImageConditions } from './list';
import { parseTime, timeConditions } from './timeFilter';
import { splitOperator, splitValues } from './filterValue';

const VISIBILITIES = ['community', 'public', 'private', 'shared', 'all'];
/** Compared as text, with `in:` for a choice. */
const CHOICES = ['name', 'id', 'status', 'container_format', 'disk_format'] as const;
const TEXTS = ['owner', 'checksum', 'os_hash_algo', 'os_hash_value'] as const;
const NUMBERS = ['size', 'virtual_size', 'min_disk', 'min_ram'] as const;
const TIMES = ['created_at', 'updated_at'] as const;
const FLAGS = ['os_hidden', 'protected'] as const;

const named = <T extends string>(names: readonly T[], key: string): T | undefined => names.find((name) => name === key);

function choice(column: (typeof CHOICES)[number], text: string): ImageConditions {
  const { operator, value } = splitOperator(text);
  if (operator === 'in') return [{ column, op: 'in', value: splitValues(value) }];
  if (operator === 'eq') return [{ column, op: '=', value }];
  throw new InvalidError(`Unable to filter by unknown operator '${operator}'.`);
}

function flag(column: (typeof FLAGS)[number], text: string): ImageConditions {
  const value = text.toLowerCase();
  if (value !== 'true' && value !== 'false') {
    throw new InvalidError(`Invalid value '${text}' for '${column}' filter. Valid values are 'true' or 'false'.`);
  }
  return [{ column, op: '=', value: value === 'true' }];
}

/** size_min=..., min_ram_max=...; undefined when the key is no range of a number. */
function range(key: string, text: string): ImageConditions | undefined {
  const column = named(NUMBERS, key.slice(0, -4));
  const end = key.slice(-4);
  if (!column || (end !== '_min' && end !== '_max')) return undefined;
  if (!/^\s*[+-]?\d{1,15}\s*$/.test(text)) {
    throw new InvalidError('Unable to filter on a range with a non-numeric value.');
  }
  return [{ column, op: end === '_min' ? '>=' : '<=', value: Number(text) }];
}

function property(name: string, value: string): ImageConditions {
  return [
    { column: 'id', op: 'in rows', value: { table: imageProperties, column: 'image_id', where: { name, value } } },
  ];
}

function one(key: string, text: string): ImageConditions {
  const text_ = named(TEXTS, key);
  if (text_) return [{ column: text_, op: '=', value: text }];
  const choices = named(CHOICES, key);
  if (choices) return choice(choices, text);
  const flags = named(FLAGS, key);
  if (flags) return flag(flags, text);
  const times = named(TIMES, key);
  if (times) {
    const { operator, value } = splitOperator(text);
    return timeConditions(times, operator, parseTime(times, value));
  }
  const numbers = named(NUMBERS, key);
  // A size that is no number fits no image.
  if (numbers) return [{ column: numbers, op: '=', value: /^\d{1,15}$/.test(text) ? Number(text) : -1 }];
  return range(key, text) ?? property(key, text);
}

/** The conditions of a list's filters. @throws InvalidError naming the filter and the problem. */
export function imageFilters(
  filters: ReadonlyMap<string, string>,
  tags: readonly string[],
): { conditions: ImageConditions; visibility?: string } {
  if (filters.has('changes-since')) {
    throw new InvalidError('The "changes-since" filter is no longer available on v2.');
  }
  const visibility = filters.get('visibility') || undefined;
  if (visibility !== undefined && !VISIBILITIES.includes(visibility)) {
    throw new InvalidError(`Invalid visibility value: ${visibility}`);
  }
  // Killed uploads and hidden images are not listed unless asked for.
  const conditions: ImageConditions = [{ column: 'status', op: '!=', value: 'killed' }];
  if (!filters.has('os_hidden')) conditions.push({ column: 'os_hidden', op: '=', value: false });
  for (const [key, text] of filters) if (key !== 'visibility') conditions.push(...one(key, text));
  for (const value of tags) {
    conditions.push({
      column: 'id',
      op: 'in rows',
      value: { table: imageTags, column: 'image_id', where: { value } },
    });
  }
  return { conditions, ...(visibility === undefined ? {} : { visibility }) };
}
