// Composes the identity service: keys, passwords, tokens, the feed of changes, and the work that repeats.
import { join } from 'node:path';
import type { Clock, Logger } from '@cumulet/common';
import type { ControllerConfig } from '../../config';
import type { Database } from '../../db';
import { repeat, type Repeating } from '../../repeat';
import { bootstrap } from './bootstrap';
import { createCatalog, type Catalog } from './catalog';
import { openChangeFeed, type ChangeFeed } from './changeFeed';
import { createLockout } from './lockout';
import { createLogin, type Login } from './login';
import { createPasswords, type Passwords } from './passwords';
import { createResolver } from './resolution';
import { createRevocations } from './revocations';
import { openSigningKeys, type SigningKeys } from './signingKeys';
import { createTokens, type Tokens } from './tokens';

export interface Identity {
  readonly tokens: Tokens;
  readonly login: Login;
  readonly passwords: Passwords;
  readonly catalog: Catalog;
  readonly feed: ChangeFeed;
  readonly keys: SigningKeys;
  /** How long after its end a token is still shown to those who ask for expired ones, in milliseconds. */
  readonly expiredWindow: number;
  /** One round of looking after keys, revocations and old rows. */
  maintain(): Promise<void>;
  /** Begins to read other controllers' changes and to look after keys and old rows. */
  start(): void;
  stop(): Promise<void>;
}

/** Four reads a second make a change known everywhere within one, on a busy machine too. With SQLite there is nobody else. */
const POLL_MS = { sqlite: 1_000, mariadb: 250 } as const;
const MAINTAIN_MS = 60_000;
const EXPIRED_WINDOW_MS = 2 * 86_400_000;

export interface IdentityParts {
  readonly config: ControllerConfig;
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Where the secret is that encrypts the keys that sign tokens. */
export const keyFilePath = ({ token_key_file, data_dir }: ControllerConfig): string =>
  token_key_file ?? join(data_dir, 'token-keys.secret');

/** Opens the identity service and makes what a new cloud needs. @throws ConfigError */
export async function createIdentity({ config, db, clock, log }: IdentityParts): Promise<Identity> {
  const passwords = createPasswords(config.password_cost);
  await bootstrap(db, passwords, { region: config.region, file: config.bootstrap_file, now: clock.now() });
  const lifetime = config.token_lifetime * 1000;
  const keepFor = lifetime + EXPIRED_WINDOW_MS;
  const keys = await openSigningKeys({
    db,
    clock,
    keyFile: keyFilePath(config),
    lifetime: config.token_key_lifetime * 1000,
    verifyFor: keepFor,
  });
  const revocations = createRevocations();
  const resolver = createResolver(db);
  const catalog = createCatalog(db);
  const feed = await openChangeFeed(db, clock, (change, at) => {
    revocations.add(change, at);
    resolver.invalidate(change.user_id);
    if (change.user_id === null) catalog.invalidate();
  });
  const tokens = createTokens({ db, clock, keys, resolver, revocations, feed, lifetime });
  const lockout = createLockout({
    db,
    clock,
    attempts: config.lockout_attempts,
    duration: config.lockout_seconds * 1000,
  });
  const login = createLogin({ db, passwords, lockout, tokens, resolver });

  async function maintain(): Promise<void> {
    const old = clock.now() - keepFor;
    revocations.forget(old);
    await feed.prune(old);
    await lockout.prune();
    await keys.maintain();
  }

  let running: readonly Repeating[] = [];
  return {
    tokens,
    login,
    passwords,
    catalog,
    feed,
    keys,
    expiredWindow: EXPIRED_WINDOW_MS,
    maintain,
    start() {
      running = [
        repeat({ clock, log }, 'reading changes of identity', POLL_MS[db.engine], () => feed.poll()),
        repeat({ clock, log }, 'maintenance of identity', MAINTAIN_MS, maintain),
      ];
    },
    async stop() {
      await Promise.all(running.map((one) => one.stop()));
    },
  };
}
