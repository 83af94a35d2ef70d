// Which aggregates a host is in, set as a whole: the same aggregates as those of the compute API, with the same rules.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { hosts } from '../../db/entities/tasks';
import { InvalidError } from '../../errors';
import { addAggregateHost, listAggregates, removeAggregateHost } from '../compute/aggregates';
import { holdHost } from './providers';

/**
 * Puts a host into these aggregates and takes it out of all others.
 * @param generation what the caller knows of the host; undefined: whatever it is, and it stays
 * @throws NotFoundError, ConflictError, InvalidError for an aggregate that is not there
 */
export async function setHostAggregates(
  session: WriteSession,
  cloud: Cloud,
  id: string,
  generation: number | undefined,
  wanted: readonly string[],
): Promise<void> {
  const host = await holdHost(session, id, generation);
  const all = await listAggregates(session);
  const missing = wanted.filter((uuid) => !all.some(({ aggregate }) => aggregate.uuid === uuid));
  if (missing.length > 0)
    throw new InvalidError(`There is no aggregate ${missing.join(', ')}. Aggregates are made by the compute API.`);
  const changes = all.filter(
    ({ aggregate, hosts: names }) => names.includes(host.name) !== wanted.includes(aggregate.uuid),
  );
  // Out of the old ones first: a host can be in one zone only.
  for (const { aggregate } of changes.filter(({ hosts: names }) => names.includes(host.name)))
    await removeAggregateHost(session, cloud, aggregate.sequence, host.name);
  for (const { aggregate } of changes.filter(({ hosts: names }) => !names.includes(host.name)))
    await addAggregateHost(session, cloud, aggregate.sequence, host.name);
  if (generation !== undefined) await session.update(hosts, { id }, { generation: generation + 1 });
}
