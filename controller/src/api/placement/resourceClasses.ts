// Handlers of /resource_classes.
import {
  createResourceClass,
  deleteResourceClass,
  ensureResourceClass,
  findResourceClass,
  listResourceClasses,
  renameResourceClass,
  type ResourceClass,
} from '../../services/placement/resourceClasses';
import { checkBody } from '../body';
import { param } from '../query';
import type { Handler } from '../route';
import { answer, locationOf, PREFIX } from './answer';

const pathOf = (name: string): string => `/resource_classes/${name}`;
const view = ({ name }: Pick<ResourceClass, 'name'>) => ({
  name,
  links: [{ rel: 'self', href: PREFIX + pathOf(name) }],
});

export const listHandler: Handler = (request, cloud) =>
  cloud.db.read(async (session) =>
    answer(request, cloud, { body: { resource_classes: (await listResourceClasses(session)).map(view) } }),
  );

export const showHandler: Handler = async (request, cloud) => {
  const found = await cloud.db.read((session) => findResourceClass(session, param(request, 'name')));
  return answer(request, cloud, { body: view(found), modified: found.createdAt });
};

export const createSchema = {
  type: 'object',
  properties: { name: { type: 'string', pattern: '^CUSTOM_[A-Z0-9_]+$', maxLength: 255 } },
  required: ['name'],
  additionalProperties: false,
};

export const createHandler: Handler = async (request, cloud) => {
  const { name } = request.body as { name: string };
  await cloud.db.write((session) => createResourceClass(session, cloud, name));
  return { status: 201, headers: locationOf(request, pathOf(name)) };
};

/** From 1.7 on a class is made unless it is there, and the body says nothing; before, it was renamed. */
export const putHandler: Handler = async (request, cloud) => {
  const name = param(request, 'name');
  if (request.microversion.minor >= 7) {
    checkBody(createSchema, { name });
    const made = await cloud.db.write((session) => ensureResourceClass(session, cloud, name));
    return { status: made ? 201 : 204, headers: locationOf(request, pathOf(name)) };
  }
  checkBody(createSchema, request.body);
  const { name: newName } = request.body as { name: string };
  await cloud.db.write((session) => renameResourceClass(session, name, newName));
  return { status: 200, body: view({ name: newName }) };
};

export const deleteHandler: Handler = async (request, cloud) => {
  await cloud.db.write((session) => deleteResourceClass(session, param(request, 'name')));
  return { status: 204 };
};
