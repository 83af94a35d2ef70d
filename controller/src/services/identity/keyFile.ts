// Encrypts the private signing keys in the database with a secret that is only in a file, the same one at every controller.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError, messageOf } from '@cumulet/common';
import { makeNewFile } from '../../newFile';

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface KeyFile {
  readonly path: string;
  seal(text: string): string;
  /** @throws ConfigError when the text was sealed with another file. */
  open(sealed: string): string;
}

function keyFile(path: string, secret: Buffer): KeyFile {
  return {
    path,
    seal(text) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce);
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      try {
        decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
        const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
        return text.toString('utf8');
      } catch {
        throw new ConfigError(
          `the key file ${path} does not fit the signing keys in the database: it is another cloud's, or was made anew; ` +
            'put the one there that the keys were made with, from a backup or another controller',
          { path },
        );
      }
    },
  };
}

/** Reads a key file; undefined when there is none. AES-256-GCM. @throws ConfigError when it holds something else */
export function readKeyFile(path: string): KeyFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError(`cannot read the key file ${path}: ${messageOf(error)}`, { path });
  }
  const secret = Buffer.from(text.trim(), 'base64');
  if (secret.length !== SECRET_BYTES)
    throw new ConfigError(`the key file ${path} does not hold ${SECRET_BYTES} bytes in base64`, { path });
  return keyFile(path, secret);
}

/** Makes a key file of random bytes where there is none. @returns whether it was made here @throws ConfigError */
export function makeKeyFile(path: string): boolean {
  try {
    return makeNewFile(path, `${randomBytes(SECRET_BYTES).toString('base64')}\n`);
  } catch (error) {
    throw new ConfigError(`cannot make the key file ${path}: ${messageOf(error)}`, { path });
  }
}

/** The key file of a cloud that has signing keys. @throws ConfigError */
export function requireKeyFile(path: string): KeyFile {
  const file = readKeyFile(path);
  if (file) return file;
  throw new ConfigError(
    `there is no key file ${path}, but the database has signing keys that were made with one: ` +
      'put it there, from a backup or another controller',
    { path },
  );
}
