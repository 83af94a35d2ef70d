// The documents that say what there is: versions at /network, resources at /network/v2.0.
import type { ApiRequest, ApiResponse, Route } from '../route';

const base = (request: ApiRequest): string => `${request.origin}/network/v2.0`;

function versions(request: ApiRequest): ApiResponse {
  return {
    status: 200,
    body: { versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href: `${base(request)}/` }] }] },
  };
}

export const versionRoutes: readonly Route[] = [{ method: 'GET', path: '/', open: true, handler: versions }];

/** The list of resources, from the collections' paths. */
export function resourcesRoute(resources: readonly { member: string; collection: string; path: string }[]): Route {
  return {
    method: 'GET',
    path: '/',
    handler: (request) => ({
      status: 200,
      body: {
        resources: resources.map(({ member, collection, path }) => ({
          name: member,
          collection,
          links: [{ rel: 'self', href: `${base(request)}${path}` }],
        })),
      },
    }),
  };
}
