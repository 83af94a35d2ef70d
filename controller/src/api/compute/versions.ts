// The version documents of the compute API, which clients read without a token before everything else.
import type { ApiRequest, Handler, Route } from '../route';
import { maximumVersion, minimumVersion, versionText } from './microversion';

const v21 = (request: ApiRequest) => ({
  id: 'v2.1',
  links: [{ rel: 'self', href: `${request.origin}/compute/v2.1/` }],
  status: 'CURRENT',
  version: versionText(maximumVersion),
  min_version: versionText(minimumVersion),
  updated: '2013-07-23T11:33:21Z',
});

const v20 = (request: ApiRequest) => ({
  id: 'v2.0',
  links: [{ rel: 'self', href: `${request.origin}/compute/v2/` }],
  status: 'SUPPORTED',
  version: '',
  min_version: '',
  updated: '2011-01-21T11:33:21Z',
});

const detailed =
  (entry: (request: ApiRequest) => ReturnType<typeof v21>, media: string): Handler =>
  (request) => {
    const version = entry(request);
    const described = { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' };
    return {
      status: 200,
      body: {
        version: {
          ...version,
          links: [...version.links, described],
          'media-types': [
            { base: 'application/json', type: `application/vnd.openstack.compute+json;version=${media}` },
          ],
        },
      },
    };
  };

export const versionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    open: true,
    handler: (request) => ({ status: 200, body: { versions: [v20(request), v21(request)] } }),
  },
  { method: 'GET', path: '/v2', open: true, handler: detailed(v20, '2') },
  { method: 'GET', path: '/v2.1', open: true, handler: detailed(v21, '2.1') },
];
