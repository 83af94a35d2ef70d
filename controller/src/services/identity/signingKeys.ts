// The keys that sign tokens: made in the database, one published ahead of use, rotated, kept until their last token has expired.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, rmSync, statSync } from 'node:fs';
import { ConfigError, type Clock } from '@cumulet/common';
import type { Database, ReadSession, WriteSession } from '../../db';
import { tokenKeys, type TokenKey } from '../../db/entities/identity';
import { orElseDone } from './conflicts';
import { makeKeyFile, readKeyFile, requireKeyFile, type KeyFile } from './keyFile';

/** An unknown key id makes us look into the database, but not more often than this. */
const RELOAD_AT_MOST_EVERY_MS = 1000;

export interface SigningKeys {
  /** The key that signs now. */
  current(): { readonly kid: string; readonly key: KeyObject };
  /** The public key of an id, looking into the database when it is unknown. */
  find(kid: string): Promise<KeyObject | undefined>;
  /** Makes the next key the current one and publishes another. Returns false when another controller did so meanwhile. */
  rotate(): Promise<boolean>;
  /** Reads the keys again, rotates when the current one is old, forgets those that no token can carry any more. */
  maintain(): Promise<void>;
}

export interface SigningKeyOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Path of the key file. */
  readonly keyFile: string;
  /** How long a key signs, in milliseconds. */
  readonly lifetime: number;
  /** How long after its last use a key must still verify, in milliseconds. */
  readonly verifyFor: number;
}

function newKey(generation: number, file: KeyFile, now: number): TokenKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const kid = createHash('sha256').update(publicKey).digest('hex').slice(0, 32);
  return { generation, kid, public_key: publicKey, private_key: file.seal(privateKey), created_at: now };
}

/** A key of generation g signs from the making of g + 1 until the making of g + 2. */
const madeAt = (rows: readonly TokenKey[], generation: number): number | undefined =>
  rows.find((row) => row.generation === generation)?.created_at;

async function makeFirst(session: WriteSession, file: KeyFile, now: number): Promise<void> {
  if ((await session.count(tokenKeys)) > 0) return;
  await session.insert(tokenKeys, [newKey(1, file, now), newKey(2, file, now)]);
}

const allKeys = (session: ReadSession): Promise<TokenKey[]> =>
  session.find(tokenKeys, { order: { generation: 'ASC' } });

/** Whether a key file is the one of these keys; anything is, while there are none. @throws ConfigError */
export async function requireFittingKeyFile(session: ReadSession, path: string): Promise<void> {
  const active = (await allKeys(session)).at(-2);
  if (active) requireKeyFile(path).open(active.private_key);
}

/**
 * The key file, and the first two keys where there are none. The file is made before the keys are, so that a crash in between loses
 * nothing. Of controllers that begin a new cloud at the same time one makes the keys; a file that another one made for nothing goes.
 */
async function openKeyFile({ db, clock, keyFile: path }: SigningKeyOptions): Promise<KeyFile> {
  const isNew = (await db.read((session) => session.count(tokenKeys))) === 0;
  // One that is there may be where nothing can be written.
  const isMade = isNew && readKeyFile(path) === undefined && makeKeyFile(path);
  const file = requireKeyFile(path);
  if (statSync(path).mode & 0o077) chmodSync(path, 0o600);
  if (!isNew) return file;
  await orElseDone(() => db.write((session) => makeFirst(session, file, clock.now())));
  try {
    await db.read((session) => requireFittingKeyFile(session, path));
    return file;
  } catch (error) {
    if (isMade && error instanceof ConfigError) rmSync(path);
    throw error;
  }
}

/** Opens the signing keys, making the first two when there are none. @throws ConfigError when the key file is not theirs. */
export async function openSigningKeys(options: SigningKeyOptions): Promise<SigningKeys> {
  const { db, clock } = options;
  const file = await openKeyFile(options);
  let rows: TokenKey[] = [];
  let publicKeys = new Map<string, KeyObject>();
  let signing: { kid: string; key: KeyObject };
  let loadedAt = 0;

  async function load(): Promise<void> {
    const found = await db.read(allKeys);
    const active = found.at(-2);
    if (!active) throw new Error('there are no keys to sign tokens with');
    publicKeys = new Map(found.map((row) => [row.kid, publicKeys.get(row.kid) ?? createPublicKey(row.public_key)]));
    rows = found;
    signing = { kid: active.kid, key: createPrivateKey(file.open(active.private_key)) };
    loadedAt = clock.now();
  }

  async function rotate(): Promise<boolean> {
    const newest = rows.at(-1)?.generation ?? 0;
    const done = await orElseDone(() =>
      db.write((session) => session.insert(tokenKeys, newKey(newest + 1, file, clock.now()))),
    );
    await load();
    return done;
  }

  async function forgetOld(): Promise<void> {
    const old = rows.filter((row) => {
      const retired = madeAt(rows, row.generation + 2);
      return retired !== undefined && retired + options.verifyFor < clock.now();
    });
    if (old.length === 0) return;
    await db.write(async (session) => {
      for (const row of old) await session.delete(tokenKeys, { generation: row.generation });
    });
    await load();
  }

  await load();
  return {
    current: () => signing,
    async find(kid) {
      const known = publicKeys.get(kid);
      if (known || Math.abs(clock.now() - loadedAt) < RELOAD_AT_MOST_EVERY_MS) return known;
      await load();
      return publicKeys.get(kid);
    },
    rotate,
    async maintain() {
      await load();
      const newest = rows.at(-1);
      if (newest && newest.created_at + options.lifetime < clock.now()) await rotate();
      await forgetOld();
    },
  };
}
