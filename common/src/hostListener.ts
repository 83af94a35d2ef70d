// What a controller asks of an agent in a process of its own: a listener for controllers alone.
import type { Server } from 'node:https';
import type { HostApi } from './agentApi';
import { CumuletError } from './errors';
import { isUuid } from './ids';
import type { Logger } from './log';
import { createMtlsServer, type MtlsRoute } from './mtlsServer';
import type { TlsFiles } from './tls';

const LONGEST_LOG = 16 * 1024 * 1024;

/** Not yet listening. An agent offers what it has: only compute has console logs. */
export function createHostListener(api: Partial<HostApi>, tls: TlsFiles, log: Logger): Server {
  const { consoleLog, inventoryOfResources } = api;
  const routes: Record<string, MtlsRoute> = {};
  if (inventoryOfResources)
    routes['GET /host/v1/resources'] = { handle: async () => ({ json: await inventoryOfResources() }) };
  if (consoleLog)
    routes['GET /host/v1/console-logs/*'] = {
      async handle({ rest: serverId, query }) {
        const bytes = Number(query.get('bytes'));
        // The id becomes a path on the host.
        if (!isUuid(serverId) || !Number.isSafeInteger(bytes) || bytes < 0)
          throw new CumuletError(
            'bad_request',
            'a console log is asked for by the id of a server and a number of bytes',
          );
        return { bytes: await consoleLog(serverId, Math.min(bytes, LONGEST_LOG)) };
      },
    };
  return createMtlsServer({ tls, log, routes, accepts: ({ role }) => role === 'controller' });
}
