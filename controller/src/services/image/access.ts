// Finds an image for an operation and checks the right to it: unknown and hidden images are both "not found".
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import { NotFoundError } from '../../errors';
import type { Caller } from '../caller';
import type { PolicyTarget } from '../policy/policy';
import { visibleImage, type ImageRecord } from './record';

/** 404 in the words that clients of the image API know. */
export function imageNotFound(id: string): NotFoundError {
  return new NotFoundError(`No image found with ID ${id}`, 'ImageNotFound', { image_id: id });
}

/** What the rules of the image service look at. */
function imageTarget(image: ImageRecord): PolicyTarget {
  return {
    project_id: image.owner,
    owner: image.owner,
    member_id: image.memberId,
    visibility: image.visibility,
    id: image.id,
  };
}

/** The image to change, if the caller may see it and the rule allows. @throws NotFoundError (404), ForbiddenError (403, seen but not allowed) */
export async function authorizedImage(
  session: ReadSession,
  cloud: Pick<Cloud, 'policy'>,
  caller: Caller,
  id: string,
  rule: string,
): Promise<ImageRecord> {
  const image = await visibleImage(session, caller, id, 'exclusive');
  if (!image || !cloud.policy.allows(caller, 'image:get_image', imageTarget(image))) throw imageNotFound(id);
  cloud.policy.require(caller, rule, imageTarget(image));
  return image;
}
