// What a request asks of a server's host directly, outside tasks: things that only the host knows, and that nobody keeps.
import { HostError, messageOf, type HostApi } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import type { Server } from '../../db/entities/compute';
import { ConflictError } from '../../errors';
import { requireHost } from './serverStates';

/**
 * The host's answer. `words` say what failed, to its reason something is added: only the words of a HostError are fit for users.
 * @throws ConflictError when the host can't be reached or says no
 */
export async function askHost<T>(
  cloud: Cloud,
  server: Server,
  words: string,
  ask: (host: HostApi) => Promise<T>,
): Promise<T> {
  const host = cloud.host(requireHost(server));
  if (!host)
    throw new ConflictError(`Instance ${server.id} is not ready: its host can't be reached.`, 'InstanceNotReady');
  try {
    return await ask(host);
  } catch (error) {
    cloud.log.warn({ server: server.id, error: messageOf(error) }, words);
    const reason = error instanceof HostError ? error.message : 'its host gave an error.';
    throw new ConflictError(`${words}: ${reason}`, 'HostRefused');
  }
}
