// The action evacuate, whose body and answer changed over the microversions.
import type { Cloud } from '../../cloud';
import { InvalidError } from '../../errors';
import { findServer } from '../../services/compute/findServer';
import { evacuateServer } from '../../services/compute/serverEvacuate';
import type { ApiRequest, ApiResponse } from '../route';
import { isTrue } from './schemaTypes';
import { newPassword } from './serverCreate';
import { serverIdOf } from './servers';

interface EvacuateBody {
  readonly host?: string;
  readonly adminPass?: string;
  readonly onSharedStorage?: boolean | string;
  readonly force?: boolean | string;
}

/** What a body that fits the schema may still not ask for. @throws InvalidError */
function requirePossible({ host, force }: EvacuateBody): void {
  if (isTrue(force) && host === undefined)
    throw new InvalidError("Can't force to a non-provided destination", 'NoDestination');
}

/** Starts an evacuation; 200, until 2.13 with a password. A forced host is looked at like any other. */
export async function evacuate(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const { evacuate: body } = request.body as { evacuate: EvacuateBody };
  const { minor } = request.microversion;
  const actor = { caller: request.caller, requestId: request.id };
  requirePossible(body);
  await cloud.db.write(async (session) => {
    const server = await findServer(session, request.caller, serverIdOf(request));
    const wanted = { host: body.host ?? null, staysOff: minor >= 95, keepsDisk: isTrue(body.onSharedStorage) };
    await evacuateServer(session, cloud, actor, server, wanted);
  });
  if (minor >= 14) return { status: 200 };
  return { status: 200, body: { adminPass: body.adminPass ?? newPassword() } };
}
