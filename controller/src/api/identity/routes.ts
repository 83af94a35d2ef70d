// The route table of the identity API.
import type { ApiService } from '../route';
import { renderIdentityError } from './errors';

export const identityService: ApiService = {
  name: 'identity',
  prefixes: ['/identity/v3', '/v3'],
  routes: [],
  renderError: renderIdentityError,
};

/** The version documents at the roots: GET / and GET /identity. */
export const identityRootService: ApiService = {
  name: 'identity versions',
  prefixes: ['/identity', '/'],
  routes: [],
  renderError: renderIdentityError,
};
