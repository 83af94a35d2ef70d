// Keypairs belong to a user. Only public halves are stored.
import type { Cloud } from '../../cloud';
import { isDuplicate, list, type ReadSession, type WriteSession } from '../../db';
import { keypairs, type Keypair } from '../../db/entities/compute';
import { users } from '../../db/entities/identity';
import { ConflictError, InvalidError, NotFoundError, OverQuotaError } from '../../errors';
import { limitOf } from './quotas';

export interface KeypairRequest {
  readonly userId: string;
  readonly name: string;
  readonly publicKey: string;
  readonly fingerprint: string;
}

/** Stores a key. @throws ConflictError when the user has one of that name, OverQuotaError */
export async function addKeypair(
  session: WriteSession,
  cloud: Cloud,
  projectId: string | null,
  request: KeypairRequest,
): Promise<Keypair> {
  // One after the other, so that the count is right.
  await session.findOne(users, { id: request.userId }, 'exclusive');
  const limit = await limitOf(session, projectId ?? '', request.userId, 'key_pairs');
  if (limit >= 0 && (await session.count(keypairs, { user_id: request.userId })) >= limit)
    throw new OverQuotaError(`Quota exceeded, too many key pairs: at most ${limit} are allowed.`);
  const row = {
    user_id: request.userId,
    name: request.name,
    type: 'ssh',
    fingerprint: request.fingerprint,
    public_key: request.publicKey,
    created_at: cloud.clock.now(),
  };
  try {
    return { ...row, sequence: await session.insert(keypairs, row) };
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    throw new ConflictError(`Key pair '${request.name}' already exists.`, 'KeyPairExists');
  }
}

/** A user's key by name. @throws NotFoundError */
export async function findKeypair(session: ReadSession, userId: string, name: string): Promise<Keypair> {
  const row = await session.findOne(keypairs, { user_id: userId, name });
  if (!row) throw new NotFoundError(`Keypair ${name} not found for user ${userId}`, 'KeypairNotFound');
  return row;
}

/** A user's keys by name. @throws InvalidError for an unknown marker */
export async function listKeypairs(
  session: ReadSession,
  userId: string,
  page: { readonly limit: number; readonly marker: string | undefined },
): Promise<Keypair[]> {
  const marker =
    page.marker === undefined ? undefined : await session.findOne(keypairs, { user_id: userId, name: page.marker });
  if (page.marker !== undefined && !marker) throw new InvalidError(`Marker ${page.marker} could not be found.`);
  if (page.limit === 0) return [];
  return list(session, keypairs, {
    conditions: [{ column: 'user_id', op: '=', value: userId }],
    sort: [{ column: 'name', direction: 'asc' }],
    limit: page.limit,
    ...(marker ? { marker } : {}),
  });
}

/** @throws NotFoundError */
export async function deleteKeypair(session: WriteSession, userId: string, name: string): Promise<void> {
  if ((await session.delete(keypairs, { user_id: userId, name })) === 0)
    throw new NotFoundError(`Keypair ${name} not found for user ${userId}`, 'KeypairNotFound');
}
