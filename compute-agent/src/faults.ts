// What libvirt refused, in words that the owner of a server may read; libvirt's own words and numbers go to the facts.
import { CommandError, HostError, messageOf } from '@cumulet/common';
import { CallTimeoutError, ConnectionLostError, ErrorCode, hasCode, LibvirtError } from '@cumulet/libvirt';

/** Causes that libvirt only tells in prose. The first that fits speaks. */
const CAUSES: readonly [RegExp, string, string][] = [
  [/cannot allocate memory|cannot set up guest memory/i, 'host_memory', 'the host has not enough free memory'],
  [/no space left on device/i, 'disk_full', 'the disk of the host is full'],
  [/failed to get "write" lock|is another process using the image/i, 'disk_in_use', 'its disk is in use elsewhere'],
  [
    /no such file or directory|cannot access storage file/i,
    'file_missing',
    'a file of the server is missing on the host',
  ],
  [/permission denied/i, 'permission_denied', 'the hypervisor may not open a file of the server'],
  [
    /cannot (get interface|find device)|no such device|specified dev doesn't exist|TUNSETIFF/i,
    'port_missing',
    'a port of the server is not wired on the host',
  ],
  [
    /does not support virt type|kvm is not supported|could not access KVM/i,
    'no_kvm',
    "the host can't run this kind of virtual machine",
  ],
];

function libvirtFault(error: LibvirtError, what: string): HostError {
  const { code, domain, procedure, reason } = error;
  const options = { facts: { libvirt: { code, domain, procedure, reason } }, cause: error };
  const cause = CAUSES.find(([pattern]) => pattern.test(reason));
  if (cause) return new HostError(cause[1], `${what} failed: ${cause[2]}`, { retryable: true, ...options });
  if (hasCode(error, ErrorCode.OPERATION_TIMEOUT, ErrorCode.RESOURCE_BUSY)) {
    const words = 'the hypervisor is still busy with this server';
    return new HostError('server_busy', `${what} failed: ${words}`, { retryable: true, ...options });
  }
  const retryable = !hasCode(error, ErrorCode.XML_ERROR, ErrorCode.INVALID_ARG, ErrorCode.CONFIG_UNSUPPORTED);
  const words = `the hypervisor refused it (libvirt error ${code})`;
  return new HostError('hypervisor_refused', `${what} failed: ${words}`, { retryable, ...options });
}

/** Any failure of `what` ("starting the server") as a fault. */
export function faultOf(error: unknown, what: string): HostError {
  if (error instanceof HostError) return error;
  if (error instanceof LibvirtError) return libvirtFault(error, what);
  const options = { retryable: true, facts: { error: messageOf(error) }, cause: error };
  if (error instanceof ConnectionLostError) {
    return new HostError(
      'hypervisor_away',
      `${what} failed: the hypervisor service of the host does not answer`,
      options,
    );
  }
  if (error instanceof CallTimeoutError) {
    return new HostError('hypervisor_slow', `${what} failed: the hypervisor did not answer in time`, options);
  }
  if (error instanceof CommandError) return new HostError('host_command_failed', `${what} failed on the host`, options);
  return new HostError(
    'internal_error',
    `${what} failed on the host for an internal reason that its log names`,
    options,
  );
}

/** Runs a part of the work and says which part failed. */
export async function doing<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw faultOf(error, what);
  }
}
