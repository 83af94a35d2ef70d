// The route table of the identity API.
import type { ApiService } from '../route';
import { authRoutes } from './auth';
import { domainRoutes } from './domains';
import { endpointRoutes } from './endpoints';
import { renderIdentityError } from './errors';
import { grantRoutes } from './grants';
import { groupMemberRoutes } from './groupMembers';
import { groupRoutes } from './groups';
import { impliedRoleRoutes } from './impliedRoles';
import { projectRoutes } from './projects';
import { projectTagRoutes } from './projectTags';
import { regionRoutes } from './regions';
import { roleAssignmentRoutes } from './roleAssignments';
import { roleRoutes } from './roles';
import { serviceRoutes } from './services';
import { tokenRoutes } from './tokens';
import { userRoutes } from './users';
import { versionListRoutes, versionRoutes } from './versions';

const headers = (): Record<string, string> => ({ vary: 'X-Auth-Token' });

export const identityService: ApiService = {
  name: 'identity',
  prefixes: ['/identity/v3', '/v3'],
  routes: [
    ...versionRoutes,
    ...tokenRoutes,
    ...authRoutes,
    ...domainRoutes,
    ...projectRoutes,
    ...projectTagRoutes,
    ...userRoutes,
    ...groupRoutes,
    ...groupMemberRoutes,
    ...roleRoutes,
    ...grantRoutes,
    ...impliedRoleRoutes,
    ...roleAssignmentRoutes,
    ...regionRoutes,
    ...serviceRoutes,
    ...endpointRoutes,
  ],
  renderError: renderIdentityError,
  headers,
};

/** The version documents at the roots: GET / and GET /identity. */
export const identityRootService: ApiService = {
  name: 'identity versions',
  prefixes: ['/identity', '/'],
  routes: versionListRoutes,
  renderError: renderIdentityError,
  headers,
};
