// Which networks a new server gets, and the network service's refusals in compute's words.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import { ApiError, ConflictError, ForbiddenError, InvalidError, OverQuotaError } from '../../errors';
import type { Caller } from '../caller';
import { createServerPorts, usableNetworks, type ServerOfPorts, type ServerPortRequest } from '../network/serverPorts';
import { networksOfProject } from '../network/visibility';

/** A list, or what 2.37 calls auto and none; `default` is no word about networks at all, as older clients send it. */
export type NetworkRequest = readonly ServerPortRequest[] | 'auto' | 'none' | 'default';

/** Codes of the network service that compute answers with another status. */
const asBadRequest = new Set([
  'NetworkNotFound',
  'PortNotFound',
  'SecurityGroupNotFound',
  'IpAddressInUse',
  'IpAddressGenerationFailure',
  'InvalidIpForNetwork',
  'InvalidIpForSubnet',
  'FixedIpNotFound',
  'InvalidInput',
]);

/** The same failure as the compute API reports it. */
export function asComputeError(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  if (error.code === 'OverQuota') return new OverQuotaError(error.message, error.facts);
  return asBadRequest.has(error.code) ? new InvalidError(error.message, error.code, error.facts) : error;
}

/** The one network that a project has. @throws ConflictError when there are several */
async function onlyNetwork(
  session: WriteSession,
  projectId: string,
  required: boolean,
): Promise<readonly ServerPortRequest[]> {
  const usable = await networksOfProject(session, projectId);
  if (usable.length > 1)
    throw new ConflictError(
      'More than one possible network found. Specify network ID(s) to select which one(s) to connect to.',
      'NetworkAmbiguous',
    );
  const [network] = usable;
  if (network) return [{ networkId: network.id }];
  if (!required) return [];
  throw new InvalidError(
    `Unable to automatically allocate a network for project ${projectId}`,
    'UnableToAutoAllocateNetwork',
  );
}

/**
 * Looks at the networks of requests, and holds them. @returns the requests with what was found
 * @throws ForbiddenError for an external network, InvalidError for one without subnets
 */
export async function requireUsable(
  session: WriteSession,
  { userId, isAdmin }: Caller,
  projectId: string,
  requests: readonly ServerPortRequest[],
): Promise<readonly ServerPortRequest[]> {
  const ids = [...new Set(requests.flatMap((request) => request.networkId ?? []))];
  const { usable, closed } = await usableNetworks(session, { projectId, userId, isAdmin }, ids);
  const external = closed.find((network) => network.external);
  if (external)
    throw new ForbiddenError(
      `It is not allowed to create an interface on external network ${external.id}`,
      'ExternalNetworkAttachForbidden',
    );
  for (const { network, subnets } of usable.values())
    if (subnets.length === 0)
      throw new InvalidError(
        `Network ${network.id} requires a subnet in order to boot instances on.`,
        'NetworkRequiresSubnet',
      );
  return requests.map((request) => {
    const found = usable.get(request.networkId ?? '');
    return found ? { ...request, usable: found } : request;
  });
}

/**
 * Turns a request into a list of ports to make or take, checked.
 * @throws ApiError in compute's words
 */
export async function resolveNetworks(
  session: WriteSession,
  caller: Caller,
  projectId: string,
  request: NetworkRequest,
  count: number,
): Promise<readonly ServerPortRequest[]> {
  if (request === 'none') return [];
  const list =
    request === 'auto' || request === 'default' ? await onlyNetwork(session, projectId, request === 'auto') : request;
  if (count > 1 && list.some((one) => one.portId !== undefined)) {
    throw new InvalidError(
      'Failed to launch instances: Unable to launch multiple instances with a single configured port ID. Please launch your instance one by one with different ports.',
      'MultiplePortsNotApplicable',
    );
  }
  if (count > 1 && list.some((one) => one.fixedIp !== undefined)) {
    throw new InvalidError(
      'Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified.',
      'InvalidFixedIpAndMaxCountRequest',
    );
  }
  return requireUsable(session, caller, projectId, list);
}

/** Makes a server's ports in the same transaction. @throws ApiError in compute's words */
export async function makePorts(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  projectId: string,
  server: ServerOfPorts,
  requests: readonly ServerPortRequest[],
  securityGroups: readonly string[],
): Promise<void> {
  const owner = { projectId, userId: caller.userId, isAdmin: caller.isAdmin };
  try {
    await createServerPorts(session, cloud, owner, server, requests, securityGroups);
  } catch (error) {
    throw asComputeError(error);
  }
}
