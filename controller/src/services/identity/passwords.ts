// Password hashes: scrypt in libuv's threads, at most a few at once, because each takes 128 * 2^cost * 8 bytes of memory.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { ApiError } from '../../errors';

const BLOCK_SIZE = 8;
const PARALLELISM = 1;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
/** libuv has four threads; one stays free for files, or logins would hold up images. */
const MAX_AT_ONCE = 3;
/** Logins that may wait for a thread; more are refused at once instead of answered too late. */
const MAX_WAITING = 512;

export interface Passwords {
  /** A hash with its parameters: $scrypt$ln=15,r=8,p=1$salt$key. */
  hash(password: string): Promise<string>;
  /** Whether the password fits. Without a hash it does the same work and says no. */
  verify(password: string, hash: string | null): Promise<boolean>;
  /** Whether the hash was made with another cost than the present one. */
  outdated(hash: string): boolean;
}

interface ParsedHash {
  readonly cost: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

function parseHash(hash: string): ParsedHash {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=8,p=1\$([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]+=*)$/.exec(hash);
  const [, cost, salt, key] = match ?? [];
  if (cost === undefined || salt === undefined || key === undefined)
    throw new Error('a stored password hash is damaged');
  return { cost: Number(cost), salt: Buffer.from(salt, 'base64'), key: Buffer.from(key, 'base64') };
}

function derive(password: string, salt: Buffer, cost: number): Promise<Buffer> {
  const N = 2 ** cost;
  const options = { N, r: BLOCK_SIZE, p: PARALLELISM, maxmem: 128 * N * BLOCK_SIZE + 2 ** 20 };
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, KEY_BYTES, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

/** A gate that lets at most `limit` pieces of work run at once and at most `waiting` wait. */
export function gate(limit: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const queue: (() => void)[] = [];
  return async (work) => {
    if (running >= limit) {
      if (queue.length >= waiting)
        throw new ApiError(503, 'ServiceUnavailable', 'Too many logins at the moment; try again.');
      await new Promise<void>((resolve) => queue.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next) next();
      else running--;
    }
  };
}

/**
 * Password hashing after RFC 7914.
 * @param cost N as a power of two
 * @param atOnce hashes computed at the same time; more only add memory, not throughput
 */
export function createPasswords(cost: number, atOnce = Math.min(availableParallelism(), MAX_AT_ONCE)): Passwords {
  const enter = gate(atOnce, MAX_WAITING);
  const dummy: ParsedHash = { cost, salt: randomBytes(SALT_BYTES), key: randomBytes(KEY_BYTES) };
  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      const key = await enter(() => derive(password, salt, cost));
      return `$scrypt$ln=${cost},r=${BLOCK_SIZE},p=${PARALLELISM}$${salt.toString('base64')}$${key.toString('base64')}`;
    },
    async verify(password, hash) {
      const expected = hash === null ? dummy : parseHash(hash);
      const key = await enter(() => derive(password, expected.salt, expected.cost));
      return timingSafeEqual(key, expected.key) && hash !== null;
    },
    outdated: (hash) => parseHash(hash).cost !== cost,
  };
}
