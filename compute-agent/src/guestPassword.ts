// Passwords of a guest's users, set by the agent in the guest.
import { HostError } from '@cumulet/common';
import { ErrorCode, hasCode } from '@cumulet/libvirt';
import { findDomain, type ServerContext } from './ensureServer';
import { doing } from './faults';

/** @throws HostError agent_missing, password_refused, not_running */
export async function setPassword(
  { hypervisor, ...context }: ServerContext,
  serverId: string,
  user: string,
  password: string,
): Promise<void> {
  await doing('setting the password', async () => {
    if (!(await findDomain({ hypervisor, ...context }, serverId)))
      throw new HostError('not_running', 'the server is not on its host', { retryable: false });
    try {
      await hypervisor.setUserPassword(serverId, user, password);
    } catch (error) {
      const options = { retryable: false, cause: error };
      if (hasCode(error, ErrorCode.AGENT_UNRESPONSIVE, ErrorCode.AGENT_COMMAND_TIMEOUT))
        throw new HostError('agent_missing', 'the agent in the guest does not answer', options);
      if (hasCode(error, ErrorCode.AGENT_COMMAND_FAILED, ErrorCode.INTERNAL_ERROR))
        throw new HostError('password_refused', 'the agent in the guest refused it', options);
      if (hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.ARGUMENT_UNSUPPORTED, ErrorCode.NO_DOMAIN))
        throw new HostError(
          'not_running',
          'the server is not running, or runs without a channel to its agent',
          options,
        );
      throw error;
    }
  });
}
