// Issues, checks and revokes tokens. A check is a look-up unless the token or its user is new to this process.
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '@cumulet/common';
import type { Database } from '../../db';
import { UnauthorizedError } from '../../errors';
import type { Caller, TokenAuthority } from '../caller';
import type { ChangeFeed } from './changeFeed';
import type { Resolved, Resolver } from './resolution';
import type { Revocations, TokenDomains } from './revocations';
import type { SigningKeys } from './signingKeys';
import { signToken, verifyToken, type Scope, type TokenClaims } from './tokenFormat';

/** A token that is valid now, and what it means now. */
export interface ValidToken {
  readonly claims: TokenClaims;
  readonly resolved: Resolved;
}

/** What a new token is made from. */
interface TokenRequest {
  readonly userId: string;
  readonly scope: Scope;
  readonly methods: readonly string[];
  /** The token it is made from; the new one never lives longer and keeps its chain. */
  readonly parent?: TokenClaims;
}

export interface Tokens extends TokenAuthority {
  /** @throws UnauthorizedError when the user has no access to the scope. */
  issue(request: TokenRequest): Promise<ValidToken & { readonly token: string }>;
  /** @param graceMs how long after its end a token is still accepted. Undefined: not valid. */
  validate(token: string, graceMs?: number): Promise<ValidToken | undefined>;
  /** Makes one token invalid, at once here and within a second everywhere. */
  revoke(claims: TokenClaims): Promise<void>;
}

export interface TokenParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly keys: SigningKeys;
  readonly resolver: Resolver;
  readonly revocations: Revocations;
  readonly feed: ChangeFeed;
  /** Milliseconds. */
  readonly lifetime: number;
}

const MAX_VERIFIED = 20_000;

/** Sixteen random bytes as text: names a token in logs without giving it away. */
const auditId = (): string => randomBytes(16).toString('base64url');

const domainsOf = (resolved: Resolved): TokenDomains => ({
  userDomainId: resolved.userDomain.id,
  projectDomainId: resolved.projectDomain?.id ?? null,
});

/** The caller that a valid token stands for. */
function callerOf({ claims, resolved }: ValidToken): Caller {
  const roleNames = resolved.roles.map((role) => role.name.toLowerCase());
  return {
    userId: resolved.user.id,
    userName: resolved.user.name,
    userDomainId: resolved.user.domain_id,
    projectId: resolved.project?.id ?? null,
    projectName: resolved.project?.name ?? null,
    projectDomainId: resolved.projectDomain?.id ?? null,
    domainId: resolved.domain?.id ?? null,
    systemScope: claims.scope.kind === 'system',
    roles: roleNames,
    isAdmin: roleNames.includes('admin') && claims.scope.kind !== 'domain',
    auditIds: claims.auditIds,
    expiresAt: claims.expiresAt,
    methods: claims.methods,
  };
}

/** Signatures that were checked already, by a digest of the token; the oldest are forgotten first. */
function createVerifiedCache(keys: SigningKeys): (token: string) => Promise<TokenClaims | undefined> {
  const verified = new Map<string, TokenClaims>();
  return async (token) => {
    const key = createHash('sha256').update(token).digest('base64');
    const known = verified.get(key);
    if (known) return known;
    const claims = await verifyToken(token, keys);
    if (!claims) return undefined;
    if (verified.size >= MAX_VERIFIED) {
      const [oldest] = verified.keys();
      if (oldest !== undefined) verified.delete(oldest);
    }
    verified.set(key, claims);
    return claims;
  };
}

/** The times of a new token: later than every revocation that would hit it, no later end than its parent's. */
function timesOf(
  now: number,
  after: number,
  lifetime: number,
  parent: TokenClaims | undefined,
): Pick<TokenClaims, 'issuedAt' | 'expiresAt'> {
  const issuedAt = Math.max(now, after + 1);
  const end = Math.floor((issuedAt + lifetime) / 1000) * 1000;
  return { issuedAt, expiresAt: parent ? Math.min(end, parent.expiresAt) : end };
}

export function createTokens(parts: TokenParts): Tokens {
  const { clock, db, feed, keys, resolver, revocations } = parts;
  const verify = createVerifiedCache(keys);

  async function validate(token: string, graceMs = 0): Promise<ValidToken | undefined> {
    const claims = await verify(token);
    if (!claims || claims.expiresAt + graceMs <= clock.now()) return undefined;
    const resolved = await resolver.resolve(claims.userId, claims.scope);
    if (!resolved || revocations.revoked(claims, domainsOf(resolved))) return undefined;
    return { claims, resolved };
  }

  return {
    validate,
    async authenticate(token) {
      const valid = await validate(token);
      if (!valid) throw new UnauthorizedError();
      return callerOf(valid);
    },
    async issue({ userId, scope, methods, parent }) {
      const resolved = await resolver.resolve(userId, scope);
      if (!resolved) throw new UnauthorizedError();
      const after = revocations.issuedBefore({ userId, scope }, domainsOf(resolved));
      const chain = parent?.auditIds.at(-1);
      const claims: TokenClaims = {
        userId,
        scope,
        methods,
        auditIds: chain === undefined ? [auditId()] : [auditId(), chain],
        ...timesOf(clock.now(), after, parts.lifetime, parent),
      };
      return { claims, resolved, token: signToken(claims, keys.current()) };
    },
    async revoke(claims) {
      const [audit_id = null] = claims.auditIds;
      await db.write((session) => feed.record(session, { audit_id, user_id: claims.userId }));
    },
  };
}
