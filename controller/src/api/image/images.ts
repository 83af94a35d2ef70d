// The image records: create, list, show, change, delete.
import { createImage } from '../../services/image/create';
import { deleteImage } from '../../services/image/delete';
import { authorizedImage } from '../../services/image/access';
import { listImages } from '../../services/image/list';
import { updateImage } from '../../services/image/update';
import { STORE_ID } from '../../services/image/store';
import { param } from '../query';
import type { Handler } from '../route';
import { parseNewImage } from './imageBody';
import { imageView } from './imageView';
import { parsePatch } from './jsonPatch';
import { pageLinks, parseImageList } from './listQuery';

/** How data can come besides an upload. */
export const IMPORT_METHODS = ['glance-direct'];

export const postImage: Handler = async (request, cloud) => {
  const image = await createImage(cloud, request.caller, parseNewImage(request.body));
  return {
    status: 201,
    headers: {
      Location: `${request.origin}/image/v2/images/${image.id}`,
      'OpenStack-image-import-methods': IMPORT_METHODS.join(','),
      'OpenStack-image-store-ids': STORE_ID,
    },
    body: imageView(image),
  };
};

export const getImages: Handler = async (request, cloud) => {
  const query = parseImageList(request.query);
  const images = await listImages(cloud, request.caller, query);
  const last = images.length > 0 && images.length === query.limit ? images.at(-1)?.id : undefined;
  return {
    status: 200,
    body: { images: images.map(imageView), schema: '/v2/schemas/images', ...pageLinks(request.query, last) },
  };
};

export const getImage: Handler = async (request, cloud) => {
  const id = param(request, 'id');
  const image = await cloud.db.read((session) =>
    authorizedImage(session, cloud, request.caller, id, 'image:get_image'),
  );
  return { status: 200, body: imageView(image) };
};

export const patchImage: Handler = async (request, cloud) => {
  const changes = parsePatch(request.headers['content-type'], request.body);
  const image = await updateImage(cloud, request.caller, param(request, 'id'), changes);
  return { status: 200, body: imageView(image) };
};

export const removeImage: Handler = async (request, cloud) => {
  await deleteImage(cloud, request.caller, param(request, 'id'));
  return { status: 204 };
};
