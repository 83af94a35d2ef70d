// Deleting an image's data from one store: there is only one, so its data can't go without the image.
import { ConflictError, ForbiddenError } from '../../errors';
import { authorizedImage } from '../../services/image/access';
import { STORE_ID } from '../../services/image/store';
import type { Handler } from '../route';

export const deleteFromStore: Handler = async (request, cloud) => {
  const { store = '', id = '' } = request.params;
  if (store !== STORE_ID) throw new ConflictError(`The selected store ${store} is not available on this node.`);
  const image = await cloud.db.read((session) =>
    authorizedImage(session, cloud, request.caller, id, 'image:delete_image'),
  );
  if (image.status !== 'active') {
    throw new ConflictError("It's not allowed to remove image data from store if image status is not 'active'");
  }
  throw new ForbiddenError(
    'Cannot delete image data from the only store containing it. Consider deleting the image instead.',
  );
};
