// Authentication: proves who somebody is by password or token, finds the scope asked for and issues a token.
// Everything that can be wrong about a login gives one answer after the same work.
import type { Database } from '../../db';
import { projects, users, type Project, type User } from '../../db/entities/identity';
import { UnauthorizedError } from '../../errors';
import type { Lockout } from './lockout';
import type { Passwords } from './passwords';
import type { Resolver } from './resolution';
import type { Scope, TokenClaims } from './tokenFormat';
import type { Tokens, ValidToken } from './tokens';

/** A thing named by id, or by name within a domain. */
interface DomainName {
  readonly id?: string;
  readonly name?: string;
}
export interface NameInDomain {
  readonly id?: string;
  readonly name?: string;
  readonly domain?: DomainName;
}

export type ScopeRequest =
  | { readonly kind: 'default' }
  | { readonly kind: 'unscoped' }
  | { readonly kind: 'system' }
  | { readonly kind: 'domain'; readonly domain: DomainName }
  | { readonly kind: 'project'; readonly project: NameInDomain };

export interface LoginRequest {
  readonly methods: readonly string[];
  readonly password?: { readonly user: NameInDomain; readonly password: string };
  readonly token?: string;
  readonly scope: ScopeRequest;
}

export interface LoginParts {
  readonly db: Database;
  readonly passwords: Passwords;
  readonly lockout: Lockout;
  readonly tokens: Tokens;
  readonly resolver: Resolver;
}

export interface Login {
  /** @throws UnauthorizedError for every reason alike. */
  login(request: LoginRequest): Promise<ValidToken & { readonly token: string }>;
  /** Checks a password with lockout. @throws UnauthorizedError */
  checkPassword(who: NameInDomain, password: string): Promise<User>;
}

const KNOWN_METHODS = new Set(['password', 'token']);

interface Proof {
  readonly user: User;
  readonly methods: readonly string[];
  readonly parent?: TokenClaims;
}

/** The domain a name means; undefined when there is none. */
async function findDomain(db: Database, domain: DomainName): Promise<Project | undefined> {
  const where = domain.id === undefined ? { name: domain.name ?? '', domain_id: '' } : { id: domain.id };
  return db.read((session) => session.findOne(projects, { ...where, is_domain: true }));
}

interface Account {
  readonly user: User | undefined;
  /** Whether the user and its domain are enabled. */
  readonly enabled: boolean;
}

/** Always the same number of look-ups, whether or not there is such a user. */
async function findAccount(db: Database, who: NameInDomain): Promise<Account> {
  const named = await findDomain(db, who.domain ?? {});
  const where = who.id === undefined ? { name: who.name ?? '', domain_id: named?.id ?? '' } : { id: who.id };
  const user = await db.read((session) => session.findOne(users, where));
  const home = await findDomain(db, { id: user?.domain_id ?? '' });
  return { user, enabled: user?.enabled === true && home?.enabled === true };
}

async function findScope(db: Database, request: ScopeRequest): Promise<Scope | undefined> {
  switch (request.kind) {
    case 'default':
    case 'unscoped':
      return { kind: 'unscoped' };
    case 'system':
      return { kind: 'system' };
    case 'domain': {
      const domain = await findDomain(db, request.domain);
      return domain && { kind: 'domain', id: domain.id };
    }
    case 'project': {
      const { id, name, domain } = request.project;
      if (id !== undefined) return { kind: 'project', id };
      const within = await findDomain(db, domain ?? {});
      if (!within || name === undefined) return undefined;
      const where = { name, domain_id: within.id };
      const project = await db.read((session) => session.findOne(projects, where));
      return project && { kind: 'project', id: project.id };
    }
  }
}

/** Whether the methods used satisfy the user's rules for several factors. */
export function factorsSuffice(user: Pick<User, 'options'>, methods: readonly string[]): boolean {
  const rules = user.options['multi_factor_auth_rules'];
  if (user.options['multi_factor_auth_enabled'] !== true || !Array.isArray(rules) || rules.length === 0) return true;
  return rules.some(
    (rule) => Array.isArray(rule) && rule.length > 0 && rule.every((method) => methods.includes(String(method))),
  );
}

export function createLogin(parts: LoginParts): Login {
  const { db, passwords, lockout, tokens, resolver } = parts;

  async function rehash(user: User, password: string): Promise<void> {
    const { id, password_hash: old } = user;
    if (old === null || !passwords.outdated(old)) return;
    const password_hash = await passwords.hash(password);
    await db.write((session) => session.update(users, { id, password_hash: old }, { password_hash }));
  }

  async function checkPassword(who: NameInDomain, password: string): Promise<User> {
    const { user, enabled } = await findAccount(db, who);
    const account = user?.id ?? JSON.stringify([who.id, who.domain?.id, who.domain?.name, who.name]);
    const fits = await passwords.verify(password, user?.password_hash ?? null);
    const locked = (await lockout.locked(account)) && user?.options['ignore_lockout_failure_attempts'] !== true;
    if (!user || !enabled || !fits || locked) {
      await lockout.failed(account);
      throw new UnauthorizedError();
    }
    await lockout.succeeded(account);
    await rehash(user, password);
    return user;
  }

  async function byToken(token: string): Promise<Proof> {
    const valid = await tokens.validate(token);
    if (!valid) throw new UnauthorizedError();
    return { user: valid.resolved.user, methods: valid.claims.methods, parent: valid.claims };
  }

  async function prove(request: LoginRequest): Promise<Proof> {
    if (request.methods.length === 0 || request.methods.some((method) => !KNOWN_METHODS.has(method)))
      throw new UnauthorizedError();
    const proofs: Proof[] = [];
    if (request.methods.includes('token')) proofs.push(await byToken(request.token ?? ''));
    if (request.methods.includes('password')) {
      if (!request.password) throw new UnauthorizedError();
      proofs.push({ user: await checkPassword(request.password.user, request.password.password), methods: [] });
    }
    const [first, ...others] = proofs;
    if (!first || others.some((other) => other.user.id !== first.user.id)) throw new UnauthorizedError();
    const methods = [...new Set([...request.methods, ...first.methods])];
    if (!factorsSuffice(first.user, methods)) throw new UnauthorizedError();
    return { ...first, methods };
  }

  /** The scope asked for; without one, the user's default project if there is access to it. */
  async function scopeFor(user: User, request: ScopeRequest): Promise<Scope> {
    if (request.kind === 'default' && user.default_project_id !== null) {
      const scope: Scope = { kind: 'project', id: user.default_project_id };
      if (await resolver.resolve(user.id, scope)) return scope;
    }
    const scope = await findScope(db, request);
    if (!scope) throw new UnauthorizedError();
    return scope;
  }

  return {
    checkPassword,
    async login(request) {
      const { user, methods, parent } = await prove(request);
      const scope = await scopeFor(user, request.scope);
      return tokens.issue({ userId: user.id, scope, methods, ...(parent ? { parent } : {}) });
    },
  };
}
