// Which providers fit what is asked. Pure. Every provider is a tree of its own, so all groups of a request meet in one.
import type { Provider } from './providers';

/** What is asked of one provider. */
export interface RequestGroup {
  readonly resources: ReadonlyMap<string, number>;
  /** One trait of each list. */
  readonly required: readonly (readonly string[])[];
  readonly forbidden: readonly string[];
  /** In one aggregate of each list. */
  readonly memberOf: readonly (readonly string[])[];
  readonly notMemberOf: readonly string[];
  /** Any provider of this one's tree. */
  readonly inTree: string | undefined;
}

export const anything: RequestGroup = {
  resources: new Map(),
  required: [],
  forbidden: [],
  memberOf: [],
  notMemberOf: [],
  inTree: undefined,
};

/** Whether a provider has room for an amount in the portions it gives out. */
function hasRoom(provider: Provider, name: string, amount: number): boolean {
  const inventory = provider.inventories.get(name);
  if (!inventory) return false;
  const free = (provider.capacity.get(name) ?? 0) - (provider.used.get(name) ?? 0);
  return (
    amount >= inventory.min_unit && amount <= inventory.max_unit && amount % inventory.step_size === 0 && amount <= free
  );
}

const hasTraits = ({ traits }: Provider, required: RequestGroup['required'], forbidden: readonly string[]): boolean =>
  required.every((any) => any.some((name) => traits.includes(name))) &&
  !forbidden.some((name) => traits.includes(name));

/** Whether a provider fits one group. */
export function fits(provider: Provider, group: RequestGroup): boolean {
  const { aggregates, host } = provider;
  return (
    (group.inTree === undefined || group.inTree === host.id) &&
    hasTraits(provider, group.required, group.forbidden) &&
    group.memberOf.every((any) => any.some((uuid) => aggregates.includes(uuid))) &&
    !group.notMemberOf.some((uuid) => aggregates.includes(uuid)) &&
    [...group.resources].every(([name, amount]) => hasRoom(provider, name, amount))
  );
}

export interface CandidateRequest {
  /** By suffix; the group without one has ''. */
  readonly groups: ReadonlyMap<string, RequestGroup>;
  /** Whether no two groups with suffixes may be satisfied by one provider. */
  readonly isolate: boolean;
  /** Of the tree's root. */
  readonly root: Pick<RequestGroup, 'required' | 'forbidden'>;
  readonly limit: number | undefined;
}

/** What groups ask for together. */
export function sumOf(groups: Iterable<RequestGroup>): Map<string, number> {
  const sum = new Map<string, number>();
  for (const { resources } of groups)
    for (const [name, amount] of resources) sum.set(name, (sum.get(name) ?? 0) + amount);
  return sum;
}

/** Whether the groups' amounts fit together; each alone was looked at before. */
function hasRoomForAll(provider: Provider, resources: ReadonlyMap<string, number>): boolean {
  return [...resources].every(([name, amount]) => {
    const free = (provider.capacity.get(name) ?? 0) - (provider.used.get(name) ?? 0);
    return amount <= free && amount <= (provider.inventories.get(name)?.max_unit ?? 0);
  });
}

/** The providers that could take all of a request, in their order. */
export function candidates(providers: readonly Provider[], request: CandidateRequest): Provider[] {
  const { groups, isolate, root, limit } = request;
  const suffixed = [...groups.keys()].filter((suffix) => suffix !== '');
  if (isolate && suffixed.length > 1) return [];
  const resources = sumOf(groups.values());
  return providers
    .filter(
      (provider) =>
        hasTraits(provider, root.required, root.forbidden) &&
        [...groups.values()].every((group) => fits(provider, group)) &&
        hasRoomForAll(provider, resources),
    )
    .slice(0, limit);
}
