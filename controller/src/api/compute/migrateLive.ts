// The action os-migrateLive, whose body and answer changed over the microversions.
import type { Cloud } from '../../cloud';
import { InvalidError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { liveMigrateServer } from '../../services/compute/serverLiveMigrate';
import type { ApiRequest, ApiResponse } from '../route';
import { isTrue } from './schemaTypes';
import { serverIdOf } from './servers';

interface MigrateLiveBody {
  readonly host: string | null;
  readonly block_migration: boolean | string;
  readonly force?: boolean | string;
}

/** From this microversion on the answer does not wait for what hosts and the scheduler say. */
const UNCHECKED = 34;

/** Starts a live migration; 202. A forced host is looked at like any other. */
export async function migrateLive(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { 'os-migrateLive': body } = request.body as { 'os-migrateLive': MigrateLiveBody };
  const { host, block_migration: block, force } = body;
  if (isTrue(force) && host === null)
    throw new InvalidError("Can't force to a non-provided destination", 'NoDestination');
  const actor = { caller: request.caller, requestId: request.id };
  const wanted = { host, block: block === 'auto' ? null : isTrue(block) };
  await cloud.db.write(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    await liveMigrateServer(session, cloud, actor, server, wanted, request.microversion.minor < UNCHECKED);
  });
  return { status: 202 };
}
