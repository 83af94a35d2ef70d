// Tags of an image, one at a time.
import { addTag, removeTag } from '../../services/image/tags';
import { checkBody } from '../body';
import type { Handler } from '../route';
import { imageSchema } from './imageSchema';

export const putTag: Handler = async (request, cloud) => {
  const { id = '', tag = '' } = request.params;
  checkBody(imageSchema, { tags: [tag] });
  await addTag(cloud, request.caller, id, tag);
  return { status: 204 };
};

export const deleteTag: Handler = async (request, cloud) => {
  const { id = '', tag = '' } = request.params;
  await removeTag(cloud, request.caller, id, tag);
  return { status: 204 };
};
