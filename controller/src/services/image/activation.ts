// Takes an image out of use and back into it; its data stays as it is.
import type { Cloud } from '../../cloud';
import { ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { authorizedImage } from './access';
import { moveStatus } from './transition';

const STATES = { deactivate: ['active', 'deactivated'], reactivate: ['deactivated', 'active'] } as const;

/** Nothing changes when it is so already. @throws NotFoundError, ForbiddenError (not allowed, or the image has no data) */
export async function changeActivation(
  cloud: Cloud,
  caller: Caller,
  id: string,
  action: 'deactivate' | 'reactivate',
): Promise<void> {
  const [from, to] = STATES[action];
  await cloud.db.write(async (session) => {
    const image = await authorizedImage(session, cloud, caller, id, `image:${action}`);
    if (image.status === to) return;
    if (image.status !== from) throw new ForbiddenError(`Not allowed to ${action} image in status '${image.status}'`);
    await moveStatus(session, id, from, { status: to }, cloud.clock.now());
  });
}
