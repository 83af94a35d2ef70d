// The schema documents: clients build their forms and checks from them.
import type { Handler } from '../route';
import { imageSchema, UUID_PATTERN } from './imageSchema';

const memberSchema = {
  name: 'member',
  properties: {
    member_id: { type: 'string', description: 'Project that the image is shared with' },
    image_id: { type: 'string', description: 'Identifier of the image', pattern: UUID_PATTERN },
    created_at: { type: 'string', description: 'When the project became a member' },
    updated_at: { type: 'string', description: 'When the membership was last changed' },
    status: { type: 'string', description: "The project's answer", enum: ['pending', 'accepted', 'rejected'] },
    schema: { readOnly: true, type: 'string' },
  },
};

const describedBy = { rel: 'describedby', href: '{schema}' };

const imagesSchema = {
  name: 'images',
  properties: {
    images: { type: 'array', items: imageSchema },
    first: { type: 'string' },
    next: { type: 'string' },
    schema: { type: 'string' },
  },
  links: [{ rel: 'first', href: '{first}' }, { rel: 'next', href: '{next}' }, describedBy],
};

const membersSchema = {
  name: 'members',
  properties: { members: { type: 'array', items: memberSchema }, schema: { type: 'string' } },
  links: [describedBy],
};

const show =
  (schema: object): Handler =>
  () => ({ status: 200, body: schema });

export const getImageSchema = show(imageSchema);
export const getImagesSchema = show(imagesSchema);
export const getMemberSchema = show(memberSchema);
export const getMembersSchema = show(membersSchema);
