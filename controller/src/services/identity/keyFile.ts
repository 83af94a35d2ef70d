// Encrypts the private signing keys in the database with a secret that is only in a file of the controller.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { ConfigError, messageOf } from '@cumulet/common';

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface KeyFile {
  seal(text: string): string;
  /** @throws ConfigError when the text was sealed with another file. */
  open(sealed: string): string;
}

function readSecret(path: string): Buffer {
  try {
    writeFileSync(path, randomBytes(SECRET_BYTES).toString('base64') + '\n', { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new ConfigError(`cannot make the key file ${path}: ${messageOf(error)}`, { path });
  }
  chmodSync(path, 0o600);
  const secret = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64');
  if (secret.length !== SECRET_BYTES)
    throw new ConfigError(`the key file ${path} does not hold ${SECRET_BYTES} bytes in base64`, { path });
  return secret;
}

/** Opens the key file, making it when there is none: 32 random bytes, mode 0600. AES-256-GCM. @throws ConfigError */
export function openKeyFile(path: string): KeyFile {
  const secret = readSecret(path);
  return {
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
          `the key file ${path} does not fit the signing keys in the database; put back the one they were made with`,
          { path },
        );
      }
    },
  };
}
