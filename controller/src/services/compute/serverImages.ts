// Images of servers: the image is made at once, queued, and its bytes come from the server's host by a task.
import type { Cloud } from '../../cloud';
import { In, type ReadSession, type WriteSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { imageProperties, images } from '../../db/entities/image';
import { InvalidError, OverQuotaError, TooLargeError } from '../../errors';
import { addImage } from '../image/create';
import { startAction, type Actor } from './serverActions';
import { requireState } from './serverStates';

export interface ServerImageRequest {
  readonly name: string;
  /** Becomes properties of the image. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Absent for a plain snapshot. */
  readonly backup?: {
    /** "daily", "weekly" or any other word: backups of one word are kept apart from those of another. */
    readonly type: string;
    /** How many of them stay, the newest ones. */
    readonly rotation: number;
  };
}

/** Properties of a server's image that its snapshots don't have: they speak of that image's bytes or of how it is kept. */
const NOT_INHERITED =
  /^(cache_in_nova|bittorrent|img_signature.*|cinder_encryption_key.*|os_glance_.*|owner_specified\..*)$/;

/** Names that the image itself uses. */
const RESERVED = new Set(
  (
    'id name status visibility protected os_hidden checksum os_hash_algo os_hash_value owner size virtual_size ' +
    'container_format disk_format created_at updated_at tags direct_url min_ram min_disk self file stores schema locations'
  ).split(' '),
);

function propertiesOf(actor: Actor, server: Server, request: ServerImageRequest): Record<string, string> {
  const { image, creator, project_id } = server;
  const inherited = Object.entries(image?.properties ?? {}).filter(([name]) => !NOT_INHERITED.test(name));
  const { backup } = request;
  return {
    ...Object.fromEntries(inherited),
    base_image_ref: image?.id ?? '',
    boot_roles: creator.roles.join(','),
    owner_user_name: creator.user_name,
    owner_project_name: creator.project_name,
    owner_id: project_id,
    image_location: 'snapshot',
    image_state: 'available',
    instance_uuid: server.id,
    user_id: actor.caller.userId,
    image_type: backup ? 'backup' : 'snapshot',
    ...(backup ? { backup_type: backup.type } : {}),
    ...(actor.caller.projectId === project_id ? {} : { instance_owner: project_id }),
    ...request.metadata,
  };
}

/**
 * Adds the image of a server that its bytes will come to. @returns its id
 * @throws InvalidError for metadata that would hide the image's own attributes, OverQuotaError
 */
export async function addServerImage(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: ServerImageRequest,
): Promise<string> {
  const reserved = Object.keys(request.metadata).find((name) => RESERVED.has(name));
  if (reserved !== undefined)
    throw new InvalidError(`'${reserved}' is an attribute of every image and can't be set as its metadata.`);
  try {
    const { id } = await addImage(session, cloud, actor.caller, {
      name: request.name,
      visibility: actor.caller.projectId === server.project_id ? 'private' : 'shared',
      disk_format: 'qcow2',
      container_format: 'bare',
      min_disk: Math.max(server.flavor.disk, server.image?.min_disk ?? 0),
      min_ram: server.image?.min_ram ?? 0,
      properties: propertiesOf(actor, server, request),
    });
    return id;
  } catch (error) {
    // The image service says 413 where this one says 403.
    throw error instanceof TooLargeError ? new OverQuotaError(error.message) : error;
  }
}

/**
 * Starts to make an image of a server. @returns the image's id
 * @throws ConflictError for the state, and as `addServerImage`
 */
export async function createServerImage(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: ServerImageRequest,
): Promise<string> {
  const operation = request.backup ? 'createBackup' : 'createImage';
  requireState(server, operation);
  const id = await addServerImage(session, cloud, actor, server, request);
  const params = { image_id: id, ...(request.backup ? { backup: request.backup } : {}) };
  await startAction(session, cloud, actor, server, operation, {}, params);
  return id;
}

/** Backups of a server of one type that are too many, the oldest. */
export async function spareBackups(
  session: ReadSession,
  server: Server,
  backup: NonNullable<ServerImageRequest['backup']>,
): Promise<string[]> {
  const mine = await session.find(imageProperties, { where: { name: 'instance_uuid', value: server.id } });
  const ids = mine.map((row) => row.image_id);
  const wanted: Readonly<Record<string, string>> = { image_type: 'backup', backup_type: backup.type };
  const rows = await session.find(imageProperties, { where: { image_id: In(ids), name: In(Object.keys(wanted)) } });
  const fits = ids.filter(
    (id) => rows.filter((row) => row.image_id === id && row.value === wanted[row.name]).length === 2,
  );
  const found = await session.find(images, {
    // Anybody may write these properties on an image of their own.
    where: { id: In(fits), owner: server.project_id, status: 'active', protected: false },
    order: { created_at: 'DESC', id: 'ASC' },
  });
  return found.slice(backup.rotation).map((image) => image.id);
}
