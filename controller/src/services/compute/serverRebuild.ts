// Rebuild: the same server with a new root disk, and what else its owner changes on the way.
import type { Cloud } from '../../cloud';
import type { WriteSession } from '../../db';
import type { Server, ServerFile } from '../../db/entities/compute';
import { findServerImage, requireImageFits } from './bootImage';
import { nextDiskRevision } from './migrations';
import { renamePorts } from './portNames';
import { startAction, type Actor } from './serverActions';
import { requireHost, requireState, requireUnlocked } from './serverStates';
import { keyOf, requireWithinItemQuota } from './servers';

export interface RebuildRequest {
  readonly imageId: string;
  readonly name?: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly personality?: readonly ServerFile[];
  /** Null: without a key from now on. */
  readonly keyName?: string | null;
  /** Base64; null: without from now on. */
  readonly userData?: string | null;
  readonly accessIpV4?: string;
  readonly accessIpV6?: string;
  readonly diskConfig?: string;
}

function changesOf(request: RebuildRequest): Partial<Server> {
  return {
    ...(request.name === undefined ? {} : { name: request.name }),
    ...(request.description === undefined ? {} : { description: request.description }),
    ...(request.hostname === undefined ? {} : { hostname: request.hostname }),
    ...(request.metadata === undefined ? {} : { metadata: { ...request.metadata } }),
    ...(request.personality === undefined ? {} : { personality: request.personality }),
    ...(request.userData === undefined ? {} : { user_data: request.userData }),
    ...(request.accessIpV4 === undefined ? {} : { access_ip_v4: request.accessIpV4 }),
    ...(request.accessIpV6 === undefined ? {} : { access_ip_v6: request.accessIpV6 }),
    ...(request.diskConfig === undefined ? {} : { disk_config: request.diskConfig }),
  };
}

/**
 * Starts a rebuild; the row names the new image at once.
 * @throws ConflictError for the state, InvalidError for an image or key that can't be used, OverQuotaError
 */
export async function rebuildServer(
  session: WriteSession,
  cloud: Cloud,
  actor: Actor,
  server: Server,
  request: RebuildRequest,
): Promise<Server> {
  requireUnlocked(server, actor.caller);
  requireState(server, 'rebuild');
  requireHost(server);
  await requireWithinItemQuota(session, server.project_id, actor.caller.userId, {
    metadata: request.metadata ?? {},
    personality: request.personality ?? [],
  });
  const image = await findServerImage(session, actor.caller, request.imageId, 'Cannot find image for rebuild');
  requireImageFits(image, server.flavor);
  const { keyName } = request;
  const key =
    keyName === undefined ? {} : { key_name: keyName, key: await keyOf(session, actor.caller.userId, keyName) };
  if (request.hostname !== undefined) await renamePorts(session, cloud, server, request.hostname);
  return startAction(session, cloud, actor, server, 'rebuild', {
    ...changesOf(request),
    ...key,
    image_id: image.id,
    image,
    disk_revision: await nextDiskRevision(session, server),
  });
}
