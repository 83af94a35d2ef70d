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

/** Whether a provider has so much left and gives it to one consumer. */
function hasRoom({ stocks }: Provider, name: string, amount: number): boolean {
  const stock = stocks.get(name);
  return stock !== undefined && amount <= stock.capacity - stock.used && amount <= stock.max_unit;
}

/** Whether a provider has room for an amount in the portions it gives out. */
function givesOut(provider: Provider, name: string, amount: number): boolean {
  const stock = provider.stocks.get(name);
  return (
    stock !== undefined && amount >= stock.min_unit && amount % stock.step_size === 0 && hasRoom(provider, name, amount)
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
    [...group.resources].every(([name, amount]) => givesOut(provider, name, amount))
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

/** The providers that could take all of a request, in their order. */
export function candidates(providers: readonly Provider[], request: CandidateRequest): Provider[] {
  const { groups, isolate, root, limit } = request;
  const suffixed = [...groups.keys()].filter((suffix) => suffix !== '');
  if (isolate && suffixed.length > 1) return [];
  // Portions are of each group; room must be there for all of them together.
  const sum = [...sumOf(groups.values())];
  return providers
    .filter(
      (provider) =>
        hasTraits(provider, root.required, root.forbidden) &&
        sum.every(([name, amount]) => hasRoom(provider, name, amount)) &&
        [...groups.values()].every((group) => fits(provider, group)),
    )
    .slice(0, limit);
}
