// The network service's errors, under the type names that clients of the network API look at.
import { ApiError, ConflictError, InvalidError, NotFoundError } from '../../errors';

/** How a resource is called in a not-found error: "Network X could not be found." of type NetworkNotFound. */
const nouns = {
  network: ['NetworkNotFound', 'Network'],
  subnet: ['SubnetNotFound', 'Subnet'],
  port: ['PortNotFound', 'Port'],
  router: ['RouterNotFound', 'Router'],
  floatingip: ['FloatingIPNotFound', 'Floating IP'],
  security_group: ['SecurityGroupNotFound', 'Security group'],
  security_group_rule: ['SecurityGroupRuleNotFound', 'Security group rule'],
  subnetpool: ['SubnetPoolNotFound', 'Subnet pool'],
  address_group: ['AddressGroupNotFound', 'Address group'],
  rbac_policy: ['RbacPolicyNotFound', 'RBAC policy'],
  agent: ['AgentNotFound', 'Agent'],
} as const;
export type NetworkNoun = keyof typeof nouns;

export function notFound(noun: NetworkNoun, id: string): NotFoundError {
  const [code, name] = nouns[noun];
  return new NotFoundError(`${name} ${id} could not be found.`, code, { id });
}

/** 400 for a value that is wrong in itself. */
export const invalidInput = (message: string): InvalidError =>
  new InvalidError(`Invalid input for operation: ${message}`, 'InvalidInput');

/** 400 for a request that does not have the form it must have. */
export const badRequest = (message: string): InvalidError => new InvalidError(message, 'HTTPBadRequest');

export const conflict = (code: string, message: string): ConflictError => new ConflictError(message, code);

export const addressInUse = (networkId: string, address: string): ConflictError =>
  conflict(
    'IpAddressInUse',
    `Unable to complete operation for network ${networkId}. The IP address ${address} is in use.`,
  );

export const addressesExhausted = (networkId: string): ConflictError =>
  conflict('IpAddressGenerationFailure', `No more IP addresses available on network ${networkId}.`);

export const overQuota = (resources: readonly string[]): ApiError =>
  new ApiError(409, 'OverQuota', `Quota exceeded for resources: ['${resources.join("', '")}'].`, { resources });
