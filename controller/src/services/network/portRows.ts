// Makes and removes ports with everything that hangs on them: addresses, groups, tags, floating IPs, quota and the change feed.
import { randomBytes } from 'node:crypto';
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, isDuplicate, type ReadSession, type WriteSession } from '../../db';
import {
  networkTags,
  portAddresses,
  portGroups,
  ports,
  securityGroupRules,
  type Network,
  type Port,
  type PortAddress,
  type Subnet,
} from '../../db/entities/network';
import type { FixedIpRequest } from './addressPlan';
import { changedGroups, changedPort, recordChanges, type ChangedObject } from './changes';
import { conflict } from './errors';
import { disassociatePorts } from './floatingAssociation';
import { claimAddresses } from './portAddresses';
import { returnQuota, takeQuota } from './quotas';

/** The vendor part that all generated MAC addresses begin with. */
const MAC_PREFIX = 'fa:16:3e';
const MAC_TRIES = 10;

export const newMac = (): string =>
  [MAC_PREFIX, ...[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');

export interface NewPort {
  readonly id?: string;
  readonly projectId: string;
  readonly network: Pick<Network, 'id' | 'port_security_enabled'>;
  /** The network's subnets, when the transaction holds them already. */
  readonly subnets?: readonly Subnet[];
  readonly fixedIps?: readonly FixedIpRequest[];
  readonly groupIds: readonly string[];
  /** A generated address when absent. */
  readonly mac?: string;
  readonly values?: Partial<
    Pick<
      Port,
      | 'name'
      | 'description'
      | 'admin_state_up'
      | 'status'
      | 'device_id'
      | 'device_owner'
      | 'port_security_enabled'
      | 'allowed_address_pairs'
      | 'extra_dhcp_opts'
      | 'dns_name'
      | 'host'
      | 'vnic_type'
      | 'profile'
      | 'server_id'
      | 'made_for_server'
      | 'device_tag'
      | 'device_position'
    >
  >;
  /** False: counted, but never refused. Default true. */
  readonly enforceQuota?: boolean;
}

export interface PortWithAddresses {
  readonly port: Port;
  readonly addresses: readonly PortAddress[];
}

async function insertWithMac(
  session: WriteSession,
  row: Omit<Port, 'mac_address'>,
  mac: string | undefined,
): Promise<Port> {
  for (let attempt = 1; ; attempt++) {
    const port = { ...row, mac_address: mac ?? newMac() };
    try {
      await session.insert(ports, port);
      return port;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      if (mac !== undefined)
        throw conflict(
          'MacAddressInUse',
          `Unable to complete operation for network ${row.network_id}. The mac address ${mac} is in use.`,
        );
      if (attempt === MAC_TRIES)
        throw conflict('MacAddressGenerationFailure', `Unable to generate unique mac on network ${row.network_id}.`);
    }
  }
}

/**
 * Inserts a port and claims its addresses.
 * @throws ApiError OverQuota, MacAddressInUse, IpAddressInUse, IpAddressGenerationFailure, InvalidInput
 */
export async function insertPort(session: WriteSession, cloud: Cloud, wanted: NewPort): Promise<PortWithAddresses> {
  const now = cloud.clock.now();
  await takeQuota(session, wanted.projectId, 'port', 1, wanted.enforceQuota ?? true);
  const row: Omit<Port, 'mac_address'> = {
    id: wanted.id ?? newId(),
    project_id: wanted.projectId,
    name: '',
    description: '',
    created_at: now,
    updated_at: now,
    revision: 1,
    network_id: wanted.network.id,
    admin_state_up: true,
    status: 'DOWN',
    device_id: '',
    device_owner: '',
    port_security_enabled: wanted.network.port_security_enabled,
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    dns_name: '',
    host: '',
    migrating_to: '',
    generation: 0,
    vnic_type: 'normal',
    profile: {},
    server_id: null,
    made_for_server: false,
    device_tag: null,
    device_position: 0,
    fault: null,
    ...wanted.values,
  };
  const port = await insertWithMac(session, row, wanted.mac);
  const addressed = { networkId: port.network_id, deviceOwner: port.device_owner, mac: port.mac_address };
  const known = wanted.subnets ? { known: wanted.subnets } : {};
  const addresses = await claimAddresses(session, port.id, addressed, wanted.fixedIps, 0, known);
  if (wanted.groupIds.length > 0)
    await session.append(
      portGroups,
      wanted.groupIds.map((id) => ({ port_id: port.id, security_group_id: id })),
    );
  await recordChanges(session, cloud, [changedPort(port), ...changedGroups(wanted.groupIds)]);
  return { port, addresses };
}

/** Groups of ports, by port. */
export async function groupsByPort(session: ReadSession, portIds: readonly string[]): Promise<Map<string, string[]>> {
  const byPort = new Map<string, string[]>(portIds.map((id) => [id, []]));
  if (portIds.length === 0) return byPort;
  const rows = await session.find(portGroups, {
    where: { port_id: In([...portIds]) },
    order: { security_group_id: 'ASC' },
  });
  for (const row of rows) byPort.get(row.port_id)?.push(row.security_group_id);
  return byPort;
}

/**
 * What the feed must say when ports come, go or change membership: the ports, their groups, and the groups that those name as
 * remote (a host forgets them with its last member).
 */
export async function changesOfPorts(
  session: ReadSession,
  rows: readonly (Pick<Port, 'id' | 'network_id'> & Partial<Pick<Port, 'host'>>)[],
): Promise<ChangedObject[]> {
  const groups = [
    ...(
      await groupsByPort(
        session,
        rows.map((row) => row.id),
      )
    ).values(),
  ].flat();
  const rules =
    groups.length === 0
      ? []
      : await session.find(securityGroupRules, { where: { security_group_id: In([...new Set(groups)]) } });
  const remote = rules.flatMap((rule) => (rule.remote_group_id === null ? [] : [rule.remote_group_id]));
  return [...rows.map(changedPort), ...changedGroups([...new Set([...groups, ...remote])])];
}

/** Deletes ports whatever they are for; who may do so is decided before. @returns the feed's number */
export async function removePorts(session: WriteSession, cloud: Cloud, rows: readonly Port[]): Promise<number> {
  if (rows.length === 0) return 0;
  const ids = rows.map((row) => row.id);
  const objects = await changesOfPorts(session, rows);
  const routers = await disassociatePorts(session, cloud, ids);
  for (const table of [portAddresses, portGroups] as const) await session.delete(table, { port_id: In(ids) });
  await session.delete(networkTags, { resource_id: In(ids) });
  await session.delete(ports, { id: In(ids) });
  for (const row of rows) await returnQuota(session, row.project_id, 'port');
  return recordChanges(session, cloud, [...objects, ...routers]);
}
