// The body of an authentication request, and what it means.
import { Type, type Static } from '@sinclair/typebox';
import { InvalidError } from '../../errors';
import type { LoginRequest, NameInDomain, ScopeRequest } from '../../services/identity/login';

const Domain = Type.Object({ id: Type.Optional(Type.String()), name: Type.Optional(Type.String()) });
const InDomain = {
  id: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  domain: Type.Optional(Domain),
};
const Scope = Type.Object({
  project: Type.Optional(Type.Object(InDomain)),
  domain: Type.Optional(Domain),
  system: Type.Optional(Type.Object({ all: Type.Optional(Type.Boolean()) })),
  unscoped: Type.Optional(Type.Object({})),
});

export const TokenIssue = Type.Object({
  auth: Type.Object({
    identity: Type.Object({
      methods: Type.Array(Type.String()),
      password: Type.Optional(
        Type.Object({ user: Type.Object({ ...InDomain, password: Type.Optional(Type.String()) }) }),
      ),
      token: Type.Optional(Type.Object({ id: Type.String() })),
    }),
    scope: Type.Optional(Type.Union([Scope, Type.Literal('unscoped')])),
  }),
});
type TokenIssue = Static<typeof TokenIssue>;

const missing = (field: string, what: string): InvalidError =>
  new InvalidError(`Invalid input for field ${field}: ${what} must be present.`, 'ValidationError', { field });

/** A name without the domain it is in says nothing. */
function nameInDomain(value: Static<typeof Scope>['project'] & object, field: string): NameInDomain {
  const { id, name, domain } = value;
  if (id !== undefined) return { id };
  if (name === undefined) throw missing(field, 'id or name');
  if (!domain) throw missing(`${field}/domain`, 'the domain of a name');
  if (domain.id === undefined && domain.name === undefined) throw missing(`${field}/domain`, 'id or name');
  return {
    name,
    domain: {
      ...(domain.id === undefined ? {} : { id: domain.id }),
      ...(domain.name === undefined ? {} : { name: domain.name }),
    },
  };
}

function scopeOf(scope: TokenIssue['auth']['scope']): ScopeRequest {
  if (scope === undefined) return { kind: 'default' };
  if (scope === 'unscoped' || scope.unscoped) return { kind: 'unscoped' };
  const named = [scope.project, scope.domain, scope.system].filter((part) => part !== undefined);
  if (named.length !== 1)
    throw new InvalidError(
      'Invalid input for field scope: exactly one of project, domain and system must be given.',
      'ValidationError',
    );
  if (scope.project) return { kind: 'project', project: nameInDomain(scope.project, 'scope/project') };
  if (scope.domain) {
    const { id, name } = scope.domain;
    if (id === undefined && name === undefined) throw missing('scope/domain', 'id or name');
    return { kind: 'domain', domain: { ...(id === undefined ? {} : { id }), ...(name === undefined ? {} : { name }) } };
  }
  if (scope.system?.all !== true)
    throw new InvalidError(
      'Invalid input for field scope/system: only {"all": true} is a system scope.',
      'ValidationError',
    );
  return { kind: 'system' };
}

/** @throws InvalidError for a method without its data, or a name without a domain */
export function loginRequest(body: TokenIssue): LoginRequest {
  const { identity, scope } = body.auth;
  const user = identity.password?.user;
  if (identity.methods.includes('password') && user?.password === undefined)
    throw missing('identity/password/user', 'password');
  if (identity.methods.includes('token') && !identity.token) throw missing('identity/token', 'id');
  return {
    methods: identity.methods,
    ...(user?.password === undefined
      ? {}
      : { password: { user: nameInDomain(user, 'identity/password/user'), password: user.password } }),
    ...(identity.token ? { token: identity.token.id } : {}),
    scope: scopeOf(scope),
  };
}
