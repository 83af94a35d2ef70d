// Resource providers: every host is one, under the host's own id. They are views of the host's row, aggregates and agents.
import { groupBy, type ReadSession, type WriteSession } from '../../db';
import { aggregateHosts, aggregates } from '../../db/entities/placement';
import { agents, hosts, type Host, type HostResourceClass } from '../../db/entities/tasks';
import { foundTraits } from '../hosts';
import { changedMeanwhile, noProvider } from './errors';
import { COLUMNS, inventoriesOf, totalsOf, type Inventory } from './inventory';

/** Nova's mark of a host on which nothing new is placed. Not set by anybody: it follows from the host. */
export const DISABLED_TRAIT = 'COMPUTE_STATUS_DISABLED';

/** A resource of a provider and how much of it is taken. */
export interface Stock extends Inventory {
  /** What can be claimed in all, in whole units. */
  readonly capacity: number;
  readonly used: number;
}

export interface Provider {
  readonly host: Host;
  /** By resource class. */
  readonly stocks: ReadonlyMap<string, Stock>;
  /** In order. */
  readonly traits: readonly string[];
  /** UUIDs of the aggregates that the host is in. */
  readonly aggregates: readonly string[];
}

/** Every trait of a host: found by its agent, set by the administrator, or following from its state. */
export const allTraitsOf = (host: Host): string[] =>
  [...new Set([...foundTraits(host), ...host.traits, ...(host.enabled ? [] : [DISABLED_TRAIT])])].sort();

function providerOf(host: Host, storage: Readonly<Record<string, unknown>>, aggregateIds: readonly string[]): Provider {
  const inventories = inventoriesOf(host, totalsOf(host.inventory, storage));
  const stockOf = (name: HostResourceClass, inventory: Inventory): Stock => ({
    ...inventory,
    capacity: Math.floor(host[COLUMNS[name].capacity]),
    used: host[COLUMNS[name].used],
  });
  return {
    host,
    stocks: new Map([...inventories].map(([name, inventory]) => [name, stockOf(name, inventory)])),
    traits: allTraitsOf(host),
    aggregates: aggregateIds,
  };
}

/** Providers of some hosts, in three queries. */
async function providersOf(session: ReadSession, rows: readonly Host[], only: { host?: string }): Promise<Provider[]> {
  const storage = await session.find(agents, { where: { role: 'storage', ...only } });
  const disks = new Map(storage.map((agent) => [agent.host, agent.inventory]));
  const uuids = new Map((await session.find(aggregates)).map((row) => [row.sequence, row.uuid]));
  const members = groupBy(
    await session.find(aggregateHosts, { where: only, order: { aggregate: 'ASC' } }),
    (row) => row.host,
  );
  return rows.map((host) => {
    const aggregateIds = (members.get(host.name) ?? []).flatMap(({ aggregate }) => uuids.get(aggregate) ?? []);
    return providerOf(host, disks.get(host.name) ?? {}, aggregateIds);
  });
}

/** All providers by name. */
export const listProviders = async (session: ReadSession): Promise<Provider[]> =>
  providersOf(session, await session.find(hosts, { order: { name: 'ASC' } }), {});

/** @throws NotFoundError */
export async function findProvider(session: ReadSession, id: string): Promise<Provider> {
  const host = await session.findOne(hosts, { id });
  const [found] = host ? await providersOf(session, [host], { host: host.name }) : [];
  if (!found) throw noProvider(id);
  return found;
}

/**
 * Holds a host's row for a change that was decided by what the caller had read.
 * @param generation what the caller knows; undefined: whatever it is
 * @throws NotFoundError, ConflictError when it has changed meanwhile
 */
export async function holdHost(session: WriteSession, id: string, generation: number | undefined): Promise<Host> {
  const host = await session.findOne(hosts, { id }, 'exclusive');
  if (!host) throw noProvider(id);
  if (generation !== undefined && host.generation !== generation) throw changedMeanwhile();
  return host;
}
