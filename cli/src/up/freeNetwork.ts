// Which networks this machine does not use yet: what we take must hide nothing that it reaches.
import { execFileSync } from 'node:child_process';

/** The external network's bridge, which the cloud makes: its own routes are no collision. */
const EXTERNAL_BRIDGE = 'cml-ext';
/** Shorter ones stand for everything, as those with which a VPN takes over the default route. */
const SHORTEST_PREFIX = 8;

/** An IPv4 address as a number. */
export const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** First and last address of a network, as numbers. */
function range(cidr: string): readonly [number, number] {
  const [address = '', length = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(toNumber(address) / size) * size;
  return [first, first + size - 1];
}

/** Whether an IPv4 address is in a network. */
export function contains(cidr: string, address: string): boolean {
  const [first, last] = range(cidr);
  const value = toNumber(address);
  return value >= first && value <= last;
}

/** A route or an address of this machine: its network, and the interface it is on. */
export interface Route {
  readonly dst: string;
  readonly dev?: string;
}

/** Every route, of all tables, and the network of every address, of interfaces that are down too. */
export function usedNetworks(): Route[] {
  const ip = <T>(...words: string[]): T =>
    JSON.parse(execFileSync('ip', ['-json', '-4', ...words], { encoding: 'utf8', stdio: 'pipe' }) || '[]') as T;
  const routes = ip<Route[]>('route', 'show', 'table', 'all');
  interface Link {
    readonly ifname: string;
    readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
  }
  const addresses = ip<Link[]>('address', 'show').flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ local, prefixlen }) => ({ dst: `${local}/${prefixlen}`, dev: ifname })),
  );
  return [...routes, ...addresses];
}

/** Networks of 256 addresses to choose from, the usual one first: all of its /16, then those of others that few people use. */
const candidates = (usual: string): string[] => {
  const [a = '', b = '', c = ''] = usual.split('.');
  const own = Array.from({ length: 256 - Number(c) }, (_, index) => `${a}.${b}.${Number(c) + index}`);
  const others = ['10.231', '172.30', '192.168'].flatMap((start) =>
    Array.from({ length: 128 }, (_, index) => `${start}.${128 + index}`),
  );
  return [...own, ...others];
};

export interface FreeNetwork {
  /** First three numbers: 172.24.4. */
  readonly prefix: string;
  /** The route that the usual one meets. */
  readonly instead?: Route;
}

/** The network of 256 addresses that begins with three numbers, or the next one that nothing of this machine touches.
 * @throws Error when there is none */
export function freeNetwork(usual: string, used: readonly Route[]): FreeNetwork {
  const others = used.filter(
    ({ dst, dev }) =>
      dst.includes('.') && dev !== EXTERNAL_BRIDGE && Number(dst.split('/')[1] ?? 32) >= SHORTEST_PREFIX,
  );
  const collision = (prefix: string): Route | undefined => {
    const [first, last] = range(`${prefix}.0/24`);
    return others.find(({ dst }) => {
      const [from, to] = range(dst);
      return from <= last && to >= first;
    });
  };
  const prefix = candidates(usual).find((one) => !collision(one));
  if (prefix === undefined)
    throw new Error(`every network that could be taken instead of ${usual}.0/24 meets a route of this machine`);
  const instead = collision(usual);
  return { prefix, ...(instead ? { instead } : {}) };
}
