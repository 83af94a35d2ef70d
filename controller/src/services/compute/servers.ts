// Creating servers: one transaction takes quota, writes rows, ports and tasks. Nothing is asked of a host here.
import { newId } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import {
  PowerState,
  servers,
  serverTags,
  type Flavor,
  type Server,
  type ServerFile,
  type ServerFlavor,
  type ServerImage,
  type ServerKey,
} from '../../db/entities/compute';
import { ForbiddenError, InvalidError, NotFoundError, OverQuotaError } from '../../errors';
import type { Caller } from '../caller';
import type { ServerPortRequest } from '../network/serverPorts';
import { createTask } from '../tasks';
import { findServerImage, requireImageFits } from './bootImage';
import { extraSpecsOf, findFlavor } from './flavors';
import { hostnameFrom } from './hostname';
import { findKeypair } from './keypairs';
import { DEFAULT_ZONE, requirePlacement, type Placement } from './placement';
import { labelOf } from './portNames';
import {
  countedResources,
  readAccount,
  serverAccounts,
  takeQuota,
  userQuota,
  type Account,
  type Limits,
} from './quotas';
import { groupForServers } from './serverGroups';
import { makePorts, resolveNetworks, type NetworkRequest } from './serverNetworks';

/** Seconds after which a server that is not there yet has failed; the first boot on a host may download its image. */
const CREATE_DEADLINE_SECONDS = 900;

export interface CreateRequest {
  readonly name: string;
  readonly description: string | null;
  /** As asked for; undefined: made from the name. */
  readonly hostname?: string;
  readonly flavorId: string;
  readonly imageId: string;
  readonly minCount: number;
  readonly maxCount: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly keyName: string | null;
  /** Base64. */
  readonly userData: string | null;
  readonly configDrive: boolean;
  readonly personality: readonly ServerFile[];
  /** Names or ids; none means the project's default group. */
  readonly securityGroups: readonly string[];
  readonly networks: NetworkRequest;
  readonly placement: Placement;
  readonly accessIpV4: string;
  readonly accessIpV6: string;
  readonly diskConfig: 'AUTO' | 'MANUAL';
  readonly schedulerHints: Readonly<Record<string, unknown>>;
}

export interface Created {
  readonly servers: readonly Server[];
  readonly reservationId: string;
}

/** @throws OverQuotaError */
function requireSmall(request: Pick<CreateRequest, 'metadata' | 'personality'>, limits: Limits): void {
  const over = (value: number, limit: number): boolean => limit >= 0 && value > limit;
  if (over(Object.keys(request.metadata).length, limits.metadata_items))
    throw new OverQuotaError(`Maximum number of metadata items exceeds ${limits.metadata_items}`);
  if (over(request.personality.length, limits.injected_files))
    throw new OverQuotaError('Personality file limit exceeded');
  for (const file of request.personality) {
    if (over(Buffer.byteLength(file.path), limits.injected_file_path_bytes))
      throw new OverQuotaError(`Personality file path exceeds maximum ${limits.injected_file_path_bytes}`);
    if (over(Buffer.from(file.contents, 'base64').length, limits.injected_file_content_bytes))
      throw new OverQuotaError(`Personality file content exceeds maximum ${limits.injected_file_content_bytes}`);
  }
}

/** Metadata and files within the project's quota. @throws OverQuotaError */
export async function requireWithinItemQuota(
  session: WriteSession,
  projectId: string,
  userId: string,
  request: Pick<CreateRequest, 'metadata' | 'personality'>,
): Promise<void> {
  requireSmall(request, await userQuota(session, projectId, userId));
}

/** How many servers the quota allows, at least the minimum that was asked for. Takes the quota. @throws OverQuotaError */
async function takeServers(
  session: WriteSession,
  account: Account,
  flavor: Flavor,
  request: CreateRequest,
): Promise<number> {
  const each = { instances: 1, cores: flavor.vcpus, ram: flavor.ram };
  const room = (await serverAccounts(session, account)).flatMap(({ limits, used }) =>
    countedResources.map((resource) =>
      limits[resource] < 0 ? Infinity : Math.floor((limits[resource] - used[resource]) / each[resource]),
    ),
  );
  const count = Math.max(request.minCount, Math.min(request.maxCount, ...room));
  const amount = { instances: count, cores: count * flavor.vcpus, ram: count * flavor.ram };
  await takeQuota(session, account, amount);
  return count;
}

/** The user's key as the server keeps it. @throws InvalidError */
export async function keyOf(session: WriteSession, userId: string, name: string | null): Promise<ServerKey | null> {
  if (name === null) return null;
  try {
    const { type, public_key, fingerprint } = await findKeypair(session, userId, name);
    return { name, type, public_key, fingerprint };
  } catch (error) {
    if (error instanceof NotFoundError) throw new InvalidError('Invalid key_name provided.', 'KeypairNotFound');
    throw error;
  }
}

/** @throws InvalidError when there is no such flavor for this caller */
export async function flavorFor(session: WriteSession, caller: Caller, id: string): Promise<Flavor> {
  try {
    const flavor = await findFlavor(session, caller, id);
    if (!flavor.disabled) return flavor;
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
  throw new InvalidError(`Flavor ${id} could not be found.`, 'FlavorNotFound');
}

interface Parts {
  readonly flavor: Flavor;
  readonly extraSpecs: Readonly<Record<string, string>>;
  readonly image: ServerImage;
  readonly key: ServerKey | null;
  readonly reservationId: string;
  readonly count: number;
  readonly groupId: string | null;
  readonly now: number;
}

/** A flavor as a server keeps it. */
export const serverFlavor = (flavor: Flavor, extraSpecs: Readonly<Record<string, string>>): ServerFlavor => ({
  id: flavor.flavorid,
  name: flavor.name,
  vcpus: flavor.vcpus,
  ram: flavor.ram,
  disk: flavor.disk,
  ephemeral: flavor.ephemeral,
  swap: flavor.swap,
  rxtx_factor: flavor.rxtx_factor,
  extra_specs: extraSpecs,
});

/** The row of the `index`th server of a request. */
function rowOf(caller: Caller, projectId: string, request: CreateRequest, parts: Parts, index: number): Server {
  const id = newId();
  const name = parts.count > 1 ? `${request.name}-${index + 1}` : request.name;
  return {
    id,
    project_id: projectId,
    user_id: caller.userId,
    creator: { user_name: caller.userName, project_name: caller.projectName ?? '', roles: caller.roles },
    name,
    description: request.description,
    hostname: request.hostname ?? hostnameFrom(name, `server-${id}`),
    host: null,
    availability_zone: request.placement.zone,
    requested_host: request.placement.host,
    flavor: serverFlavor(parts.flavor, parts.extraSpecs),
    image_id: parts.image.id,
    image: parts.image,
    key_name: request.keyName,
    key: parts.key,
    user_data: request.userData,
    config_drive: request.configDrive,
    personality: request.personality,
    metadata: { ...request.metadata },
    security_groups: request.securityGroups,
    scheduler_hints: { ...request.schedulerHints },
    server_group_id: parts.groupId,
    access_ip_v4: request.accessIpV4,
    access_ip_v6: request.accessIpV6,
    disk_config: request.diskConfig,
    root_device_name: '/dev/vda',
    vm_state: 'building',
    task_state: 'scheduling',
    power_state: PowerState.nostate,
    generation: 1,
    disk_revision: 1,
    locked: false,
    locked_by: null,
    locked_reason: null,
    fault: null,
    reservation_id: parts.reservationId,
    launch_index: index,
    launched_at: null,
    terminated_at: null,
    created_at: parts.now,
    updated_at: parts.now,
    deleted_at: null,
  };
}

/** One server of the request with its tags, ports and task. */
async function insertServer(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  requestId: string,
  row: Server,
  request: CreateRequest,
  networks: readonly ServerPortRequest[],
): Promise<void> {
  await session.append(servers, row);
  const tags = [...new Set(request.tags)].map((tag) => ({ server_id: row.id, tag }));
  if (tags.length > 0) await session.insert(serverTags, tags);
  const server = {
    id: row.id,
    availabilityZone: row.availability_zone ?? DEFAULT_ZONE,
    hostname: labelOf(row.hostname),
  };
  await makePorts(session, cloud, caller, row.project_id, server, networks, request.securityGroups);
  await createTask(session, cloud, {
    kind: 'server.create',
    resourceType: 'server',
    resourceId: row.id,
    params: { action: 'create' },
    requestId,
    projectId: row.project_id,
    userId: caller.userId,
    ofNew: true,
    deadlineSeconds: CREATE_DEADLINE_SECONDS,
  });
}

/** The group that the request's hints name. @throws InvalidError, OverQuotaError */
async function groupOf(
  session: WriteSession,
  caller: Caller,
  { schedulerHints }: CreateRequest,
  count: number,
): Promise<string | null> {
  const hint = schedulerHints['group'];
  return typeof hint === 'string' ? (await groupForServers(session, caller, hint, count)).id : null;
}

/**
 * Makes servers in BUILD with all that belongs to them, or nothing at all.
 * @throws ApiError as the compute API reference names them: 400 for what can't be used, 403 over quota, 409 ambiguous
 */
export async function createServers(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  requestId: string,
  request: CreateRequest,
): Promise<Created> {
  const { projectId } = caller;
  if (projectId === null) throw new ForbiddenError('A server needs a project: use a token that is scoped to one.');
  const flavor = await flavorFor(session, caller, request.flavorId);
  const image = await findServerImage(session, caller, request.imageId);
  requireImageFits(image, flavor);
  if (flavor.disk === 0) {
    const target = { project_id: projectId, user_id: caller.userId };
    if (!cloud.policy.allows(caller, 'os_compute_api:servers:create:zero_disk_flavor', target))
      throw new ForbiddenError('Only volume-backed servers are allowed for flavors with zero disk.');
  }
  await requirePlacement(session, request.placement);
  const key = await keyOf(session, caller.userId, request.keyName);
  const account = await readAccount(session, projectId, caller.userId);
  requireSmall(request, { ...account.project, ...account.user });
  const networks = await resolveNetworks(session, caller, projectId, request.networks, request.maxCount);
  const count = await takeServers(session, account, flavor, request);
  const parts: Parts = {
    flavor,
    extraSpecs: (await extraSpecsOf(session, [flavor.flavorid])).get(flavor.flavorid) ?? {},
    image,
    key,
    reservationId: `r-${newId().slice(0, 8)}`,
    count,
    groupId: await groupOf(session, caller, request, count),
    now: cloud.clock.now(),
  };
  const rows = Array.from({ length: parts.count }, (_, index) => rowOf(caller, projectId, request, parts, index));
  for (const row of rows) await insertServer(session, cloud, caller, requestId, row, request, networks);
  return { servers: rows, reservationId: parts.reservationId };
}
