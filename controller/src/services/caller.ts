// Who calls: what a valid token resolves to. Services decide with this, never with request headers.

/** The caller of a request. Names of roles include the implied ones. */
export interface Caller {
  readonly userId: string;
  readonly userName: string;
  readonly userDomainId: string;
  /** The project the token is scoped to, or null. */
  readonly projectId: string | null;
  readonly projectName: string | null;
  readonly projectDomainId: string | null;
  /** The domain the token is scoped to, or null. */
  readonly domainId: string | null;
  readonly systemScope: boolean;
  /** Lower-case names of the effective roles in this scope. */
  readonly roles: readonly string[];
  /** The role admin in a project or the system: sees other projects' resources. */
  readonly isAdmin: boolean;
  readonly auditIds: readonly string[];
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly methods: readonly string[];
}

/** Checks tokens. @throws UnauthorizedError for anything that is not a valid token. */
export interface TokenAuthority {
  authenticate(token: string): Promise<Caller>;
}
