// What must be said on a fresh connection before it is of use: authentication, keepalive, open.
import type { Connection } from './connection';
import { procedures } from './procedures';

const AUTH_NONE = 0;
const authNames: Record<number, string> = { 1: 'SASL', 2: 'polkit' };

/** Feature numbers that a daemon can be asked about (VIR_DRV_FEATURE). */
const FEATURE_PROGRAM_KEEPALIVE = 10;
const FEATURE_REMOTE_EVENT_CALLBACK = 14;
/** The first open makes the daemon examine every emulator it finds, which takes up to a minute. */
const OPEN_TIMEOUT_MS = 120_000;
const OPEN_READ_ONLY = 1;

/** The daemon can't be used by this client, whatever is called. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
}

export interface HandshakeOptions {
  /** The driver to open, for example `qemu:///system`. */
  uri: string;
  readOnly: boolean;
  /**
   * Whether the daemon shall watch this client too. Not on connections whose reading pauses: the daemon would take a slow
   * reader for a dead one.
   */
  daemonPings: boolean;
}

/** Authenticates (method "none": root's own socket) and opens the driver. */
export async function handshake(connection: Connection, options: HandshakeOptions): Promise<void> {
  const { types } = await connection.call(procedures.authList, {});
  if (types.length > 0 && !types.includes(AUTH_NONE)) {
    const wanted = types.map((type) => authNames[type] ?? `method ${type}`).join(', ');
    throw new HandshakeError(
      `libvirt at ${connection.socketPath} wants authentication by ${wanted}: run as root, or set auth_unix_rw = "none"`,
    );
  }
  if (options.daemonPings) await supportsFeature(connection, FEATURE_PROGRAM_KEEPALIVE);
  const flags = options.readOnly ? OPEN_READ_ONLY : 0;
  await connection.call(procedures.connectOpen, { name: options.uri, flags }, { timeoutMs: OPEN_TIMEOUT_MS });
}

/** @throws HandshakeError when the daemon is too old for event callbacks. */
export async function requireEventCallbacks(connection: Connection): Promise<void> {
  if (!(await supportsFeature(connection, FEATURE_REMOTE_EVENT_CALLBACK))) {
    throw new HandshakeError(`libvirt at ${connection.socketPath} is too old: it does not support event callbacks`);
  }
}

async function supportsFeature(connection: Connection, feature: number): Promise<boolean> {
  return (await connection.call(procedures.connectSupportsFeature, { feature })).supported !== 0;
}
