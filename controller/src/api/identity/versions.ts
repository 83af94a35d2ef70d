// Version documents of the identity API: found without a token, never redirected.
import type { ApiRequest, ApiResponse, Route } from '../route';

/** The address under which the caller found us: /identity, /identity/v3, / or /v3; links keep to it. */
function baseOf(request: ApiRequest): string {
  return request.path.startsWith('/identity') ? `${request.origin}/identity` : request.origin;
}

function version(base: string): object {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${base}/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}

function list(request: ApiRequest): ApiResponse {
  const base = baseOf(request);
  return { status: 300, headers: { location: `${base}/v3/` }, body: { versions: { values: [version(base)] } } };
}

function show(request: ApiRequest): ApiResponse {
  return { status: 200, body: { version: version(baseOf(request)) } };
}

export const versionListRoutes: readonly Route[] = [{ method: 'GET', path: '/', open: true, handler: list }];
export const versionRoutes: readonly Route[] = [{ method: 'GET', path: '/', open: true, handler: show }];
