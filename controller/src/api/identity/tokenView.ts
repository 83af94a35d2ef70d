// The body of a token. Which parts it has says what it is for: project, domain, system, or none of them.
import type { Project } from '../../db/entities/identity';
import { buildCatalog, type CatalogEntry, type CatalogRows } from '../../services/identity/catalog';
import type { Resolved } from '../../services/identity/resolution';
import type { ValidToken } from '../../services/identity/tokens';
import { identityTime } from './time';

const named = (project: Project): object => ({ id: project.id, name: project.name });

function scopeView({ claims, resolved }: ValidToken): object {
  const { project, projectDomain, domain } = resolved;
  const roles = resolved.roles.map((role) => ({ id: role.id, name: role.name }));
  if (claims.scope.kind === 'system') return { system: { all: true }, roles };
  if (domain) return { domain: named(domain), roles };
  if (!project || !projectDomain) return {};
  return { project: { domain: named(projectDomain), ...named(project) }, is_domain: project.is_domain, roles };
}

/** The catalog as this token sees it. */
export function catalogOf(
  rows: CatalogRows,
  resolved: Pick<Resolved, 'project' | 'user'>,
  origin: string,
): CatalogEntry[] {
  return buildCatalog(rows, origin, { projectId: resolved.project?.id ?? null, userId: resolved.user.id });
}

/** @param catalog left out when the caller does not want it, and for an unscoped token */
export function tokenView(valid: ValidToken, catalog: readonly CatalogEntry[] | undefined): object {
  const { claims, resolved } = valid;
  return {
    token: {
      methods: claims.methods,
      user: {
        domain: named(resolved.userDomain),
        id: resolved.user.id,
        name: resolved.user.name,
        password_expires_at: null,
      },
      audit_ids: claims.auditIds,
      expires_at: identityTime(claims.expiresAt),
      issued_at: identityTime(claims.issuedAt),
      ...scopeView(valid),
      ...(catalog && claims.scope.kind !== 'unscoped' ? { catalog } : {}),
    },
  };
}
