// Mutual TLS between the cloud's own processes: every certificate is from the cloud's own CA and says what its owner is.
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { Type, type Static } from '@sinclair/typebox';
import { ConfigError, messageOf } from './errors';

export const TlsConfig = Type.Object(
  {
    ca: Type.String({ default: '/etc/cumulet/tls/ca.crt', description: "Certificate of the cloud's own CA." }),
    cert: Type.String({ default: '/etc/cumulet/tls/certificate.crt', description: 'Our certificate from it.' }),
    key: Type.String({ default: '/etc/cumulet/tls/certificate.key', description: 'Its key, readable for us alone.' }),
  },
  { default: {}, additionalProperties: false },
);
export type TlsConfig = Static<typeof TlsConfig>;

export type TlsFiles = Readonly<Record<'ca' | 'cert' | 'key', Buffer>>;

/** Reads the files of a configuration. @throws ConfigError naming the key */
export function readTls(config: TlsConfig): TlsFiles {
  const file = (key: keyof TlsConfig): Buffer => {
    try {
      return readFileSync(config[key]);
    } catch (error) {
      throw new ConfigError(`tls.${key}: can not be read: ${messageOf(error)}`, { key: `tls.${key}` });
    }
  };
  return { ca: file('ca'), cert: file('cert'), key: file('key') };
}

/** Who is at the other end, by the subject of its certificate: O=cumulet, OU=controller or host, CN=name. */
export interface Peer {
  readonly role: 'controller' | 'host';
  readonly name: string;
}

/** Undefined for a certificate that names nobody of ours. The CA's signature is checked by TLS before. */
export function peerOf(certificate: Partial<PeerCertificate>): Peer | undefined {
  const { O: organization, OU: role, CN: name } = certificate.subject ?? {};
  if (organization !== 'cumulet' || typeof name !== 'string') return undefined;
  return role === 'controller' || role === 'host' ? { role, name } : undefined;
}

/**
 * For a client's `checkServerIdentity`: the server must be who we want, whatever address it has. Hosts are reached by
 * addresses that they registered themselves, so an address proves nothing.
 */
export function mustBe(wanted: (peer: Peer) => boolean, words: string) {
  return (_hostname: string, certificate: PeerCertificate): Error | undefined => {
    const peer = peerOf(certificate);
    if (peer && wanted(peer)) return undefined;
    return new Error(
      `the certificate is not that of ${words} but of ${peer ? `${peer.role} ${peer.name}` : 'a stranger'}`,
    );
  };
}
