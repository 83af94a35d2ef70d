// Which tokens are revoked: by audit id, by chain, or because they were issued before something happened to user, project or domain.
import type { TokenClaims } from './tokenFormat';
import type { IdentityChange } from '../../db/entities/identity';

/** The parts of a change that revoke. */
export type Revocation = Omit<IdentityChange, 'sequence' | 'created_at'>;

/** The domains a token depends on: its user's and, when it has one, its project's. */
export interface TokenDomains {
  readonly userDomainId: string;
  readonly projectDomainId: string | null;
}

export interface Revocations {
  add(revocation: Revocation, at: number): void;
  revoked(claims: TokenClaims, domains: TokenDomains): boolean;
  /** The time up to which tokens of this user and scope are revoked; a new token must be later. */
  issuedBefore(claims: Pick<TokenClaims, 'userId' | 'scope'>, domains: TokenDomains): number;
  /** Forgets what was added before a time, when no token that it concerns can be valid any more. */
  forget(before: number): void;
}

interface Entry {
  readonly until: number;
  readonly at: number;
}

function raise(map: Map<string, Entry>, key: string | null, until: number | null, at: number): void {
  if (key === null || until === null) return;
  const known = map.get(key);
  map.set(key, { until: Math.max(known?.until ?? 0, until), at: Math.max(known?.at ?? 0, at) });
}

/** An empty set of revocations, kept in memory and fed from the table of changes. Every question is a few look-ups. */
export function createRevocations(): Revocations {
  const audits = new Map<string, Entry>();
  const chains = new Map<string, Entry>();
  const users = new Map<string, Entry>();
  const projects = new Map<string, Entry>();
  const domains = new Map<string, Entry>();

  function issuedBefore(claims: Pick<TokenClaims, 'userId' | 'scope'>, of: TokenDomains): number {
    const { scope } = claims;
    return Math.max(
      users.get(claims.userId)?.until ?? 0,
      domains.get(of.userDomainId)?.until ?? 0,
      of.projectDomainId === null ? 0 : (domains.get(of.projectDomainId)?.until ?? 0),
      scope.kind === 'project' ? (projects.get(scope.id)?.until ?? 0) : 0,
      scope.kind === 'domain' ? (domains.get(scope.id)?.until ?? 0) : 0,
    );
  }

  return {
    add(revocation, at) {
      const until = revocation.issued_before;
      raise(audits, revocation.audit_id, at, at);
      raise(chains, revocation.audit_chain_id, at, at);
      raise(users, revocation.user_id, until, at);
      raise(projects, revocation.project_id, until, at);
      raise(domains, revocation.domain_id, until, at);
    },
    revoked(claims, of) {
      const [own, chain = own] = claims.auditIds;
      if (own === undefined || audits.has(own)) return true;
      return (chain !== undefined && chains.has(chain)) || claims.issuedAt <= issuedBefore(claims, of);
    },
    issuedBefore,
    forget(before) {
      for (const map of [audits, chains, users, projects, domains]) {
        for (const [key, entry] of map) if (entry.at < before) map.delete(key);
      }
    },
  };
}
