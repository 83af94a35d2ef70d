// Address scopes: groups of subnet pools whose addresses do not overlap.
import { newId } from '@cumulet/common';
import { In, type ReadSession } from '../../db';
import { addressScopes, subnetPools, type AddressScope, type Subnet } from '../../db/entities/network';
import { InvalidError } from '../../errors';
import { touched, type NetworkContext } from './context';
import { conflict } from './errors';

export interface AddressScopeValues {
  readonly name?: string;
  readonly shared?: boolean;
  readonly ip_version?: number;
}

export async function createAddressScope(
  context: NetworkContext,
  projectId: string,
  values: AddressScopeValues,
): Promise<AddressScope> {
  const now = context.cloud.clock.now();
  const scope: AddressScope = {
    id: newId(),
    project_id: projectId,
    name: values.name ?? '',
    description: '',
    created_at: now,
    updated_at: now,
    revision: 0,
    ip_version: values.ip_version ?? 4,
    shared: values.shared ?? false,
  };
  await context.session.insert(addressScopes, scope);
  return scope;
}

/** @throws InvalidError AddressScopeUpdateError when a shared scope would become private */
export async function updateAddressScope(
  context: NetworkContext,
  scope: AddressScope,
  values: AddressScopeValues,
): Promise<AddressScope> {
  if (scope.shared && values.shared === false)
    throw new InvalidError(
      `Unable to update address scope ${scope.id} : Shared address scope can't be unshared.`,
      'AddressScopeUpdateError',
    );
  const set = { name: values.name ?? scope.name, shared: values.shared ?? scope.shared, ...touched(context, scope) };
  await context.session.update(addressScopes, { id: scope.id }, set);
  return { ...scope, ...set };
}

/** @throws ConflictError AddressScopeInUse while pools are in it */
export async function deleteAddressScope(context: NetworkContext, scope: AddressScope): Promise<void> {
  if ((await context.session.count(subnetPools, { address_scope_id: scope.id })) > 0)
    throw conflict(
      'AddressScopeInUse',
      `Unable to complete operation on address scope ${scope.id}. There are one or more subnet pools in use on the address scope.`,
    );
  await context.session.delete(addressScopes, { id: scope.id });
}

/** The address scopes of networks' subnets by IP version, in one query. */
export async function scopesOfNetworks(
  session: ReadSession,
  rows: readonly Subnet[],
): Promise<Map<string, Partial<Record<4 | 6, string>>>> {
  const poolIds = [...new Set(rows.flatMap((row) => row.subnetpool_id ?? []))];
  const pools = poolIds.length === 0 ? [] : await session.find(subnetPools, { where: { id: In(poolIds) } });
  const scopeOf = new Map(pools.map((pool) => [pool.id, pool.address_scope_id]));
  const answer = new Map<string, Partial<Record<4 | 6, string>>>();
  for (const row of rows) {
    const scope = scopeOf.get(row.subnetpool_id ?? '') ?? undefined;
    if (scope === undefined) continue;
    answer.set(row.network_id, { ...answer.get(row.network_id), [row.ip_version]: scope });
  }
  return answer;
}
