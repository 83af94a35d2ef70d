// Where a server's files are: <dir>/servers/<server id>/console.log and config-<digest>.iso. And its domain's name.
import { join } from 'node:path';
import { HostError, isUuid } from '@cumulet/common';

export const serversDirectory = (dir: string): string => join(dir, 'servers');

/** @throws HostError bad_server_id */
export function serverDirectory(dir: string, serverId: string): string {
  if (isUuid(serverId)) return join(serversDirectory(dir), serverId);
  throw new HostError('bad_server_id', "the server's id is not a UUID", { retryable: false, facts: { serverId } });
}

export const consoleLogPath = (dir: string, serverId: string): string =>
  join(serverDirectory(dir, serverId), 'console.log');

/** Whether a domain is called as ours are; its mark says whether it is one. */
export const hasOurName = (prefix: string, domain: { readonly name: string; readonly uuid: string }): boolean =>
  domain.name === prefix + domain.uuid;
