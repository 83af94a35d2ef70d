// The addresses of a newcomer's subnet: their servers reach nothing outside that has the same ones.
import type { Context, Row } from './command';
import { CliError } from './errors';
import { net, subnet } from './nouns/resources';
import { idOf, rowsOf } from './resource';
import { freeNetwork, usedNetworks, type Route } from './up/freeNetwork';

/** First three numbers unless something has them; networks of projects do not see each other. */
export const USUAL = '10.24.0';

/** What this machine reaches: it is the cloud's host, or in the same lab. */
function reached(): Route[] {
  try {
    return usedNetworks();
  } catch (error) {
    // Administrators work on systems without iproute2, too; what the cloud itself knows has to do there.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    const message = (error as Error).message.trim().replaceAll('\n', ': ');
    throw new CliError(`the routes of this machine could not be read: ${message}`);
  }
}

/** A range that neither routes of this machine nor subnets of the external network meet.
 * @returns it, and why it is not the usual one
 * @throws CliError when there is none */
export async function newcomerRange({ api }: Context, outside: Row): Promise<{ range: string; reason?: string }> {
  const outer = await rowsOf(api, subnet, { network_id: idOf(net, outside) });
  const used = [...reached(), ...outer.map((row) => ({ dst: String(row['cidr']), dev: String(outside['name']) }))];
  try {
    const { prefix, instead } = freeNetwork(USUAL, used);
    const range = `${prefix}.0/24`;
    if (!instead) return { range };
    const { dst, dev } = instead;
    return { range, reason: `${USUAL}.0/24 meets ${dst}${dev === undefined ? '' : ` of ${dev}`}` };
  } catch (error) {
    throw new CliError(`${(error as Error).message}: give one with --subnet-range`);
  }
}
