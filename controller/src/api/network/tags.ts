// The tags of every resource that can have some: /networks/{id}/tags and /networks/{id}/tags/{tag}.
import type { Cloud } from '../../cloud';
import type { Table } from '../../db';
import { InvalidError, NotFoundError } from '../../errors';
import type { NetworkContext } from '../../services/network/context';
import { invalidInput } from '../../services/network/errors';
import { findVisible, touchResource, type Resource } from '../../services/network/resource';
import { replaceTags, tagsOf } from '../../services/network/tags';
import { param } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { listOf, Reason, text, type Check } from './checks';

const MAX_TAGS = 50;
const MAX_LENGTH = 255;

/** A list of distinct texts, as a new port may bring them. */
export const tagList: Check<string[]> = listOf(text(MAX_LENGTH), true);

const ruleOf = (resource: Pick<Resource, 'collection'>, verb: string): string =>
  `network:${resource.collection}:${verb}:tags`;

function bodyTags(body: unknown): string[] {
  const tags = typeof body === 'object' && body !== null ? (body as { tags?: unknown }).tags : undefined;
  if (tags === undefined) throw invalidInput('Invalid tags body');
  try {
    return tagList(tags);
  } catch (error) {
    if (error instanceof Reason) throw invalidInput(error.message);
    throw error;
  }
}

function pathTag(request: ApiRequest): string {
  const tag = param(request, 'tag');
  if (tag.length > MAX_LENGTH) throw invalidInput(`'${tag}' exceeds maximum length of ${MAX_LENGTH}`);
  return tag;
}

const tagNotFound = (tag: string): NotFoundError => new NotFoundError(`Tag ${tag} could not be found.`, 'TagNotFound');

/** Changes tags of a resource that the caller sees and may change. */
async function change<T extends Table>(
  resource: Resource<T>,
  request: ApiRequest,
  cloud: Cloud,
  next: (present: readonly string[]) => readonly string[],
): Promise<readonly string[]> {
  const { caller } = request;
  return cloud.db.write(async (session) => {
    const context: NetworkContext = { session, cloud, caller };
    const row = await findVisible(session, cloud, caller, resource, param(request, 'id'), 'exclusive');
    cloud.policy.require(caller, ruleOf(resource, 'update'), row);
    const { id } = row as { id?: unknown };
    const tags = next((await tagsOf(session, [String(id)])).get(String(id)) ?? []);
    if (new Set(tags).size > MAX_TAGS)
      throw new InvalidError(
        `Bad ${resource.collection} request: The number of tags exceed the per-resource limit of ${MAX_TAGS}.`,
        'BadRequest',
      );
    await replaceTags(session, resource.noun, String(id), tags);
    await touchResource(context, resource, row);
    return [...new Set(tags)].sort();
  });
}

async function read<T extends Table>(resource: Resource<T>, request: ApiRequest, cloud: Cloud): Promise<string[]> {
  const { caller } = request;
  return cloud.db.read(async (session) => {
    const row = await findVisible(session, cloud, caller, resource, param(request, 'id'));
    const id = String((row as { id?: unknown }).id);
    return (await tagsOf(session, [id])).get(id) ?? [];
  });
}

/** The routes below a resource's path. */
export function tagRoutes<T extends Table>(path: string, resource: Resource<T>): Route[] {
  const all = `${path}/:id/tags`;
  const one = `${all}/:tag`;
  const done: ApiResponse = { status: 204 };
  return [
    {
      method: 'GET',
      path: all,
      handler: async (request, cloud) => ({ status: 200, body: { tags: await read(resource, request, cloud) } }),
    },
    {
      method: 'GET',
      path: one,
      handler: async (request, cloud) => {
        const tag = pathTag(request);
        if (!(await read(resource, request, cloud)).includes(tag)) throw tagNotFound(tag);
        return done;
      },
    },
    {
      method: 'PUT',
      path: all,
      handler: async (request, cloud) => {
        const wanted = bodyTags(request.body);
        return { status: 200, body: { tags: await change(resource, request, cloud, () => wanted) } };
      },
    },
    {
      method: 'POST',
      path: all,
      handler: async (request, cloud) => {
        const wanted = bodyTags(request.body);
        return {
          status: 201,
          body: { tags: await change(resource, request, cloud, (present) => [...present, ...wanted]) },
        };
      },
    },
    {
      method: 'PUT',
      path: one,
      handler: async (request, cloud) => {
        const tag = pathTag(request);
        await change(resource, request, cloud, (present) => [...present, tag]);
        return { status: 201 };
      },
    },
    {
      method: 'DELETE',
      path: one,
      handler: async (request, cloud) => {
        const tag = pathTag(request);
        await change(resource, request, cloud, (present) => {
          if (!present.includes(tag)) throw tagNotFound(tag);
          return present.filter((other) => other !== tag);
        });
        return done;
      },
    },
    {
      method: 'DELETE',
      path: all,
      handler: async (request, cloud) => {
        await change(resource, request, cloud, () => []);
        return done;
      },
    },
  ];
}
