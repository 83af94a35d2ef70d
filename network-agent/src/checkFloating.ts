// Whether addresses of a LAN can be given to servers: looked at before they are taken, because a doubled address takes another machine off the net.
import { CommandError, CumuletError, type Exec } from '@cumulet/common';
import { addressesOf, inRange, parseRange, subnetOf, type FloatingRange, type Range } from './floatingRange';
import { parseJson } from './observe';

interface JsonAddresses {
  readonly ifname?: string;
  readonly link_type?: string;
  readonly ifalias?: string;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly { readonly family?: string; readonly local?: string; readonly prefixlen?: number }[];
}

interface JsonRoute {
  readonly gateway?: string;
}

/** How many addresses are asked for at a time. */
const AT_ONCE = 32;

const refuse = (words: string): CumuletError => new CumuletError('floating_refused', words);

const v4 = ({ addr_info = [] }: JsonAddresses): { local: string; prefixlen: number }[] =>
  addr_info.flatMap(({ family, local, prefixlen }) =>
    family === 'inet' && local !== undefined && prefixlen !== undefined ? [{ local, prefixlen }] : [],
  );

/** The subnet of the interface that the range is in. @throws CumuletError */
function subnetAround(range: Range, wanted: FloatingRange, link: JsonAddresses): Range {
  const subnets = v4(link).map(({ local, prefixlen }) => ({
    text: `${local}/${prefixlen}`,
    ...subnetOf(local, prefixlen),
  }));
  const around = subnets.find(({ first, last }) => range.first >= first && range.last <= last);
  if (around) {
    if (range.first === around.first || range.last === around.last)
      throw refuse(
        `the range ${wanted.range} has the first or last address of ${around.text}, which no server can have`,
      );
    return around;
  }
  const has = subnets.map(({ text }) => text).join(', ') || 'no IPv4 address';
  throw refuse(`the range ${wanted.range} is not inside the network of ${wanted.interface}, which has ${has}`);
}

/** Whether somebody on the LAN has the address. */
async function answers(exec: Exec, device: string, address: string): Promise<boolean> {
  try {
    // Asking without an address of ours disturbs nobody's tables (RFC 5227).
    await exec(['arping', '-q', '-D', '-c', '2', '-w', '2', '-I', device, address]);
    return false;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1 && error.stderr.trim() === '') return true;
    throw error;
  }
}

/**
 * Changes nothing. @throws CumuletError in words: no such interface, outside of its network, this machine's own or its gateway's
 * address, or one that another machine has
 */
export async function checkFloating(exec: Exec, wanted: FloatingRange): Promise<void> {
  const range = parseRange(wanted.range);
  const links = parseJson<JsonAddresses>((await exec(['ip', '-json', 'address', 'show'])).stdout, 'ip address');
  const link = links.find(({ ifname }) => ifname === wanted.interface);
  const usable = links.filter(
    (one) => one.link_type !== 'loopback' && v4(one).length > 0 && !one.ifname?.startsWith('cml'),
  );
  if (!link)
    throw refuse(
      `this machine has no interface ${wanted.interface}; those with addresses are ${usable.map(({ ifname }) => ifname).join(', ')}`,
    );
  if (!usable.includes(link) && v4(link).length > 0)
    throw refuse(
      `the interface ${wanted.interface} leads to no LAN; take one of ${usable.map(({ ifname }) => ifname).join(', ')}`,
    );
  if (link.flags?.includes('NOARP'))
    throw refuse(`the interface ${wanted.interface} has no ARP, so that nobody there finds an address`);
  subnetAround(range, wanted, link);
  const own = links.flatMap(v4).find(({ local }) => inRange(local, range));
  if (own) throw refuse(`the range ${wanted.range} has ${own.local}, which is this machine's own address`);
  const routes = parseJson<JsonRoute>((await exec(['ip', '-json', '-4', 'route', 'show'])).stdout, 'ip route');
  const gateway = routes.find((route) => route.gateway !== undefined && inRange(route.gateway, range))?.gateway;
  if (gateway !== undefined) throw refuse(`the range ${wanted.range} has ${gateway}, which is the gateway of a route`);
  const rest = addressesOf(range);
  while (rest.length > 0) {
    const some = rest.splice(0, AT_ONCE);
    const taken = await Promise.all(some.map((address) => answers(exec, wanted.interface, address)));
    const first = some[taken.indexOf(true)];
    if (first !== undefined)
      throw refuse(`another machine on ${wanted.interface} has ${first} now: choose a range that is free`);
  }
}
