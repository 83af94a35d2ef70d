// Checks of single attribute values: each converts what clients write to what the service works with, or says what is wrong.
import { isUuid } from '@cumulet/common';
import { canonicalAddress, formatCidr, parseAddress, parseCidr } from '../../services/network/cidr';

/** Why a value is refused; the reader of the body adds the attribute's name. */
export class Reason extends Error {}

/** Converts a value. @throws Reason */
export type Check<T> = (value: unknown) => T;

export const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
export const refuse = (message: string): never => {
  throw new Reason(message);
};

export const text =
  (max = 255): Check<string> =>
  (value) => {
    if (typeof value !== 'string') return refuse(`'${shown(value)}' is not a valid string`);
    if (value.length > max) return refuse(`'${value}' exceeds maximum length of ${max}`);
    return value;
  };

const TRUE = ['1', 't', 'true', 'on', 'y', 'yes'];
const FALSE = ['0', 'f', 'false', 'off', 'n', 'no'];

export const flag: Check<boolean> = (value) => {
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' || typeof value === 'number' ? String(value).toLowerCase() : '';
  if (TRUE.includes(word)) return true;
  if (FALSE.includes(word)) return false;
  return refuse(`'${shown(value)}' cannot be converted to boolean`);
};

export const uuid: Check<string> = (value) =>
  typeof value === 'string' && isUuid(value) ? value : refuse(`'${shown(value)}' is not a valid UUID`);

export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> =>
  (value) => {
    const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) return refuse(`'${shown(value)}' is not an integer`);
    if (number < min) return refuse(`'${number}' is too small - must be at least '${min}'`);
    if (number > max) return refuse(`'${number}' is too large - must be no larger than '${max}'`);
    return number;
  };

export const oneOf =
  <T extends string | number>(allowed: readonly T[]): Check<T> =>
  (value) => {
    const found = allowed.find((one) => one === value || (typeof one === 'number' && String(one) === value));
    return found ?? refuse(`'${shown(value)}' is not in [${allowed.map((one) => JSON.stringify(one)).join(', ')}]`);
  };

export const orNull =
  <T>(check: Check<T>): Check<T | null> =>
  (value) =>
    value === null ? null : check(value);

/** Null stands for an empty list, as some clients send it. */
export const listOf =
  <T>(check: Check<T>, distinct = false): Check<T[]> =>
  (value) => {
    if (value === null) return [];
    if (!Array.isArray(value)) return refuse(`'${shown(value)}' is not a list`);
    const items = value.map((one: unknown) => check(one));
    const texts = items.map((one) => JSON.stringify(one));
    if (distinct && new Set(texts).size < texts.length)
      return refuse(
        `Duplicate items in the list: '${texts.filter((one, at) => texts.indexOf(one) !== at).join(', ')}'`,
      );
    return items;
  };

/** An object with these keys only; those in `required` must be there. */
export const object =
  <S extends Record<string, Check<unknown>>, R extends keyof S & string>(
    shape: S,
    required: readonly R[] = [],
  ): Check<{ [K in keyof S]?: ReturnType<S[K]> } & { [K in R]: ReturnType<S[K]> }> =>
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return refuse(`'${shown(value)}' is not a dictionary`);
    const entries = Object.entries(value as Record<string, unknown>);
    const unknown = entries.map(([key]) => key).filter((key) => !Object.hasOwn(shape, key));
    if (unknown.length > 0) return refuse(`'${unknown.join(', ')}' is not among the allowed keys`);
    const missing = required.filter((key) => !Object.hasOwn(value, key));
    if (missing.length > 0) return refuse(`the required key '${missing.join(', ')}' is missing`);
    const checked = entries.flatMap(([key, one]) => {
      const check = shape[key];
      return check ? [[key, check(one)] as const] : [];
    });
    return Object.fromEntries(checked) as { [K in keyof S]?: ReturnType<S[K]> } & { [K in R]: ReturnType<S[K]> };
  };

/** Any JSON object. */
export const dictionary: Check<Record<string, unknown>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : refuse(`'${shown(value)}' is not a dictionary`);

export const address: Check<string> = (value) =>
  (typeof value === 'string' ? canonicalAddress(value) : undefined) ??
  refuse(`'${shown(value)}' is not a valid IP address`);

/** A subnet: host bits are cut off. */
export const cidr: Check<string> = (value) => {
  const parsed = typeof value === 'string' ? parseCidr(value) : undefined;
  return parsed ? formatCidr(parsed) : refuse(`'${shown(value)}' is not a valid IP subnet`);
};

/** A subnet, or one address, which becomes /32 or /128. Host bits stay refused nowhere: they are cut off. */
export const prefix: Check<string> = (value) => {
  const one = typeof value === 'string' ? parseAddress(value) : undefined;
  return one ? cidr(`${String(value)}/${one.version === 4 ? 32 : 128}`) : cidr(value);
};

export const mac: Check<string> = (value) => {
  const word = typeof value === 'string' ? value.toLowerCase().replaceAll('-', ':') : '';
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(word) || word === '00:00:00:00:00:00' || /^.[13579bdf]/.test(word))
    return refuse(`'${shown(value)}' is not a valid MAC address`);
  return word;
};

export const fixedIps = listOf(object({ subnet_id: uuid, ip_address: address }), true);
export const routes = listOf(object({ destination: cidr, nexthop: address }, ['destination', 'nexthop']), true);
