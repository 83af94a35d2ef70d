// What a host has of each resource and how much of it is given out. Pure; the scheduler obeys the capacities that come of it.
import type { Host, HostResourceClass, InventorySetting, Resources } from '../../db/entities/tasks';

/** The largest number of the placement API: no limit. */
export const MAX_INT = 2_147_483_647;

/** Where a resource class is in `Resources`. */
export const RESOURCE_KEYS: Readonly<Record<HostResourceClass, keyof Resources>> = {
  VCPU: 'vcpus',
  MEMORY_MB: 'memoryMib',
  DISK_GB: 'diskGib',
};
export const HOST_CLASSES = Object.keys(RESOURCE_KEYS) as HostResourceClass[];

export const isHostClass = (name: string): name is HostResourceClass => Object.hasOwn(RESOURCE_KEYS, name);

/** What holds where a request does not say otherwise. */
export const DEFAULT_SETTING: InventorySetting = {
  allocation_ratio: 1,
  reserved: 0,
  min_unit: 1,
  max_unit: MAX_INT,
  step_size: 1,
};

export interface Inventory extends InventorySetting {
  readonly total: number;
}

const whole = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? Math.floor(value) : 0);

/** What the agents of a host found: memory in MiB, disk in GiB. 0 before they told it. */
export const totalsOf = (
  compute: Readonly<Record<string, unknown>>,
  storage: Readonly<Record<string, unknown>>,
): Record<HostResourceClass, number> => ({
  VCPU: whole(compute['vcpus']),
  MEMORY_MB: whole(compute['memory_mib']),
  DISK_GB: whole(storage['disk_gib']),
});

/** How much of a resource may be claimed. `ratio` holds where the administrator set none for this host. */
export function capacityOf(
  total: number,
  setting: Pick<InventorySetting, 'allocation_ratio' | 'reserved'> | undefined,
  ratio: number,
): number {
  return Math.max(0, total - (setting?.reserved ?? 0)) * (setting?.allocation_ratio ?? ratio);
}

/** Where a resource class is in a host's row. */
export const COLUMNS = {
  VCPU: { capacity: 'cap_vcpus', used: 'used_vcpus' },
  MEMORY_MB: { capacity: 'cap_memory_mib', used: 'used_memory_mib' },
  DISK_GB: { capacity: 'cap_disk_gib', used: 'used_disk_gib' },
} as const satisfies Record<HostResourceClass, { capacity: keyof Host; used: keyof Host }>;

/** The inventories of a host: of what it has none, there is no entry. */
export function inventoriesOf(
  host: Pick<Host, 'cap_vcpus' | 'cap_memory_mib' | 'cap_disk_gib' | 'inventory_settings'>,
  totals: Readonly<Record<HostResourceClass, number>>,
): Map<HostResourceClass, Inventory> {
  const found = new Map<HostResourceClass, Inventory>();
  for (const name of HOST_CLASSES) {
    const total = totals[name];
    if (total === 0) continue;
    // Without a setting nothing is reserved, and the ratio is the one that the host registered under.
    const ratio = Number((host[COLUMNS[name].capacity] / total).toFixed(6));
    found.set(name, { total, ...DEFAULT_SETTING, allocation_ratio: ratio, ...host.inventory_settings[name] });
  }
  return found;
}
