// The cloud's own certificates: a CA and certificates from it, made by the openssl program because Node.js can only read them.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CumuletError, isHostName, type Exec, type Peer } from '@cumulet/common';

const CA_DAYS = 3650;
const DAYS = 825;

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const CA_EXTENSIONS = ['basicConstraints = critical, CA:TRUE, pathlen:0', 'keyUsage = critical, keyCertSign, cRLSign'];
/** Controllers and hosts are both clients and servers. */
const EXTENSIONS = [
  'basicConstraints = critical, CA:FALSE',
  'keyUsage = critical, digitalSignature',
  'extendedKeyUsage = clientAuth, serverAuth',
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

/** Makes the CA: a key that never leaves its directory, and a certificate of ten years. */
export async function makeCa(exec: Exec, to: CertificateFiles): Promise<void> {
  await make(exec, to, ['O = cumulet', 'CN = cumulet CA'], CA_EXTENSIONS, ['-days', String(CA_DAYS)]);
}

/** Makes a key and a certificate for a controller or a host. @throws CumuletError bad_name, CommandError */
export async function issue(exec: Exec, ca: CertificateFiles, peer: Peer, to: CertificateFiles): Promise<void> {
  if (!isHostName(peer.name))
    throw new CumuletError('bad_name', `'${peer.name}' can't be a name: letters, digits, dots and dashes, at most 63`);
  const subject = ['O = cumulet', `OU = ${peer.role}`, `CN = ${peer.name}`];
  await make(exec, to, subject, EXTENSIONS, ['-CA', ca.cert, '-CAkey', ca.key, '-days', String(DAYS)]);
}
