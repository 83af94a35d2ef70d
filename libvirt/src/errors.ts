// What can go wrong: the daemon says no, the connection is lost, or a call is not answered in time.
import { decode, i32, optional, string, struct } from './codec';
import type { CodecType } from './codec';
import { dom, net } from './types';

/** libvirt's error codes that a caller may want to tell apart (virErrorNumber). */
export const ErrorCode = {
  INTERNAL_ERROR: 1,
  NO_SUPPORT: 3,
  INVALID_ARG: 8,
  OPERATION_FAILED: 9,
  XML_ERROR: 27,
  DOM_EXIST: 28,
  XML_DETAIL: 35,
  NETWORK_EXIST: 37,
  SYSTEM_ERROR: 38,
  RPC: 39,
  NO_DOMAIN: 42,
  NO_NETWORK: 43,
  AUTH_FAILED: 45,
  NO_STORAGE_POOL: 49,
  NO_STORAGE_VOL: 50,
  OPERATION_INVALID: 55,
  NO_NWFILTER: 62,
  NO_SECRET: 66,
  CONFIG_UNSUPPORTED: 67,
  OPERATION_TIMEOUT: 68,
  NO_DOMAIN_SNAPSHOT: 72,
  ARGUMENT_UNSUPPORTED: 74,
  OPERATION_ABORTED: 78,
  NO_DOMAIN_METADATA: 80,
  OPERATION_UNSUPPORTED: 84,
  AGENT_UNRESPONSIVE: 86,
  RESOURCE_BUSY: 87,
  ACCESS_DENIED: 88,
  STORAGE_VOL_EXIST: 90,
  AGENT_UNSYNCED: 97,
  DEVICE_MISSING: 99,
  AGENT_COMMAND_TIMEOUT: 112,
  AGENT_COMMAND_FAILED: 113,
} as const;

const codeNames = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/** The error structure as it travels (remote_error). */
export const remoteError = struct({
  code: i32,
  domain: i32,
  message: optional(string),
  level: i32,
  dom: optional(dom),
  str1: optional(string),
  str2: optional(string),
  str3: optional(string),
  int1: i32,
  int2: i32,
  net: optional(net),
});
export type RemoteError = CodecType<typeof remoteError>;

/** The daemon refused a call or ended a stream with an error. */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError';
  /** virErrorNumber, see {@link ErrorCode}. */
  readonly code: number;
  /** virErrorDomain: the part of libvirt that reported it, for example 10 for QEMU. */
  readonly domain: number;
  /** 1 warning, 2 error. */
  readonly level: number;
  /** What libvirt said, without our additions. */
  readonly reason: string;

  constructor(
    /** The procedure that failed, by libvirt's name, for example `DOMAIN_CREATE_WITH_FLAGS`. */
    readonly procedure: string,
    /** Everything that the daemon sent. */
    readonly details: RemoteError,
  ) {
    const reason = details.message ?? 'no message';
    const code = codeNames.get(details.code) ?? 'no name here';
    super(`libvirt ${procedure}: ${reason} (error ${details.code} ${code}, domain ${details.domain})`);
    this.code = details.code;
    this.domain = details.domain;
    this.level = details.level;
    this.reason = reason;
  }
}

/** The error in the payload of a packet with status ERROR. */
export function libvirtErrorFrom(procedure: string, payload: Buffer): LibvirtError {
  return new LibvirtError(procedure, decode(remoteError, payload));
}

/**
 * There is no connection (any more). `sent` tells whether the daemon may have seen the call: then its outcome is unknown,
 * so read the state again rather than repeat blindly.
 */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';

  constructor(
    readonly socketPath: string,
    /** Why, without the socket's path. */
    readonly reason: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(`libvirt at ${socketPath}: ${reason}`, options);
  }
}

/** No answer in time. When `sent`, the daemon may still carry the call out: libvirt can't cancel. */
export class CallTimeoutError extends Error {
  override readonly name = 'CallTimeoutError';

  constructor(
    readonly procedure: string,
    readonly timeoutMs: number,
    readonly sent: boolean,
  ) {
    super(
      `libvirt ${procedure}: no answer within ${timeoutMs} ms` +
        (sent ? '; it may still be carried out' : '; it was never sent, earlier calls are still unanswered'),
    );
  }
}

/** Whether `error` is the daemon's with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly number[]): error is LibvirtError {
  return error instanceof LibvirtError && codes.includes(error.code);
}

const NOT_FOUND = [
  ErrorCode.NO_DOMAIN,
  ErrorCode.NO_NETWORK,
  ErrorCode.NO_STORAGE_POOL,
  ErrorCode.NO_STORAGE_VOL,
  ErrorCode.NO_NWFILTER,
  ErrorCode.NO_SECRET,
  ErrorCode.NO_DOMAIN_SNAPSHOT,
  ErrorCode.NO_DOMAIN_METADATA,
];

/** Whether the daemon said that the object of the call does not exist. */
export function isNotFound(error: unknown): error is LibvirtError {
  return hasCode(error, ...NOT_FOUND);
}

/** What `find` looks up; undefined when the daemon says that it does not exist. */
export async function orAbsent<T>(find: Promise<T>): Promise<T | undefined> {
  try {
    return await find;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
