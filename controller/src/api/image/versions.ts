// The version document of the image API: one entry per minor version, all served at the same address.
import type { ApiRequest, ApiResponse } from '../route';

/** Minor versions of v2, newest first. 2.14 is the API of an image cache, which this service does not have. */
const MINORS = [15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

function versionDocument(request: ApiRequest): object {
  const href = `${request.origin}/image/v2/`;
  return {
    versions: MINORS.map((minor, at) => ({
      id: `v2.${minor}`,
      status: at === 0 ? 'CURRENT' : 'SUPPORTED',
      links: [{ rel: 'self', href }],
    })),
  };
}

/** The root: several choices. */
export function listVersions(request: ApiRequest): ApiResponse {
  return { status: 300, body: versionDocument(request) };
}

/** The same under its explicit address. */
export function showVersions(request: ApiRequest): ApiResponse {
  return { status: 200, body: versionDocument(request) };
}
