// The certificate of the API: the administrator's, or one of a CA of its own that is made here and renewed before it expires.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, rename } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError, isHostName, messageOf, type Exec } from '@cumulet/common';
import { issueForNames, makeCa, type CertificateFiles } from '../admin/certificates';
import type { RemoteApiConfig } from './config';

const DAY_MS = 86_400_000;
/** A certificate that ends sooner is replaced, or warned of. */
const RENEW_MS = 30 * DAY_MS;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** What a client must trust, PEM; null: what signed it is not ours to hand out. */
  readonly ca: string | null;
}

const names = (certificate: X509Certificate): string =>
  (certificate.subjectAltName ?? '').replaceAll(/\b(?:DNS|IP Address):/g, '') || 'nobody';

const isFor = (certificate: X509Certificate, name: string): boolean =>
  (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined;

/** When it ends, in milliseconds since the epoch. */
const endOf = (certificate: X509Certificate): number => Date.parse(certificate.validTo);

/** What is odd about the times of a certificate, in words, or undefined. */
export function timeProblem(cert: string, now: number): string | undefined {
  const certificate = new X509Certificate(cert);
  if (Date.parse(certificate.validFrom) > now) return `it is not valid before ${certificate.validFrom}`;
  if (endOf(certificate) <= now) return `it expired on ${certificate.validTo}`;
  if (endOf(certificate) - now < RENEW_MS) return `it expires on ${certificate.validTo}`;
  return undefined;
}

function read(key: 'cert' | 'key', path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`remote_api.${key}: can not be read: ${messageOf(error)}`, { key: `remote_api.${key}` });
  }
}

function parsed<T>(key: 'cert' | 'key', path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ConfigError(`remote_api.${key}: ${path} is not a PEM file that can be used: ${messageOf(error)}`, {
      key: `remote_api.${key}`,
    });
  }
}

/** The administrator's own files. @throws ConfigError: one is missing, they don't fit together, or are for another name */
export function givenCertificate({ address, ...files }: RemoteApiConfig): Certificate | undefined {
  if (files.cert === null && files.key === null) return undefined;
  if (files.cert === null || files.key === null)
    throw new ConfigError('remote_api: cert and key go together: give both or none', { key: 'remote_api' });
  const [cert, key] = [read('cert', files.cert), read('key', files.key)];
  const certificate = parsed('cert', files.cert, () => new X509Certificate(cert));
  const secret = parsed('key', files.key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(secret))
    throw new ConfigError(`remote_api.key: ${files.key} is not the key of the certificate in ${files.cert}`, {
      key: 'remote_api.key',
    });
  if (!isFor(certificate, address))
    throw new ConfigError(
      `remote_api.cert: the certificate in ${files.cert} is for ${names(certificate)}, not for ${address}: listen on a name that it has`,
      { key: 'remote_api.cert' },
    );
  return { cert, key, ca: certificate.checkIssued(certificate) ? cert : null };
}

/** Who the own certificate is for: what callers may write, near ends of tunnels included. */
export function ownNames(address: string, resolved: readonly string[], more: readonly string[]): string[] {
  const all = [address, ...resolved, ...more, hostname(), 'localhost', '127.0.0.1', '::1'];
  return [...new Set(all)].filter((name) => isIP(name) !== 0 || isHostName(name));
}

function load(files: CertificateFiles): { certificate: X509Certificate; cert: string; key: string } | undefined {
  if (!existsSync(files.cert) || !existsSync(files.key)) return undefined;
  const [cert, key] = [readFileSync(files.cert, 'utf8'), readFileSync(files.key, 'utf8')];
  try {
    const certificate = new X509Certificate(cert);
    return certificate.checkPrivateKey(createPrivateKey(key)) ? { certificate, cert, key } : undefined;
  } catch {
    // Cut off while it was written: it is made anew.
    return undefined;
  }
}

/**
 * The certificate in a directory, made or renewed where it has to be: of our CA, for all these names, and valid for a while. The CA
 * is made once: who trusts it trusts what is renewed.
 * @throws CommandError, the system's error
 */
export async function ownCertificate(
  exec: Exec,
  directory: string,
  wanted: readonly string[],
  now: number,
): Promise<Certificate> {
  const files = (name: string): CertificateFiles => ({
    cert: join(directory, `${name}.crt`),
    key: join(directory, `${name}.key`),
  });
  // Beside the old pair: what is cut off leaves that as it was.
  const make = async (name: string, how: (to: CertificateFiles) => Promise<void>): Promise<void> => {
    const draft = files(`${name}.new`);
    await how(draft);
    await rename(draft.key, files(name).key);
    await rename(draft.cert, files(name).cert);
  };
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  let authority = load(files('ca'));
  if (!authority || endOf(authority.certificate) - now < RENEW_MS) {
    await make('ca', (to) => makeCa(exec, to, `cumulet API of ${hostname()}`.slice(0, 64)));
    authority = load(files('ca'));
  }
  const fits = (one: ReturnType<typeof load>): boolean =>
    one !== undefined &&
    authority !== undefined &&
    one.certificate.verify(authority.certificate.publicKey) &&
    endOf(one.certificate) - now >= RENEW_MS &&
    wanted.every((name) => isFor(one.certificate, name));
  let own = load(files('api'));
  if (!fits(own)) {
    await make('api', (to) => issueForNames(exec, files('ca'), wanted, to));
    own = load(files('api'));
  }
  if (!authority || !own) throw new Error(`the certificates made in ${directory} can not be used`);
  return { cert: own.cert, key: own.key, ca: authority.cert };
}
