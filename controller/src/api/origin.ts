// Which address links are built on: the one that the caller used, if it is one of ours; a made-up Host header is never repeated.
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, type AddressInfo } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';

export interface OriginOptions {
  /** What links name when the caller's own words can't be used: "https://cloud.example"; null: the address that was reached. */
  readonly endpoint: string | null;
  /** Names of ours that this machine does not know of itself: of a proxy, of a public address. */
  readonly names: readonly string[];
  /** Where we listen now. */
  readonly listening: () => readonly Pick<AddressInfo, 'port'>[];
  /** Where other machines reach us by TLS, with a name that the certificate has. */
  readonly remote?: () => string | undefined;
  /** Names and addresses of this machine, instead of looking at it. */
  readonly machine?: () => readonly string[];
}

/** The socket's part of a request that matters here. */
export type Reached = Pick<IncomingMessage, 'headers'> & {
  readonly socket: Partial<Pick<IncomingMessage['socket'], 'localAddress' | 'localPort' | 'remoteAddress'>> & {
    readonly encrypted?: boolean;
  };
};

/** How long the names and addresses of this machine are believed, in milliseconds. */
const MACHINE_MS = 5_000;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const plainAddress = (address: string): string => address.replace(/^::ffff:(?=[\d.]+$)/, '').replace(/%.*$/, '');

/** Whether an address or name leads back to the machine it is used on. */
export function isLoopback(name: string): boolean {
  const family = isIP(name);
  return family === 0 ? name === 'localhost' : loopback.check(name, family === 4 ? 'ipv4' : 'ipv6');
}

/** An address as the host part of a URL. */
export const urlHost = (address: string): string => (isIP(address) === 6 ? `[${address}]` : address);

/** Host name and addresses of this machine as they are now. */
export function machineNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
  return [hostname(), ...addresses.map(plainAddress)];
}

const HOST = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?$/;

/** A Host header as a URL, or undefined when it is none. */
function parseHost(scheme: string, host: string | undefined): URL | undefined {
  if (host === undefined || !HOST.test(host) || !URL.canParse(`${scheme}://${host}`)) return undefined;
  return new URL(`${scheme}://${host}`);
}

/** One way to write an address: as URLs do. */
const canonical = (name: string): string => {
  const host = urlHost(name);
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : name.toLowerCase();
};

/** Returns the function that finds scheme and authority for the links of an answer, without a slash at the end. */
export function createOrigins(options: OriginOptions): (request: Reached) => string {
  const { machine = machineNames, listening } = options;
  const endpoint = options.endpoint === null ? undefined : new URL(options.endpoint);
  const given = options.names.map(canonical);
  let own = new Set<string>();
  let lookedAt = -Infinity;

  const isOurs = (name: string): boolean => {
    const now = performance.now();
    if (now - lookedAt >= MACHINE_MS) {
      own = new Set([...given, ...machine().map(canonical)]);
      lookedAt = now;
    }
    return own.has(name);
  };

  return ({ headers, socket }) => {
    const scheme = socket.encrypted === true ? 'https' : 'http';
    // Behind a proxy that ends TLS the endpoint's scheme is not that of our socket.
    if (endpoint && parseHost(endpoint.protocol.slice(0, -1), headers.host)?.host === endpoint.host)
      return endpoint.origin;
    const asked = parseHost(scheme, headers.host);
    if (asked) {
      const name = asked.hostname;
      const port = Number(asked.port || (scheme === 'https' ? 443 : 80));
      const known = listening().some((one) => one.port === port);
      const local = isLoopback(name.replace(/^\[|\]$/g, ''));
      // The near end of a tunnel has a port of the caller's choice, and comes out of it on this machine.
      const tunnel = local && isLoopback(plainAddress(socket.remoteAddress ?? ''));
      if (tunnel || (known && (local || isOurs(name)))) return asked.origin;
    }
    if (endpoint) return endpoint.origin;
    const secure = scheme === 'https' ? options.remote?.() : undefined;
    if (secure !== undefined) return secure;
    return `${scheme}://${urlHost(plainAddress(socket.localAddress ?? '127.0.0.1'))}:${socket.localPort ?? 0}`;
  };
}
