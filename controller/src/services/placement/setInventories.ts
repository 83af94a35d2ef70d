// What an administrator may say of a host's inventories: how much is given out and in which portions. What there is, the host says.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { agents, hosts, type HostResourceClass, type InventorySetting } from '../../db/entities/tasks';
import { InvalidError } from '../../errors';
import { refused } from './errors';
import { capacityOf, COLUMNS, DEFAULT_SETTING, HOST_CLASSES, isHostClass, totalsOf } from './inventory';
import { holdHost } from './providers';

/** An inventory as a request has it: what it leaves out has the API's default. */
export type WantedInventory = { readonly total: number } & Partial<InventorySetting>;

const settingOf = ({ total: _, ...given }: WantedInventory): InventorySetting => ({ ...DEFAULT_SETTING, ...given });

/** @throws InvalidError for what leaves nothing; from 1.26 on a host may keep all of it */
function requireCapacity(name: string, total: number, setting: InventorySetting, allReserved: boolean): void {
  const capacity = Math.floor((total - setting.reserved) * setting.allocation_ratio);
  if (capacity > 0 || (capacity === 0 && allReserved)) return;
  throw new InvalidError(
    `Unable to update the inventory of ${name}: of a total of ${total}, ${setting.reserved} is reserved, and nothing is left.`,
  );
}

/** @throws InvalidError, ForbiddenError for what the host says otherwise */
function check(
  name: string,
  wanted: WantedInventory,
  totals: Readonly<Record<HostResourceClass, number>>,
  allReserved: boolean,
): [HostResourceClass, InventorySetting] {
  if (!isHostClass(name) || totals[name] === 0)
    throw refused(`set an inventory of ${name}`, 'this host has none. Its agents say which resources it has.');
  if (wanted.total !== totals[name])
    throw refused(
      `set a total of ${wanted.total} ${name}`,
      `the host's agents found ${totals[name]}. Set reserved or allocation_ratio to give out less or more.`,
    );
  const setting = settingOf(wanted);
  requireCapacity(name, wanted.total, setting, allReserved);
  return [name, setting];
}

export interface InventoryChange {
  /** What the caller knows of the host. */
  readonly generation: number;
  readonly inventories: Readonly<Record<string, WantedInventory>>;
  /** Whether these are all that the host shall have. */
  readonly whole: boolean;
  /** Whether everything may be reserved. */
  readonly allReserved: boolean;
}

/**
 * Writes settings and the capacities that follow from them; claims look at those.
 * @throws NotFoundError, ConflictError when the host has changed meanwhile, InvalidError, ForbiddenError
 */
export async function setInventories(
  session: WriteSession,
  cloud: Cloud,
  id: string,
  change: InventoryChange,
): Promise<void> {
  const host = await holdHost(session, id, change.generation);
  const storage = await session.findOne(agents, { host: host.name, role: 'storage' });
  const totals = totalsOf(host.inventory, storage?.inventory ?? {});
  const wanted = Object.entries(change.inventories).map(([name, one]) => check(name, one, totals, change.allReserved));
  const kept = HOST_CLASSES.filter((name) => totals[name] > 0 && !wanted.some(([one]) => one === name));
  if (change.whole && kept.length > 0)
    throw refused(`delete the inventory of ${kept.join(' and ')}`, 'the host has it, as its agents say. Name it too.');
  const capacities = wanted.map(([name, setting]) => [
    COLUMNS[name].capacity,
    capacityOf(totals[name], setting, setting.allocation_ratio),
  ]);
  await session.update(
    hosts,
    { id },
    {
      ...(Object.fromEntries(capacities) as object),
      inventory_settings: { ...host.inventory_settings, ...Object.fromEntries(wanted) },
      generation: host.generation + 1,
      updated_at: cloud.clock.now(),
    },
  );
}
