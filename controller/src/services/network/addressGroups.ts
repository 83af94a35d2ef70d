// Address groups: lists of prefixes that security group rules name as remote.
import { newId } from '@cumulet/common';
import { In, type ReadSession } from '../../db';
import { addressGroupAddresses, addressGroups, securityGroupRules, type AddressGroup } from '../../db/entities/network';
import { NotFoundError } from '../../errors';
import { changedGroups, recordChanges } from './changes';
import { touched, type NetworkContext } from './context';
import { conflict } from './errors';

export interface AddressGroupValues {
  readonly name?: string;
  readonly description?: string;
  readonly addresses?: readonly string[];
}

async function insertAddresses(context: NetworkContext, id: string, addresses: readonly string[]): Promise<void> {
  const rows = [...new Set(addresses)].map((address) => ({ address_group_id: id, address }));
  if (rows.length > 0) await context.session.insert(addressGroupAddresses, rows);
}

export async function createAddressGroup(
  context: NetworkContext,
  projectId: string,
  values: AddressGroupValues,
): Promise<AddressGroup> {
  const now = context.cloud.clock.now();
  const group: AddressGroup = {
    id: newId(),
    project_id: projectId,
    name: values.name ?? '',
    description: values.description ?? '',
    created_at: now,
    updated_at: now,
    revision: 0,
  };
  await context.session.insert(addressGroups, group);
  await insertAddresses(context, group.id, values.addresses ?? []);
  return group;
}

export async function updateAddressGroup(
  context: NetworkContext,
  group: AddressGroup,
  values: AddressGroupValues,
): Promise<AddressGroup> {
  const set = {
    name: values.name ?? group.name,
    description: values.description ?? group.description,
    ...touched(context, group),
  };
  await context.session.update(addressGroups, { id: group.id }, set);
  return { ...group, ...set };
}

/** @throws ConflictError AddressGroupInUse while rules name it */
export async function deleteAddressGroup(context: NetworkContext, group: AddressGroup): Promise<void> {
  const { session } = context;
  if ((await session.count(securityGroupRules, { remote_address_group_id: group.id })) > 0)
    throw conflict('AddressGroupInUse', `Address group ${group.id} is in use on one or more security group rules.`);
  await session.delete(addressGroupAddresses, { address_group_id: group.id });
  await session.delete(addressGroups, { id: group.id });
}

/** Prefixes of groups, sorted, by group. */
export async function addressesOfGroups(session: ReadSession, ids: readonly string[]): Promise<Map<string, string[]>> {
  const rows =
    ids.length === 0
      ? []
      : await session.find(addressGroupAddresses, {
          where: { address_group_id: In([...ids]) },
          order: { address: 'ASC' },
        });
  const answer = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const row of rows) answer.get(row.address_group_id)?.push(row.address);
  return answer;
}

async function addressesOf(session: ReadSession, group: AddressGroup): Promise<string[]> {
  const rows = await session.find(addressGroupAddresses, { where: { address_group_id: group.id } });
  return rows.map((row) => row.address);
}

/** A changed list reaches the ports of all groups whose rules name it. */
async function addressesChanged(context: NetworkContext, group: AddressGroup): Promise<AddressGroup> {
  const { session, cloud } = context;
  const rules = await session.find(securityGroupRules, { where: { remote_address_group_id: group.id } });
  await recordChanges(session, cloud, changedGroups(rules.map((rule) => rule.security_group_id)));
  const set = touched(context, group);
  await session.update(addressGroups, { id: group.id }, set);
  return { ...group, ...set };
}

/** @throws ConflictError AddressesAlreadyExist */
export async function addAddresses(
  context: NetworkContext,
  group: AddressGroup,
  addresses: readonly string[],
): Promise<AddressGroup> {
  const present = await addressesOf(context.session, group);
  const again = addresses.filter((address) => present.includes(address));
  if (again.length > 0)
    throw conflict(
      'AddressesAlreadyExist',
      `Addresses ${again.join(', ')} already exist in the address group ${group.id}.`,
    );
  await insertAddresses(context, group.id, addresses);
  return addressesChanged(context, group);
}

/** @throws NotFoundError AddressesNotFound */
export async function removeAddresses(
  context: NetworkContext,
  group: AddressGroup,
  addresses: readonly string[],
): Promise<AddressGroup> {
  const present = await addressesOf(context.session, group);
  const missing = addresses.filter((address) => !present.includes(address));
  if (missing.length > 0)
    throw new NotFoundError(
      `Addresses ${missing.join(', ')} not found in the address group ${group.id}.`,
      'AddressesNotFound',
    );
  await context.session.delete(addressGroupAddresses, { address_group_id: group.id, address: In([...addresses]) });
  return addressesChanged(context, group);
}
