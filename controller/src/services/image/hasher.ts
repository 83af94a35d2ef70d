// MD5 and SHA-512 of the same bytes.
import { createHash } from 'node:crypto';

export interface Digests {
  /** MD5 and SHA-512, hexadecimal. */
  readonly checksum: string;
  readonly digest: string;
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  finish(): Digests;
}

export function createHasher(): Hasher {
  const md5 = createHash('md5');
  const sha512 = createHash('sha512');
  return {
    update(bytes) {
      md5.update(bytes);
      sha512.update(bytes);
    },
    finish: () => ({ checksum: md5.digest('hex'), digest: sha512.digest('hex') }),
  };
}
