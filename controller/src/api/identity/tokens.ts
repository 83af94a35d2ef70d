// Issue, validate and revoke tokens.
import type { Static } from '@sinclair/typebox';
import type { Cloud } from '../../cloud';
import { NotFoundError } from '../../errors';
import type { ValidToken } from '../../services/identity/tokens';
import { queryFlag } from '../query';
import type { ApiRequest, ApiResponse, Route } from '../route';
import { loginRequest, TokenIssue } from './tokenSchema';
import { tokenJson } from './tokenView';

/** The answer that shows a token, which goes into a header and not into the body. */
async function render(
  request: ApiRequest,
  cloud: Cloud,
  status: number,
  token: string,
  valid: ValidToken,
): Promise<ApiResponse> {
  const caller = { projectId: valid.resolved.project?.id ?? null, userId: valid.resolved.user.id };
  const wanted = !request.query.has('nocatalog');
  const catalog = wanted ? await cloud.identity.catalog.json(request.origin, caller) : undefined;
  return {
    status,
    headers: { 'content-type': 'application/json', 'x-subject-token': token },
    body: tokenJson(valid, catalog),
  };
}

async function issue(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const login = loginRequest(request.body as Static<typeof TokenIssue>);
  const { token, ...valid } = await cloud.identity.login.login(login);
  return render(request, cloud, 201, token, valid);
}

/** The token asked about. One that is unknown is 404: nobody learns anything from a token he does not have. */
async function subject(request: ApiRequest, cloud: Cloud, rule: string, graceMs = 0): Promise<[string, ValidToken]> {
  const header = request.headers['x-subject-token'];
  const token = typeof header === 'string' ? header : '';
  const valid = await cloud.identity.tokens.validate(token, graceMs);
  if (!valid) throw new NotFoundError('Could not find the token named in X-Subject-Token.');
  cloud.policy.require(request.caller, rule, { 'target.token.user_id': valid.claims.userId });
  return [token, valid];
}

async function validate(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const graceMs = queryFlag(request.query, 'allow_expired') === true ? cloud.identity.expiredWindow : 0;
  const [token, valid] = await subject(request, cloud, 'identity:validate_token', graceMs);
  return render(request, cloud, 200, token, valid);
}

async function revoke(request: ApiRequest, cloud: Cloud): Promise<ApiResponse> {
  const [, valid] = await subject(request, cloud, 'identity:revoke_token');
  await cloud.identity.tokens.revoke(valid.claims);
  return { status: 204 };
}

export const tokenRoutes: readonly Route[] = [
  { method: 'POST', path: '/auth/tokens', open: true, schema: TokenIssue, handler: issue },
  { method: 'GET', path: '/auth/tokens', handler: validate },
  { method: 'DELETE', path: '/auth/tokens', handler: revoke },
];
