// What hosts ask for at the same time is read once for all of them.

/**
 * For how long something is given to others, in milliseconds. The number of the feed alone is not enough: MariaDB may commit a smaller
 * one after a larger one, and then a host that asks again must get what is new.
 */
const SHARED_MS = 250;

/** Reads of objects by id, each as it was when some change was the newest. */
export interface SharedReads<T> {
  /**
   * @param sequence the newest change that the caller has seen, in its own session, before it reads
   * @param keys by id: whatever else the object depends on
   * @param read by id; those that are not there are left out
   * @returns what is there, in the order of the keys
   */
  get(
    sequence: number,
    keys: ReadonlyMap<string, string>,
    read: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>,
  ): Promise<T[]>;
}

/** Each of its hosts asks for a network or a group when one port of it is added, and reading the others is most of the answer. */
export function createSharedReads<T>(now: () => number): SharedReads<T> {
  let kept = new Map<string, Promise<ReadonlyMap<string, T>>>();
  let until = 0;
  let newest = 0;
  return {
    async get(sequence, keys, read) {
      if (sequence > newest || now() >= until) {
        kept = new Map();
        until = now() + SHARED_MS;
        newest = sequence;
      }
      const here = kept;
      const nameOf = (id: string): string => `${id} ${keys.get(id) ?? ''}`;
      const lacking = [...keys.keys()].filter((id) => !here.has(nameOf(id)));
      const reading = lacking.length > 0 ? read(lacking) : Promise.resolve(new Map<string, T>());
      // Who has seen less may have read before the newest change.
      if (sequence === newest) for (const id of lacking) here.set(nameOf(id), reading);
      reading.catch(() => lacking.forEach((id) => here.delete(nameOf(id))));
      const found = await Promise.all(
        [...keys.keys()].map(async (id) => (await (here.get(nameOf(id)) ?? reading)).get(id)),
      );
      return found.filter((one) => one !== undefined);
    },
  };
}
