// What things are called on the host. Every name is derived from a resource id, so it can be found again from either side.
import { createHash } from 'node:crypto';
import { CumuletError, interfaceName, isUuid } from '@cumulet/common';

/** The managed external bridge carries this alias instead of a network id: it outlives every network. */
export const EXTERNAL_ALIAS = 'cumulet external';

function hexOf(id: string): string {
  return isUuid(id) ? id.replaceAll('-', '').toLowerCase() : createHash('sha256').update(id).digest('hex').slice(0, 32);
}

/** An id that may stand in an alias, a comment or a file name. @throws CumuletError bad_id */
export function safeId(id: string): string {
  if (!/^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$/.test(id)) {
    throw new CumuletError('bad_id', `${JSON.stringify(id)} can't be the id of something on a host`);
  }
  return id;
}

export const bridgeName = (networkId: string): string => interfaceName('br', networkId);
/** Whether a network's bridge could have this name. */
export const isBridgeName = (name: string): boolean => /^br[0-9a-f]{11}$/.test(name);
export const vxlanName = (networkId: string): string => interfaceName('vx', networkId);
export const tapName = (portId: string): string => interfaceName('tap', portId);
export const dhcpLinkName = (portId: string): string => interfaceName('dh', portId);
export const routerLinkName = (portId: string): string => interfaceName('qr', portId);
export const gatewayLinkName = (portId: string): string => interfaceName('qg', portId);

/** A fixed, locally administered MAC address, so that a bridge does not change its own with its ports. */
export function bridgeMac(networkId: string): string {
  return `0e${hexOf(networkId).slice(0, 10).replace(/../g, ':$&')}`;
}

export const dhcpNamespace = (prefix: string, networkId: string): string => `${prefix}-dhcp-${networkId}`;
export const routerNamespace = (prefix: string, routerId: string): string => `${prefix}-router-${routerId}`;

/** The role and resource id in a namespace's name, or undefined when it is not ours. */
export function parseNamespace(prefix: string, name: string): { role: 'dhcp' | 'router'; id: string } | undefined {
  for (const role of ['dhcp', 'router'] as const) {
    const start = `${prefix}-${role}-`;
    if (name.startsWith(start)) return { role, id: name.slice(start.length) };
  }
  return undefined;
}

/** Chains have at most 28 characters: 16 digits of the id; the whole id is in a rule's comment. */
export const portChain = (direction: 'i' | 'o', portId: string): string =>
  `cumulet-p${direction}-${hexOf(portId).slice(0, 16)}`;
export const groupChain = (direction: 'i' | 'o', groupId: string): string =>
  `cumulet-g${direction}-${hexOf(groupId).slice(0, 16)}`;

/** Sets have at most 31 characters: the 22 of base64 hold a whole UUID. */
export function groupSet(family: 4 | 6, groupId: string): string {
  return `cumulet${family}-${Buffer.from(hexOf(groupId), 'hex').toString('base64url')}`;
}

/** The security group a set was made for, as a UUID, or undefined when the set is not ours. */
export function groupOfSet(name: string): string | undefined {
  const code = /^cumulet[46]-([0-9A-Za-z_-]{22})$/.exec(name)?.[1];
  if (code === undefined) return undefined;
  const hex = Buffer.from(code, 'base64url').toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
