// Availability zones of networks and routers: those of the hosts.
import { type ReadSession } from '../../db';
import { hosts } from '../../db/entities/tasks';
import { NotFoundError } from '../../errors';

/** The zone of a cloud without hosts yet. */
export const DEFAULT_ZONE = 'nova';

export async function zoneNames(session: ReadSession): Promise<string[]> {
  const rows = await session.find(hosts);
  return [...new Set([DEFAULT_ZONE, ...rows.map((row) => row.availability_zone)])].sort();
}

/** @throws NotFoundError AvailabilityZoneNotFound */
export async function checkZones(session: ReadSession, hints: readonly string[]): Promise<void> {
  if (hints.length === 0) return;
  const known = await zoneNames(session);
  const unknown = hints.find((hint) => !known.includes(hint));
  if (unknown !== undefined)
    throw new NotFoundError(`AvailabilityZone ${unknown} could not be found.`, 'AvailabilityZoneNotFound');
}
