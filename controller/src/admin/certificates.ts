// The cloud's own certificates: a CA and certificates from it, made by the openssl program because Node.js can only read them.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CumuletError, isHostName, type Exec, type Peer } from '@cumulet/common';

const CA_DAYS = 3650;
const DAYS = 825;

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const CA_EXTENSIONS = [
  'basicConstraints = critical, CA:TRUE, pathlen:0',
  'keyUsage = critical, keyCertSign, cRLSign',
  'subjectKeyIdentifier = hash',
];
// Strict verifiers, such as Python 3.13's, want both identifiers.
const EXTENSIONS = [
  'basicConstraints = critical, CA:FALSE',
  'keyUsage = critical, digitalSignature',
  'subjectKeyIdentifier = hash',
  'authorityKeyIdentifier = keyid',
];

async function make(
  exec: Exec,
  to: CertificateFiles,
  subject: readonly string[],
  extensions: readonly string[],
  options: readonly string[],
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cumulet-certificate-'));
  try {
    const config = join(directory, 'request.conf');
    const sections = ['[req]', 'prompt = no', 'distinguished_name = subject', 'x509_extensions = extensions'];
    await writeFile(config, [...sections, '[subject]', ...subject, '[extensions]', ...extensions, ''].join('\n'));
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', to.key];
    await exec(['openssl', 'req', '-x509', '-config', config, '-sha256', ...key, '-out', to.cert, ...options]);
    await chmod(to.key, 0o600);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Makes a CA: a key that never leaves its directory, and a certificate of ten years. */
export async function makeCa(exec: Exec, to: CertificateFiles, name = 'cumulet CA'): Promise<void> {
  await make(exec, to, ['O = cumulet', `CN = ${name}`], CA_EXTENSIONS, ['-days', String(CA_DAYS)]);
}

async function sign(
  exec: Exec,
  ca: CertificateFiles,
  subject: readonly string[],
  extensions: readonly string[],
  to: CertificateFiles,
): Promise<void> {
  const by = ['-CA', ca.cert, '-CAkey', ca.key, '-days', String(DAYS)];
  await make(exec, to, ['O = cumulet', ...subject], [...EXTENSIONS, ...extensions], by);
}

/** Makes a key and a certificate for a controller or a host. @throws CumuletError bad_name, CommandError */
export async function issue(exec: Exec, ca: CertificateFiles, peer: Peer, to: CertificateFiles): Promise<void> {
  if (!isHostName(peer.name))
    throw new CumuletError('bad_name', `'${peer.name}' can't be a name: letters, digits, dots and dashes, at most 63`);
  // Controllers and hosts are both clients and servers.
  const use = ['extendedKeyUsage = clientAuth, serverAuth'];
  await sign(exec, ca, [`OU = ${peer.role}`, `CN = ${peer.name}`], use, to);
}

/** Makes a key and a certificate for a server that others know by these host names and addresses. @throws CommandError */
export async function issueForNames(
  exec: Exec,
  ca: CertificateFiles,
  names: readonly string[],
  to: CertificateFiles,
): Promise<void> {
  const list = names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`);
  const use = ['extendedKeyUsage = serverAuth', `subjectAltName = ${list.join(',')}`];
  await sign(exec, ca, ['CN = cumulet API'], use, to);
}
