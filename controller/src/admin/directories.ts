// What the administrator's commands write: the directory of the CA, and for each controller or host one to be copied there.
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  controllerDefinitions,
  CumuletError,
  hostDefinitions,
  type BrokerDefinitions,
  type Exec,
  type Peer,
} from '@cumulet/common';
import { makeKeyFile } from '../services/identity/keyFile';
import { issue, makeCa } from './certificates';

const filesOf = (directory: string) => ({
  ca: { cert: join(directory, 'ca.crt'), key: join(directory, 'ca.key') },
  own: { cert: join(directory, 'certificate.crt'), key: join(directory, 'certificate.key') },
  password: join(directory, 'broker-password'),
  broker: join(directory, 'broker.json'),
  tokenKeys: join(directory, 'token-keys.secret'),
});

async function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}

async function secretDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
}

/** A new password and the broker's file for its user. */
async function writeBroker(directory: string, define: (password: string) => BrokerDefinitions): Promise<void> {
  const files = filesOf(directory);
  const password = randomBytes(32).toString('base64url');
  await writeFile(files.password, `${password}\n`, { mode: 0o600 });
  await writeFile(files.broker, `${JSON.stringify(define(password), null, 2)}\n`, { mode: 0o600 });
}

/**
 * Makes the CA, the broker user of the controllers and the secret that they share.
 * @throws CumuletError exists: a second CA would shut out everybody who has a certificate of the first
 */
export async function initCa(exec: Exec, directory: string, virtualHost: string): Promise<void> {
  const { ca, tokenKeys } = filesOf(directory);
  if (await exists(ca.key)) throw new CumuletError('exists', `${ca.key} is there already; nothing was changed`);
  await secretDirectory(directory);
  await makeCa(exec, ca);
  makeKeyFile(tokenKeys);
  await writeBroker(directory, (password) => controllerDefinitions(virtualHost, password));
}

/**
 * Writes what a controller or a host needs. `renew`: a new key and certificate for one that is there, the rest stays.
 * @throws CumuletError no_ca, exists, not_there, bad_name
 */
export async function addPeer(
  exec: Exec,
  caDirectory: string,
  peer: Peer,
  directory: string,
  virtualHost: string,
  renew: boolean,
): Promise<void> {
  const { ca, password, tokenKeys } = filesOf(caDirectory);
  if (!(await exists(ca.key)))
    throw new CumuletError('no_ca', `there is no CA in ${caDirectory}: make it with "ca init"`);
  const files = filesOf(directory);
  if ((await exists(files.own.cert)) !== renew) {
    throw renew
      ? new CumuletError('not_there', `${files.own.cert} is not there: it can't be renewed`)
      : new CumuletError('exists', `${files.own.cert} is there already; --renew makes a new one`);
  }
  await secretDirectory(directory);
  await issue(exec, ca, peer, files.own);
  await copyFile(ca.cert, files.ca.cert);
  if (renew) return;
  if (peer.role === 'host') {
    await writeBroker(directory, (secret) => hostDefinitions(virtualHost, peer.name, secret));
  } else {
    // All controllers are one user, and encrypt the keys that sign tokens with one secret.
    await writeFile(files.password, await readFile(password), { mode: 0o600 });
    makeKeyFile(tokenKeys);
    await writeFile(files.tokenKeys, await readFile(tokenKeys), { mode: 0o600 });
  }
}
