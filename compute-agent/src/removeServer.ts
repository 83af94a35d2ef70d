// Removes everything of a server from this host: the domain, its saved memory, config drive and console log.
import { rm } from 'node:fs/promises';
import { HostError } from '@cumulet/common';
import { findDomain, type ServerContext } from './ensureServer';
import { doing } from './faults';
import { serverDirectory } from './layout';

/** Looks before it acts; nothing happens when there is nothing. @throws HostError */
export async function removeServer(context: ServerContext, serverId: string): Promise<void> {
  const { hypervisor } = context;
  const directory = serverDirectory(context.dir, serverId);
  await doing('removing the server', async () => {
    if (await findDomain(context, serverId)) {
      await hypervisor.destroyDomain(serverId);
      await hypervisor.undefineDomain(serverId);
      if (await hypervisor.domainState(serverId)) {
        throw new HostError('still_there', 'the hypervisor still has the server after its removal', {
          retryable: true,
        });
      }
    }
    await rm(directory, { recursive: true, force: true });
  });
}
