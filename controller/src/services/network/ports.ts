// Ports as users make, change and delete them. Ports of servers, routers and floating IPs are made by their own services.
import { isDuplicate } from '../../db';
import {
  networks,
  portAddresses,
  portGroups,
  ports,
  type AddressPair,
  type DhcpOption,
  type Network,
  type Port,
  type PortAddress,
} from '../../db/entities/network';
import { ForbiddenError, InvalidError } from '../../errors';
import type { FixedIpRequest } from './addressPlan';
import { changedGroups, recordChanges } from './changes';
import { touched, type Asking, type NetworkContext } from './context';
import { ensureDefaultGroup } from './defaultGroup';
import { conflict } from './errors';
import { disassociateAddresses } from './floatingAssociation';
import { claimAddresses } from './portAddresses';
import { changesOfPorts, groupsByPort, insertPort, newMac, removePorts } from './portRows';
import { findVisible } from './resource';
import { networkResource, securityGroupResource } from './resources';

export interface PortValues {
  readonly name?: string;
  readonly description?: string;
  readonly network_id?: string;
  readonly admin_state_up?: boolean;
  /** Null asks for a new one. */
  readonly mac_address?: string | null;
  readonly fixed_ips?: readonly FixedIpRequest[];
  readonly device_id?: string;
  readonly device_owner?: string;
  readonly security_groups?: readonly string[];
  readonly port_security_enabled?: boolean;
  readonly allowed_address_pairs?: readonly { readonly ip_address?: string; readonly mac_address?: string }[];
  readonly extra_dhcp_opts?: readonly {
    readonly opt_name: string;
    readonly opt_value?: string | null;
    readonly ip_version?: number;
  }[];
  readonly dns_name?: string;
  readonly 'binding:host_id'?: string | null;
  readonly 'binding:profile'?: Record<string, unknown> | null;
  readonly 'binding:vnic_type'?: string;
}

/** As many as upstream allows by default. */
const MAX_ADDRESS_PAIRS = 10;

/** `network:` owners are set by the services themselves: a user who could would escape the filters of the port. */
function checkOwner(owner: string | undefined): void {
  if (owner?.startsWith('network:'))
    throw new ForbiddenError(`device_owner '${owner}' can only be set by the network service.`, 'PolicyNotAuthorized');
}

function addressPairs(values: PortValues, mac: string): AddressPair[] | undefined {
  const pairs = values.allowed_address_pairs?.map((pair) => {
    if (pair.ip_address === undefined)
      throw new InvalidError('AllowedAddressPair must contain ip_address', 'AllowedAddressPairsMissingIP');
    return { ip_address: pair.ip_address, mac_address: pair.mac_address ?? mac };
  });
  if (pairs && pairs.length > MAX_ADDRESS_PAIRS)
    throw new InvalidError(
      `The number of allowed address pair exceeds the maximum ${MAX_ADDRESS_PAIRS}.`,
      'AllowedAddressPairExhausted',
    );
  return pairs;
}

/** The options a port has after a change: a null value takes an option away. */
function mergedOptions(existing: readonly DhcpOption[], values: PortValues): readonly DhcpOption[] {
  let options = [...existing];
  for (const { opt_name, opt_value, ip_version } of values.extra_dhcp_opts ?? []) {
    const version = ip_version ?? 4;
    options = options.filter((one) => one.opt_name !== opt_name || one.ip_version !== version);
    if (typeof opt_value === 'string') options.push({ opt_name, opt_value, ip_version: version });
  }
  return options;
}

/** Groups a port may be in: visible ones. @throws NotFoundError SecurityGroupNotFound */
async function checkedGroups(context: NetworkContext, ids: readonly string[]): Promise<string[]> {
  const { session, cloud, caller } = context;
  const wanted = [...new Set(ids)];
  for (const id of wanted) await findVisible(session, cloud, caller, securityGroupResource, id);
  return wanted;
}

/** @throws ConflictError PortSecurityAndIPRequiredForSecurityGroups, AddressPairAndPortSecurityRequired */
function checkSecurity(enabled: boolean, groups: readonly string[], pairs: readonly AddressPair[]): void {
  if (enabled) return;
  if (groups.length > 0)
    throw new InvalidError(
      'Port security must be enabled and port must have an IP address in order to use security groups.',
      'PortSecurityAndIPRequiredForSecurityGroups',
    );
  if (pairs.length > 0)
    throw conflict(
      'AddressPairAndPortSecurityRequired',
      'Port Security must be enabled in order to have allowed address pairs on a port.',
    );
}

/** The network a caller may see and put ports on. @throws NotFoundError NetworkNotFound */
async function networkForPort(context: NetworkContext, id: string): Promise<Network> {
  return findVisible(context.session, context.cloud, context.caller, networkResource, id);
}

/** @throws ApiError as insertPort, SecurityGroupNotFound, PortSecurity errors, ForbiddenError for a `network:` owner */
export async function createPort(context: NetworkContext, projectId: string, values: PortValues): Promise<Port> {
  const { session, cloud } = context;
  checkOwner(values.device_owner);
  const network = await networkForPort(context, values.network_id ?? '');
  const mac = values.mac_address ?? newMac();
  const enabled = values.port_security_enabled ?? network.port_security_enabled;
  const pairs = addressPairs(values, mac) ?? [];
  const groups =
    values.security_groups === undefined
      ? enabled
        ? [await ensureDefaultGroup(session, cloud, projectId)]
        : []
      : await checkedGroups(context, values.security_groups);
  checkSecurity(enabled, groups, pairs);
  const fixedIps = values.fixed_ips;
  const { port } = await insertPort(session, cloud, {
    projectId,
    network,
    mac,
    groupIds: groups,
    ...(fixedIps ? { fixedIps } : {}),
    values: {
      name: values.name ?? '',
      description: values.description ?? '',
      admin_state_up: values.admin_state_up ?? true,
      device_id: values.device_id ?? '',
      device_owner: values.device_owner ?? '',
      port_security_enabled: enabled,
      allowed_address_pairs: pairs,
      extra_dhcp_opts: mergedOptions([], values),
      dns_name: values.dns_name ?? '',
      host: values['binding:host_id'] ?? '',
      profile: values['binding:profile'] ?? {},
      vnic_type: values['binding:vnic_type'] ?? 'normal',
    },
  });
  return port;
}

/** Gives up the addresses that a change no longer names and claims the new ones. */
async function changeAddresses(
  context: NetworkContext,
  port: Port,
  requests: readonly FixedIpRequest[],
): Promise<void> {
  const { session, cloud } = context;
  const have = await session.find(portAddresses, { where: { port_id: port.id }, order: { position: 'ASC' } });
  const kept: PortAddress[] = [];
  const wanted = requests.filter((request) => {
    const match = have.find(
      (row) =>
        !kept.includes(row) &&
        (request.ip_address === undefined || row.address === request.ip_address) &&
        (request.subnet_id === undefined || row.subnet_id === request.subnet_id),
    );
    if (match) kept.push(match);
    return !match;
  });
  for (const row of have.filter((one) => !kept.includes(one)))
    await session.delete(portAddresses, { subnet_id: row.subnet_id, address: row.address });
  const next = Math.max(-1, ...kept.map((row) => row.position)) + 1;
  const addressed = { networkId: port.network_id, deviceOwner: port.device_owner, mac: port.mac_address };
  const claimed = wanted.length === 0 ? [] : await claimAddresses(session, port.id, addressed, wanted, next);
  const remaining = [...kept, ...claimed].map((row) => row.address);
  await recordChanges(session, cloud, await disassociateAddresses(session, cloud, port.id, remaining));
}

async function changeGroups(context: NetworkContext, port: Port, groups: readonly string[]): Promise<void> {
  await context.session.delete(portGroups, { port_id: port.id });
  if (groups.length > 0)
    await context.session.insert(
      portGroups,
      groups.map((id) => ({ port_id: port.id, security_group_id: id })),
    );
}

/** What a change may not touch on ports that a server or the network service holds. */
function checkHeld(port: Port, values: PortValues): void {
  const changesDevice =
    (values.device_id !== undefined && values.device_id !== port.device_id) ||
    (values.device_owner !== undefined && values.device_owner !== port.device_owner);
  const isService = port.device_owner.startsWith('network:');
  if (
    port.server_id !== null &&
    (changesDevice || values.mac_address !== undefined || values['binding:host_id'] !== undefined)
  )
    throw conflict('PortBound', `Unable to complete operation on port ${port.id}, port is already bound to a server.`);
  if (
    isService &&
    (changesDevice ||
      values.fixed_ips ||
      values.mac_address !== undefined ||
      values.allowed_address_pairs ||
      values.security_groups)
  )
    throw conflict(
      'UnsupportedPortDeviceOwner',
      `Operation update is not supported for device_owner ${port.device_owner} on port ${port.id}.`,
    );
}

/** @throws ApiError as createPort, and PortBound, UnsupportedPortDeviceOwner, MacAddressInUse */
export async function updatePort(context: NetworkContext, port: Port, values: PortValues): Promise<Port> {
  const { session, cloud } = context;
  if (values.device_owner !== port.device_owner) checkOwner(values.device_owner);
  checkHeld(port, values);
  const before = await changesOfPorts(session, [port]);
  const mac = values.mac_address === null ? newMac() : (values.mac_address ?? port.mac_address);
  const pairs = addressPairs(values, mac) ?? port.allowed_address_pairs;
  const enabled = values.port_security_enabled ?? port.port_security_enabled;
  const groups = values.security_groups
    ? await checkedGroups(context, values.security_groups)
    : ((await groupsByPort(session, [port.id])).get(port.id) ?? []);
  checkSecurity(enabled, groups, pairs);
  const set = {
    name: values.name ?? port.name,
    description: values.description ?? port.description,
    admin_state_up: values.admin_state_up ?? port.admin_state_up,
    mac_address: mac,
    device_id: values.device_id ?? port.device_id,
    device_owner: values.device_owner ?? port.device_owner,
    port_security_enabled: enabled,
    allowed_address_pairs: pairs,
    extra_dhcp_opts: mergedOptions(port.extra_dhcp_opts, values),
    dns_name: values.dns_name ?? port.dns_name,
    host: values['binding:host_id'] === undefined ? port.host : (values['binding:host_id'] ?? ''),
    profile: values['binding:profile'] === undefined ? port.profile : (values['binding:profile'] ?? {}),
    vnic_type: values['binding:vnic_type'] ?? port.vnic_type,
    ...touched(context, port),
  };
  try {
    await session.update(ports, { id: port.id }, set);
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    throw conflict(
      'MacAddressInUse',
      `Unable to complete operation for network ${port.network_id}. The mac address ${mac} is in use.`,
    );
  }
  const changed = { ...port, ...set };
  if (values.fixed_ips) await changeAddresses(context, changed, values.fixed_ips);
  if (values.security_groups) await changeGroups(context, port, groups);
  await recordChanges(session, cloud, [
    ...before,
    ...changedGroups(groups),
    ...(await changesOfPorts(session, [port])),
  ]);
  return changed;
}

/** @throws ConflictError ServicePortInUse for a port that a router, floating IP or DHCP needs */
export async function deletePort(context: NetworkContext, port: Port): Promise<void> {
  if (port.device_owner.startsWith('network:')) {
    throw conflict(
      'ServicePortInUse',
      `Port ${port.id} cannot be deleted directly via the port API: has device owner ${port.device_owner}.`,
    );
  }
  await removePorts(context.session, context.cloud, [port]);
}

/**
 * The owner of a port's or subnet's network, which rules name as network:project_id: of the network that has it already, or of
 * the visible one that a body names. @throws NotFoundError NetworkNotFound
 */
export async function networkOwner(
  asking: Asking,
  presentId: string | undefined,
  wantedId: unknown,
): Promise<string | undefined> {
  if (presentId !== undefined) return (await asking.session.findOne(networks, { id: presentId }))?.project_id;
  if (typeof wantedId !== 'string') return undefined;
  return (await findVisible(asking.session, asking.cloud, asking.caller, networkResource, wantedId, null)).project_id;
}
