// What a token carries and how it is signed: a JWT with ES256. It names user, scope and audit ids, never roles.
import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import type { SigningKeys } from './signingKeys';

const AUDIENCE = 'cumulet';
/** Longer tokens are not ours; they are refused before anything is parsed. */
const MAX_TOKEN_LENGTH = 4096;

/** What a token is for. */
export type Scope =
  | { readonly kind: 'unscoped' }
  | { readonly kind: 'project'; readonly id: string }
  | { readonly kind: 'domain'; readonly id: string }
  | { readonly kind: 'system' };

export interface TokenClaims {
  readonly userId: string;
  readonly scope: Scope;
  readonly methods: readonly string[];
  /** The token's own audit id, then that of the first token of its chain if it was made from another. */
  readonly auditIds: readonly string[];
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Milliseconds since the epoch, a whole second. */
  readonly expiresAt: number;
}

/** A scope as one text: a key of caches and a claim of the token. */
export function scopeText(scope: Scope): string {
  switch (scope.kind) {
    case 'unscoped':
      return 'u';
    case 'system':
      return 's';
    default:
      return `${scope.kind === 'project' ? 'p' : 'd'}:${scope.id}`;
  }
}

function parseScope(text: unknown): Scope | undefined {
  if (text === 'u') return { kind: 'unscoped' };
  if (text === 's') return { kind: 'system' };
  if (typeof text !== 'string' || text.length < 3) return undefined;
  const id = text.slice(2);
  if (text.startsWith('p:')) return { kind: 'project', id };
  return text.startsWith('d:') ? { kind: 'domain', id } : undefined;
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');

function claimsOf(payload: jwt.JwtPayload): TokenClaims | undefined {
  const scope = parseScope(payload['scope']);
  const methods: unknown = payload['methods'];
  const auditIds: unknown = payload['audit_ids'];
  const { sub, iat, exp } = payload;
  if (!scope || !isTexts(methods) || !isTexts(auditIds) || sub === undefined || iat === undefined || exp === undefined)
    return undefined;
  return { userId: sub, scope, methods, auditIds, issuedAt: Math.round(iat * 1000), expiresAt: exp * 1000 };
}

/** Signs a token. */
export function signToken(claims: TokenClaims, key: { readonly kid: string; readonly key: KeyObject }): string {
  const payload = {
    aud: AUDIENCE,
    sub: claims.userId,
    scope: scopeText(claims.scope),
    methods: claims.methods,
    audit_ids: claims.auditIds,
    iat: claims.issuedAt / 1000,
    exp: claims.expiresAt / 1000,
  };
  return jwt.sign(payload, key.key, { algorithm: 'ES256', keyid: key.kid });
}

function headerOf(token: string): jwt.JwtHeader | undefined {
  try {
    return jwt.decode(token, { complete: true })?.header;
  } catch {
    return undefined; // not a JWT at all
  }
}

/** Checks form, algorithm, key, signature and audience; not the time and not revocation. Undefined: not a token of ours. */
export async function verifyToken(token: string, keys: Pick<SigningKeys, 'find'>): Promise<TokenClaims | undefined> {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  const header = headerOf(token);
  if (header?.alg !== 'ES256' || typeof header.kid !== 'string') return undefined;
  const key = await keys.find(header.kid);
  if (!key) return undefined;
  try {
    const payload = jwt.verify(token, key, { algorithms: ['ES256'], audience: AUDIENCE, ignoreExpiration: true });
    return typeof payload === 'string' ? undefined : claimsOf(payload);
  } catch {
    return undefined; // forged, or signed for somebody else
  }
}
