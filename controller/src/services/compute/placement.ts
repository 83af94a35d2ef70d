// Where a server may run: zones, and "zone:host" for administrators.
import type { ReadSession } from '../../db';
import { hosts, type Host } from '../../db/entities/tasks';
import { InvalidError } from '../../errors';

/** The zone of hosts that nobody put into another. */
export const DEFAULT_ZONE = 'nova';

export interface Placement {
  /** Null: any zone. */
  readonly zone: string | null;
  /** Null: the scheduler chooses. */
  readonly host: string | null;
}

/** Splits "zone", "zone:host" or "zone:host:node". Here a host has one node, of the same name. @throws InvalidError */
export function parseZone(text: string | undefined): Placement {
  if (text === undefined || text === '') return { zone: null, host: null };
  const parts = text.split(':');
  if (parts.length > 3) throw new InvalidError('Unable to parse availability_zone', 'InvalidInput');
  const [zone = '', host = '', node = ''] = parts;
  if (host !== '' && node !== '' && host !== node)
    throw new InvalidError(`Compute host ${host}:${node} could not be found.`, 'ComputeHostNotFound');
  const target = host || node;
  return { zone: zone === '' ? null : zone, host: target === '' ? null : target };
}

/** All zones there are, each with its hosts. */
async function zonesOf(session: ReadSession): Promise<Map<string, Host[]>> {
  const zones = new Map<string, Host[]>([[DEFAULT_ZONE, []]]);
  for (const host of await session.find(hosts, { order: { name: 'ASC' } })) {
    const known = zones.get(host.availability_zone);
    if (known) known.push(host);
    else zones.set(host.availability_zone, [host]);
  }
  return zones;
}

/** Checks that zone and host exist. @throws InvalidError in the words that clients know */
export async function requirePlacement(session: ReadSession, placement: Placement): Promise<void> {
  if (placement.zone === null && placement.host === null) return;
  const zones = await zonesOf(session);
  if (placement.host !== null) {
    const known = [...zones.values()].flat().some((host) => host.name === placement.host);
    if (!known) throw new InvalidError(`Compute host ${placement.host} could not be found.`, 'ComputeHostNotFound');
  }
  if (placement.zone !== null && !zones.has(placement.zone))
    throw new InvalidError('The requested availability zone is not available', 'InvalidRequest');
}
