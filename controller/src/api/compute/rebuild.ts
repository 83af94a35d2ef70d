// The action rebuild, the one that answers with the server.
import type { Cloud } from '../../cloud';
import { ApiError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { rebuildServer, type RebuildRequest } from '../../services/compute/serverRebuild';
import type { ApiRequest, ApiResponse } from '../route';
import { selfHref } from './links';
import { compact, newPassword } from './serverCreate';
import { serverIdOf, viewOf } from './servers';

interface RebuildBody {
  readonly imageRef: string;
  readonly name?: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly adminPass?: string;
  readonly metadata?: Record<string, string>;
  readonly personality?: readonly { readonly path: string; readonly contents: string }[];
  readonly key_name?: string | null;
  readonly user_data?: string | null;
  readonly accessIPv4?: string;
  readonly accessIPv6?: string;
  readonly 'OS-DCF:diskConfig'?: string;
  readonly trusted_image_certificates?: readonly string[] | null;
}

function requestOf(body: RebuildBody): RebuildRequest {
  const { user_data: userData, accessIPv4, accessIPv6 } = body;
  const diskConfig = body['OS-DCF:diskConfig'];
  return {
    imageId: body.imageRef,
    ...(body.name === undefined ? {} : { name: body.name.trim() }),
    ...(body.description === undefined ? {} : { description: body.description }),
    ...(body.hostname === undefined ? {} : { hostname: body.hostname }),
    ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
    ...(body.personality === undefined
      ? {}
      : { personality: body.personality.map((file) => ({ path: file.path, contents: compact(file.contents) })) }),
    ...(body.key_name === undefined ? {} : { keyName: body.key_name }),
    ...(userData === undefined ? {} : { userData: userData === null ? null : compact(userData) }),
    ...(accessIPv4 === undefined ? {} : { accessIpV4: accessIPv4 }),
    ...(accessIPv6 === undefined ? {} : { accessIpV6: accessIPv6 }),
    ...(diskConfig === undefined ? {} : { diskConfig }),
  };
}

/** Starts a rebuild and shows the server with its new image; 202. */
export async function rebuild(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { rebuild: body } = request.body as { rebuild: RebuildBody };
  if (body.trusted_image_certificates && body.trusted_image_certificates.length > 0)
    throw new ApiError(501, 'NotImplemented', 'Image signature verification is not implemented here.');
  const actor = { caller: request.caller, requestId: request.id };
  const server = await cloud.db.write(async (session) => {
    const found = await findServer(session, request.caller, serverIdOf(request));
    return rebuildServer(session, cloud, actor, found, requestOf(body));
  });
  const view = await cloud.db.read((session) => viewOf(session, cloud, request, server, 'rebuild'));
  const userData = request.microversion.minor >= 57 ? { user_data: server.user_data } : {};
  return {
    status: 202,
    headers: { location: selfHref(request, 'servers', server.id) },
    body: { server: { ...view, adminPass: body.adminPass ?? newPassword(), ...userData } },
  };
}
