// Addresses of a LAN for floating IPs: the host answers for them on its interface (proxy ARP) and routes them to the external bridge.
import { CumuletError, type Exec } from '@cumulet/common';
import ipaddr from 'ipaddr.js';
import { runSteps } from './ipBatch';
import { parseJson } from './observe';

export interface FloatingRange {
  /** The host's interface on the LAN; it is not changed. */
  readonly interface: string;
  /** First and last address: "192.168.1.200-192.168.1.220". */
  readonly range: string;
}

/** Each is an entry in the kernel's list of proxies, and is asked for on the LAN before it is taken. */
const MAX_ADDRESSES = 256;

/** Marks routes and proxies as ours: a protocol number that nobody has been given. */
const PROTOCOL = '197';

const toText = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

const toNumber = (address: string): number =>
  ipaddr.IPv4.parse(address)
    .toByteArray()
    .reduce((value, byte) => value * 256 + byte, 0);

export interface Range {
  readonly first: number;
  readonly last: number;
}

/** @throws CumuletError bad_range in words */
export function parseRange(text: string): Range {
  const refuse = (why: string): CumuletError => new CumuletError('bad_range', `the range ${text} ${why}`);
  const [from = '', to = '', ...more] = text.split('-').map((part) => part.trim());
  if (more.length > 0 || ![from, to].every((part) => ipaddr.IPv4.isValidFourPartDecimal(part)))
    throw refuse('is not FIRST-LAST with two IPv4 addresses');
  const [first, last] = [toNumber(from), toNumber(to)];
  if (last < first) throw refuse('ends before it begins');
  if (last - first >= MAX_ADDRESSES) throw refuse(`has more than ${MAX_ADDRESSES} addresses`);
  return { first, last };
}

export const addressesOf = ({ first, last }: Range): string[] =>
  Array.from({ length: last - first + 1 }, (_, index) => toText(first + index));

/** The fewest prefixes that are exactly these addresses. */
export function prefixesOf({ first, last }: Range): string[] {
  const prefixes: string[] = [];
  for (let next = first; next <= last;) {
    let size = 1;
    while (next % (size * 2) === 0 && next + size * 2 - 1 <= last) size *= 2;
    prefixes.push(`${toText(next)}/${32 - Math.log2(size)}`);
    next += size;
  }
  return prefixes;
}

/** First and last address of a subnet, from one of its addresses with the prefix length. */
export function subnetOf(address: string, length: number): Range {
  const size = 2 ** (32 - length);
  const first = Math.floor(toNumber(address) / size) * size;
  return { first, last: first + size - 1 };
}

export const inRange = (address: string, { first, last }: Range): boolean => {
  const value = toNumber(address);
  return value >= first && value <= last;
};

interface JsonProxy {
  readonly dst?: string;
  readonly dev?: string;
  readonly protocol?: string;
}

interface JsonRoute {
  readonly dst?: string;
  readonly dev?: string;
}

/** What is on the host of what we made. */
export interface ObservedFloating {
  /** "address interface" */
  readonly proxies: ReadonlySet<string>;
  /** "prefix interface" */
  readonly routes: ReadonlySet<string>;
}

/** Reads what `ip -json` answers to {@link LOOK}. */
export function parseFloating(answers: string): ObservedFloating {
  const [proxies = '', routes = ''] = answers.split('\n');
  const own = parseJson<JsonProxy>(proxies, 'ip neighbour').filter(({ protocol }) => protocol === PROTOCOL);
  const key = ({ dst = '', dev = '' }: JsonRoute): string => `${dst} ${dev}`;
  const whole = ({ dst = '', ...rest }: JsonRoute): JsonRoute => ({
    ...rest,
    dst: dst.includes('/') ? dst : `${dst}/32`,
  });
  return {
    proxies: new Set(own.map(key)),
    routes: new Set(parseJson<JsonRoute>(routes, 'ip route').map((route) => key(whole(route)))),
  };
}

const LOOK = `neigh show proxy\nroute show proto ${PROTOCOL}\n`;

/** The lines for `ip -batch` that bring the host to the range, or to none. @throws CumuletError bad_range */
export function planFloating(bridge: string, wanted: FloatingRange | undefined, observed: ObservedFloating): string[] {
  const range = wanted && parseRange(wanted.range);
  const proxies = range ? addressesOf(range).map((address) => `${address} ${wanted.interface}`) : [];
  const routes = range ? prefixesOf(range).map((prefix) => `${prefix} ${bridge}`) : [];
  const without = (all: Iterable<string>, other: readonly string[] | ReadonlySet<string>): string[] => {
    const known = new Set(other);
    return [...all].filter((one) => !known.has(one));
  };
  const device = (text: string): string => text.replace(' ', ' dev ');
  return [
    ...without(observed.proxies, proxies).map((text) => `neigh del proxy ${device(text)}`),
    ...without(observed.routes, routes).map((text) => `route del ${device(text)} proto ${PROTOCOL}`),
    ...without(routes, observed.routes).map((text) => `route add ${device(text)} proto ${PROTOCOL}`),
    ...without(proxies, observed.proxies).map((text) => `neigh add proxy ${device(text)} protocol ${PROTOCOL}`),
  ];
}

/** Makes it so. A line that fails leaves the others; the first failure is told under the name `floating`. */
export async function applyFloating(
  exec: Exec,
  bridge: string,
  wanted: FloatingRange | undefined,
): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await exec(['ip', '-json', '-batch', '-'], { input: LOOK });
  const lines = planFloating(bridge, wanted, parseFloating(stdout));
  return runSteps(
    exec,
    lines.map((line) => ({ owner: 'floating', lines: [line] })),
  );
}
