// Host aggregates: named sets of hosts with metadata. One with an availability zone puts its hosts into that zone.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, IsNull, isDuplicate, type ReadSession, type WriteSession } from '../../db';
import { servers } from '../../db/entities/compute';
import { aggregateHosts, aggregates, type Aggregate } from '../../db/entities/placement';
import { hosts } from '../../db/entities/tasks';
import { ConflictError, InvalidError, NotFoundError } from '../../errors';
import { DEFAULT_ZONE } from './placement';

const ZONE_KEY = 'availability_zone';

export interface AggregateWithHosts {
  readonly aggregate: Aggregate;
  readonly hosts: readonly string[];
}

export const zoneOf = ({ metadata }: Pick<Aggregate, 'metadata'>): string | null => metadata[ZONE_KEY] ?? null;

const noAggregate = (id: number): NotFoundError =>
  new NotFoundError(`Aggregate ${id} could not be found.`, 'AggregateNotFound');

/** All aggregates with their hosts, in two queries. */
export async function listAggregates(session: ReadSession): Promise<AggregateWithHosts[]> {
  const members = await session.find(aggregateHosts, { order: { host: 'ASC' } });
  return (await session.find(aggregates, { order: { sequence: 'ASC' } })).map((aggregate) => ({
    aggregate,
    hosts: members.filter((one) => one.aggregate === aggregate.sequence).map(({ host }) => host),
  }));
}

/** @throws NotFoundError */
export async function findAggregate(session: ReadSession, id: number): Promise<AggregateWithHosts> {
  const aggregate = await session.findOne(aggregates, { sequence: id });
  if (!aggregate) throw noAggregate(id);
  const members = await session.find(aggregateHosts, { where: { aggregate: id }, order: { host: 'ASC' } });
  return { aggregate, hosts: members.map(({ host }) => host) };
}

const nameTaken = (name: string): ConflictError =>
  new ConflictError(`Aggregate ${name} already exists.`, 'AggregateNameExists');

/** @throws ConflictError when the name is taken */
export async function createAggregate(
  session: WriteSession,
  cloud: Cloud,
  name: string,
  zone: string | null,
): Promise<AggregateWithHosts> {
  const row = {
    uuid: newId(),
    name,
    metadata: zone === null ? {} : { [ZONE_KEY]: zone },
    created_at: cloud.clock.now(),
    updated_at: null,
  };
  try {
    return { aggregate: { ...row, sequence: await session.insert(aggregates, row) }, hosts: [] };
  } catch (error) {
    if (isDuplicate(error)) throw nameTaken(name);
    throw error;
  }
}

/** Puts hosts into a zone; null is the default one. */
async function moveHosts(session: WriteSession, cloud: Cloud, names: readonly string[], zone: string | null) {
  const set = { availability_zone: zone ?? DEFAULT_ZONE, updated_at: cloud.clock.now() };
  for (const name of names) await session.update(hosts, { name }, set);
}

/** Zones of a host's aggregates but one. */
async function otherZones(session: ReadSession, host: string, except: number): Promise<string[]> {
  const ids = (await session.find(aggregateHosts, { where: { host } })).map((one) => one.aggregate);
  const rows = await session.find(aggregates, { where: { sequence: In(ids.filter((id) => id !== except)) } });
  return rows.flatMap((row) => zoneOf(row) ?? []);
}

/**
 * Gives the hosts of an aggregate another zone. A server never changes its zone by that: hosts with servers stay where they are.
 * @throws InvalidError when a host has servers, or is in another zone by another aggregate
 */
async function changeZone(session: WriteSession, cloud: Cloud, found: AggregateWithHosts, zone: string | null) {
  const { aggregate, hosts: names } = found;
  if (zone === zoneOf(aggregate) || names.length === 0) return;
  if (zone === null) return moveHosts(session, cloud, names, null);
  const busy = await session.count(servers, { host: In([...names]), deleted_at: IsNull() });
  if (busy > 0)
    throw new InvalidError(
      `Cannot perform action 'update aggregate' on aggregate ${aggregate.sequence}. Reason: One or more hosts contain instances in this zone.`,
      'InvalidAggregateAction',
    );
  for (const host of names) {
    if ((await otherZones(session, host, aggregate.sequence)).some((other) => other !== zone))
      throw new InvalidError(`Host ${host} is already in another availability zone.`, 'InvalidAggregateAction');
  }
  await moveHosts(session, cloud, names, zone);
}

async function save(
  session: WriteSession,
  cloud: Cloud,
  found: AggregateWithHosts,
  set: Partial<Pick<Aggregate, 'name' | 'metadata'>>,
): Promise<AggregateWithHosts> {
  const change = { ...set, updated_at: cloud.clock.now() };
  try {
    await session.update(aggregates, { sequence: found.aggregate.sequence }, change);
  } catch (error) {
    if (isDuplicate(error)) throw nameTaken(set.name ?? '');
    throw error;
  }
  return { ...found, aggregate: { ...found.aggregate, ...change } };
}

/** Renames an aggregate or gives it another zone. @throws NotFoundError, ConflictError, InvalidError */
export async function updateAggregate(
  session: WriteSession,
  cloud: Cloud,
  id: number,
  change: { readonly name?: string; readonly zone?: string | null },
): Promise<AggregateWithHosts> {
  const found = await findAggregate(session, id);
  const set: { name?: string; metadata?: Record<string, string> } = {};
  if (change.name !== undefined) set.name = change.name;
  if (change.zone !== undefined) {
    await changeZone(session, cloud, found, change.zone);
    set.metadata = merged(found.aggregate.metadata, { [ZONE_KEY]: change.zone });
  }
  return save(session, cloud, found, set);
}

/** Metadata with changes; null takes a key away. */
function merged(
  metadata: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const all = Object.entries({ ...metadata, ...changes });
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null));
}

/** Sets keys and takes those away that are null; others stay. @throws NotFoundError, InvalidError */
export async function setAggregateMetadata(
  session: WriteSession,
  cloud: Cloud,
  id: number,
  changes: Readonly<Record<string, string | null>>,
): Promise<AggregateWithHosts> {
  const found = await findAggregate(session, id);
  const zone = changes[ZONE_KEY];
  if (zone !== undefined) await changeZone(session, cloud, found, zone);
  return save(session, cloud, found, { metadata: merged(found.aggregate.metadata, changes) });
}

/** @throws NotFoundError; InvalidError while it has hosts */
export async function deleteAggregate(session: WriteSession, id: number): Promise<void> {
  const found = await findAggregate(session, id);
  if (found.hosts.length > 0)
    throw new InvalidError(
      `Cannot perform action 'delete' on aggregate ${id}. Reason: Host aggregate is not empty.`,
      'InvalidAggregateAction',
    );
  await session.delete(aggregates, { sequence: id });
}

const noHost = (host: string): NotFoundError =>
  new NotFoundError(`Compute host ${host} could not be found.`, 'ComputeHostNotFound');

/** @throws NotFoundError; ConflictError when the host is in it already, or in another zone */
export async function addAggregateHost(
  session: WriteSession,
  cloud: Cloud,
  id: number,
  host: string,
): Promise<AggregateWithHosts> {
  const found = await findAggregate(session, id);
  const known = await session.findOne(hosts, { name: host });
  if (!known) throw noHost(host);
  if (found.hosts.includes(host))
    throw new ConflictError(`Aggregate ${id} already has host ${host}.`, 'AggregateHostExists');
  const zone = zoneOf(found.aggregate);
  const refuse = (reason: string): ConflictError =>
    new ConflictError(`Cannot add host to aggregate ${id}. Reason: ${reason}.`, 'InvalidAggregateAction');
  if (zone !== null && known.availability_zone !== zone) {
    if ((await otherZones(session, host, id)).length > 0)
      throw refuse(`Host ${host} is already in availability zone ${known.availability_zone}`);
    if ((await session.count(servers, { host, deleted_at: IsNull() })) > 0)
      throw refuse(`Host ${host} has servers, which must not change their zone`);
    await moveHosts(session, cloud, [host], zone);
  }
  await session.insert(aggregateHosts, { aggregate: id, host });
  return { ...(await save(session, cloud, found, {})), hosts: [...found.hosts, host].sort() };
}

/** @throws NotFoundError when host, aggregate or membership is not there; ConflictError when servers would change their zone */
export async function removeAggregateHost(
  session: WriteSession,
  cloud: Cloud,
  id: number,
  host: string,
): Promise<AggregateWithHosts> {
  const found = await findAggregate(session, id);
  if (!(await session.findOne(hosts, { name: host }))) throw noHost(host);
  if (!found.hosts.includes(host))
    throw new NotFoundError(`Aggregate ${id} has no host ${host}.`, 'AggregateHostNotFound');
  const zone = zoneOf(found.aggregate);
  if (zone !== null && !(await otherZones(session, host, id)).includes(zone)) {
    if ((await session.count(servers, { host, deleted_at: IsNull() })) > 0)
      throw new ConflictError(
        `Cannot remove host from aggregate ${id}. Reason: Host ${host} has servers, which must not change their zone.`,
        'InvalidAggregateAction',
      );
    await moveHosts(session, cloud, [host], null);
  }
  await session.delete(aggregateHosts, { aggregate: id, host });
  return { ...(await save(session, cloud, found, {})), hosts: found.hosts.filter((one) => one !== host) };
}

/** Takes a host that is forgotten out of all aggregates. */
export async function leaveAggregates(session: WriteSession, host: string): Promise<void> {
  await session.delete(aggregateHosts, { host });
}
