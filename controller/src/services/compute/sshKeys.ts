// OpenSSH public keys: checking what a user brings, fingerprints, and making a new pair.
import { createHash, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { InvalidError } from '../../errors';

/** MD5 over the key's bytes, as OpenSSH wrote fingerprints when this API was made. */
export function fingerprint(bytes: Buffer): string {
  return createHash('md5')
    .update(bytes)
    .digest('hex')
    .replaceAll(/(..)(?!$)/g, '$1:');
}

/** Reads the length-prefixed text at the beginning of an OpenSSH key. */
function firstField(bytes: Buffer): string | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readUInt32BE(0);
  return length > 0 && bytes.length > 4 + length ? bytes.toString('latin1', 4, 4 + length) : undefined;
}

const TYPES =
  /^(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/;

/**
 * The bytes of a public key as in `id_*.pub`: one line of type, base64 and an optional comment.
 * @throws InvalidError in words
 */
export function parsePublicKey(text: string): Buffer {
  const refuse = (why: string): never => {
    throw new InvalidError(`Keypair data is invalid: ${why}`, 'InvalidKeypair');
  };
  const line = text.trim();
  if (/[\r\n\0]/.test(line)) return refuse('the public key must be a single line');
  const [type = '', data = ''] = line.split(/[ \t]+/);
  if (!TYPES.test(type)) return refuse('unknown key type; expected a line like "ssh-ed25519 AAAA... comment"');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(data)) return refuse('the second word is not base64');
  const bytes = Buffer.from(data, 'base64');
  if (firstField(bytes) !== type) return refuse('failed to generate fingerprint: the key is damaged');
  return bytes;
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** An unsigned number as OpenSSH writes it: a leading zero where the first bit is set. */
function number(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64url');
  return field((bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** An RSA public key in OpenSSH's form. */
function opensshRsa(key: KeyObject): Buffer {
  const { n = '', e = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([field(Buffer.from('ssh-rsa')), number(e), number(n)]);
}

export interface GeneratedKey {
  readonly publicKey: string;
  /** PEM, PKCS#1: what every ssh client reads. */
  readonly privateKey: string;
  readonly fingerprint: string;
}

/** A new RSA key of 2048 bits. The work is done off the event loop. */
export async function generateSshKey(): Promise<GeneratedKey> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const bytes = opensshRsa(createPublicKey(publicKey));
  return {
    publicKey: `ssh-rsa ${bytes.toString('base64')} Generated-by-Cumulet`,
    privateKey,
    fingerprint: fingerprint(bytes),
  };
}
