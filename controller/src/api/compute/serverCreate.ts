// Handler of POST /servers: reads the body of any microversion into one request.
import { randomBytes } from 'node:crypto';
import { ApiError, InvalidError } from '../../errors';
import { parseZone, type Placement } from '../../services/compute/placement';
import type { NetworkRequest } from '../../services/compute/serverNetworks';
import { createServers, type CreateRequest } from '../../services/compute/servers';
import { isUuid } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { ApiRequest, Handler, Route } from '../route';
import { resourceLinks } from './links';
import { isTrue } from './schemaTypes';
import { serverCreate } from './serverSchema';

interface NetworkBody {
  readonly uuid?: string;
  readonly port?: string | null;
  readonly fixed_ip?: string;
  readonly tag?: string;
}
interface DeviceBody {
  readonly source_type?: string;
  readonly destination_type?: string;
  readonly uuid?: string;
  readonly image_id?: string;
  readonly boot_index?: number | string | null;
}
interface ServerBody {
  readonly name: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly flavorRef: string | number;
  readonly imageRef?: string;
  readonly adminPass?: string;
  readonly metadata?: Record<string, string>;
  readonly networks?: readonly NetworkBody[] | 'auto' | 'none';
  readonly 'OS-DCF:diskConfig'?: 'AUTO' | 'MANUAL';
  readonly accessIPv4?: string;
  readonly accessIPv6?: string;
  readonly availability_zone?: string;
  readonly block_device_mapping?: readonly object[];
  readonly block_device_mapping_v2?: readonly DeviceBody[];
  readonly config_drive?: unknown;
  readonly key_name?: string;
  readonly min_count?: number | string;
  readonly max_count?: number | string;
  readonly return_reservation_id?: unknown;
  readonly security_groups?: readonly { readonly name?: string }[];
  readonly user_data?: string;
  readonly tags?: readonly string[];
  readonly personality?: readonly { readonly path: string; readonly contents: string }[];
  readonly trusted_image_certificates?: readonly string[] | null;
  readonly host?: string;
  readonly hypervisor_hostname?: string;
}

/** The id at the end of a link, or the id itself. */
const idFrom = (reference: string | number): string => String(reference).split(/[?#]/)[0]?.split('/').at(-1) ?? '';

/** A password for the caller's eyes only: nothing stores it. */
export const newPassword = (): string => randomBytes(9).toString('base64url');

function networksOf(body: ServerBody): NetworkRequest {
  const { networks } = body;
  if (networks === undefined) return 'default';
  if (networks === 'auto' || networks === 'none') return networks;
  if (networks.length === 0) return 'default';
  const seen = new Set<string>();
  return networks.map((one) => {
    const more = one.tag === undefined ? {} : { tag: one.tag };
    if (one.port !== undefined && one.port !== null) {
      if (seen.has(one.port))
        throw new InvalidError(`Port ID '${one.port}' was specified twice: you cannot attach a port multiple times.`);
      seen.add(one.port);
      if (one.fixed_ip !== undefined)
        throw new InvalidError(
          `Specified Fixed IP '${one.fixed_ip}' cannot be used with port '${one.port}': the two cannot be specified together.`,
        );
      return { portId: one.port, ...more };
    }
    if (one.uuid === undefined) throw new InvalidError("Bad network format: missing 'uuid'");
    if (!isUuid(one.uuid))
      throw new InvalidError(`Bad networks format: network uuid is not in proper format (${one.uuid})`);
    return { networkId: one.uuid, ...more, ...(one.fixed_ip === undefined ? {} : { fixedIp: one.fixed_ip }) };
  });
}

/** The image of the root disk: named by imageRef, or by the one block device that local root disks can be. */
function imageOf(body: ServerBody): string {
  const volumes = new InvalidError(
    'Block Device Mapping is Invalid: servers boot from an image on a local root disk here; volumes, snapshots and blank disks are not available.',
    'InvalidBDM',
  );
  if ((body.block_device_mapping ?? []).length > 0) throw volumes;
  const devices = body.block_device_mapping_v2 ?? [];
  const [device] = devices;
  if (device) {
    const id = device.uuid ?? device.image_id ?? '';
    const local = device.source_type === 'image' && (device.destination_type ?? 'local') === 'local';
    if (devices.length > 1 || !local || Number(device.boot_index ?? 0) !== 0) throw volumes;
    if (body.imageRef && body.imageRef !== id)
      throw new InvalidError(
        'Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.',
        'InvalidBDMBootSequence',
      );
    return id;
  }
  if (!body.imageRef) throw new InvalidError('Missing imageRef attribute');
  return body.imageRef;
}

/** Where the server shall run; only some callers may name a host. */
function placementOf(cloud: Cloud, request: ApiRequest, body: ServerBody): Placement {
  const placement = parseZone(body.availability_zone);
  const target = { project_id: request.caller.projectId, user_id: request.caller.userId };
  if (placement.host !== null)
    cloud.policy.require(request.caller, 'os_compute_api:servers:create:forced_host', target);
  const host = body.host ?? body.hypervisor_hostname;
  if (host === undefined) return placement;
  cloud.policy.require(request.caller, 'compute:servers:create:requested_destination', target);
  if (placement.host !== null)
    throw new InvalidError(
      'One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are mutually exclusive.',
    );
  if (body.hypervisor_hostname !== undefined && body.hypervisor_hostname !== host)
    throw new InvalidError(`Compute host ${body.hypervisor_hostname} could not be found.`, 'ComputeHostNotFound');
  return { zone: placement.zone, host };
}

function countsOf(body: ServerBody): { minCount: number; maxCount: number } {
  const minCount = Number(body.min_count ?? 1);
  const maxCount = Number(body.max_count ?? minCount);
  if (minCount < 1 || maxCount < 1) throw new InvalidError('min_count and max_count must be at least 1');
  if (minCount > maxCount) throw new InvalidError('min_count must be <= max_count');
  return { minCount, maxCount };
}

/** Base64 without white space. */
export const compact = (text: string): string => text.replaceAll(/\s+/g, '');

function requestOf(cloud: Cloud, request: ApiRequest): CreateRequest {
  const whole = request.body as {
    server: ServerBody;
    'os:scheduler_hints'?: Record<string, unknown>;
    'OS-SCH-HNT:scheduler_hints'?: Record<string, unknown>;
  };
  const { server: body } = whole;
  const name = body.name.trim();
  const counts = countsOf(body);
  if (body.trusted_image_certificates && body.trusted_image_certificates.length > 0)
    throw new ApiError(501, 'NotImplemented', 'Image signature verification is not implemented here.');
  if (body.hostname !== undefined && counts.maxCount > 1)
    throw new InvalidError('Unable to allocate a single hostname to multiple instances');
  const groups = (body.security_groups ?? []).flatMap((group) => group.name ?? []);
  return {
    name,
    description: request.microversion.minor >= 19 ? (body.description ?? null) : name,
    ...(body.hostname === undefined ? {} : { hostname: body.hostname }),
    flavorId: idFrom(body.flavorRef),
    imageId: imageOf(body),
    ...counts,
    metadata: body.metadata ?? {},
    tags: body.tags ?? [],
    keyName: body.key_name ?? null,
    userData: body.user_data === undefined ? null : compact(body.user_data),
    configDrive: isTrue(body.config_drive ?? false),
    personality: (body.personality ?? []).map((file) => ({ path: file.path, contents: compact(file.contents) })),
    securityGroups: [...new Set(groups)],
    networks: networksOf(body),
    placement: placementOf(cloud, request, body),
    accessIpV4: body.accessIPv4 ?? '',
    accessIpV6: body.accessIPv6 ?? '',
    diskConfig: body['OS-DCF:diskConfig'] ?? 'MANUAL',
    schedulerHints: whole['os:scheduler_hints'] ?? whole['OS-SCH-HNT:scheduler_hints'] ?? {},
  };
}

const create: Handler = async (request, cloud) => {
  const { server: body } = request.body as { server: ServerBody };
  const wanted = requestOf(cloud, request);
  const made = await cloud.db.write((session) => createServers(session, cloud, request.caller, request.id, wanted));
  if (isTrue(body.return_reservation_id ?? false)) return { status: 202, body: { reservation_id: made.reservationId } };
  const [first] = made.servers;
  const id = first?.id ?? '';
  const links = resourceLinks(request, 'servers', id);
  return {
    status: 202,
    headers: { location: links[0]?.href ?? '' },
    body: {
      server: {
        id,
        links,
        'OS-DCF:diskConfig': wanted.diskConfig,
        security_groups: body.security_groups ?? [{ name: 'default' }],
        adminPass: body.adminPass ?? newPassword(),
      },
    },
  };
};

export const serverCreateRoutes: readonly Route[] = [
  { method: 'POST', path: '/servers', handler: create, policy: 'os_compute_api:servers:create', schema: serverCreate },
];
