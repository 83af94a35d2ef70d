// The body of a token. Which parts it has says what it is for: project, domain, system, or none of them.
import type { Project } from '../../db/entities/identity';
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

/** The token without its catalog. */
function tokenPart(valid: ValidToken): object {
  const { claims, resolved } = valid;
  return {
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
  };
}

/** A token is asked about again and again; its text is kept as long as its claims are, for what it means now. */
const texts = new WeakMap<object, { readonly resolved: object; readonly text: string }>();

function tokenText(valid: ValidToken): string {
  const known = texts.get(valid.claims);
  if (known?.resolved === valid.resolved) return known.text;
  const text = JSON.stringify(tokenPart(valid));
  texts.set(valid.claims, { resolved: valid.resolved, text });
  return text;
}

/**
 * The whole body as JSON text, because the catalog comes as text that was made once.
 * @param catalog JSON of the catalog; undefined when the caller does not want it. An unscoped token has none.
 */
export function tokenJson(valid: ValidToken, catalog: string | undefined): string {
  const token = tokenText(valid);
  if (catalog === undefined || valid.claims.scope.kind === 'unscoped') return `{"token":${token}}`;
  return `{"token":${token.slice(0, -1)},"catalog":${catalog}}}`;
}
