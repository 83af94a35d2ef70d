// Availability zones of networks and routers: those of the hosts.
import { type ReadSession } from '../../db';
import { hosts } from '../../db/entities/tasks';
import { NotFoundError } from '../../errors';

/** The zone of a cloud without hosts yet. */
const DEFAULT_ZONE = 'nova';

export async function zoneNames(session: ReadSession): Promise<string[]> {
  const rows = await session.find(hosts);
  if (rows.length === 0) return [DEFAULT_ZONE];
  return [...new Set(rows.map((row) => row.availability_zone))].sort();
}

/** The zone of each host by its name. */
export async function zonesOfHosts(session: ReadSession): Promise<Map<string, string>> {
  return new Map((await session.find(hosts)).map((host) => [host.name, host.availability_zone]));
}

/** @throws NotFoundError AvailabilityZoneNotFound */
export async function checkZones(session: ReadSession, hints: readonly string[]): Promise<void> {
  if (hints.length === 0) return;
  const known = await zoneNames(session);
  const unknown = hints.find((hint) => !known.includes(hint));
  if (unknown !== undefined)
    throw new NotFoundError(`AvailabilityZone ${unknown} could not be found.`, 'AvailabilityZoneNotFound');
}
