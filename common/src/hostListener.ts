// What a controller asks of an agent in a process of its own: a listener for controllers, and for hosts whose servers come.
import type { Server } from 'node:https';
import { Type, type Static } from '@sinclair/typebox';
import { CONSOLE_KINDS, type HostApi } from './agentApi';
import { CumuletError } from './errors';
import { migrationRoutes, type MigrationTarget } from './hostMigration';
import { isUuid } from './ids';
import type { Logger } from './log';
import { createMtlsServer, type MtlsRoute, type MtlsTunnel } from './mtlsServer';
import type { Peer, TlsFiles } from './tls';

const LONGEST_LOG = 16 * 1024 * 1024;

const Password = Type.Object({ user: Type.String(), password: Type.String() }, { additionalProperties: false });

/** @throws CumuletError for what is no id */
function serverId(text: string): string {
  if (isUuid(text)) return text;
  throw new CumuletError('bad_request', 'a server is named by its id');
}

const accepts = ({ role }: Peer): boolean => role === 'controller';

/** Not yet listening. An agent offers what it has: only compute has console logs, and takes servers of other hosts. */
export function createHostListener(
  api: Partial<HostApi>,
  tls: TlsFiles,
  log: Logger,
  target?: MigrationTarget,
): Server {
  const { consoleLog, diagnostics, inventoryOfResources, openConsole, openDisk, openImage, setPassword } = api;
  const routes: Record<string, MtlsRoute> = {};
  if (inventoryOfResources)
    routes['GET /host/v1/resources'] = { handle: async () => ({ json: await inventoryOfResources() }) };
  if (consoleLog)
    routes['GET /host/v1/console-logs/*'] = {
      async handle({ rest, query }) {
        const bytes = Number(query.get('bytes'));
        // The id becomes a path on the host.
        if (!isUuid(rest) || !Number.isSafeInteger(bytes) || bytes < 0)
          throw new CumuletError(
            'bad_request',
            'a console log is asked for by the id of a server and a number of bytes',
          );
        return { bytes: await consoleLog(rest, Math.min(bytes, LONGEST_LOG)) };
      },
    };
  if (diagnostics)
    routes['GET /host/v1/diagnostics/*'] = {
      handle: async ({ rest }) => ({ json: await diagnostics(serverId(rest)) }),
    };
  if (setPassword)
    routes['POST /host/v1/passwords/*'] = {
      schema: Password,
      async handle({ rest, body }) {
        const { user, password } = body as Static<typeof Password>;
        await setPassword(serverId(rest), user, password);
        return {};
      },
    };
  if (openDisk)
    routes['GET /host/v1/disks/*'] = {
      async handle({ rest, query }) {
        const revision = Number(query.get('revision') ?? NaN);
        if (!Number.isSafeInteger(revision))
          throw new CumuletError('bad_request', 'a disk is asked for by the id of a server and a revision');
        const { size, stream } = await openDisk(serverId(rest), revision);
        return { headers: { 'content-length': String(size) }, stream };
      },
    };
  if (openImage)
    routes['GET /host/v1/images/*'] = {
      async handle({ rest, query }) {
        const start = Number(query.get('start') ?? NaN);
        if (!Number.isSafeInteger(start) || start < 0)
          throw new CumuletError('bad_request', 'an image is asked for by its digest and the first byte');
        const { size, stream } = await openImage(rest, start);
        return { headers: { 'content-length': String(size - start) }, stream };
      },
    };
  const tunnels: Record<string, MtlsTunnel> = {};
  if (openConsole)
    for (const kind of CONSOLE_KINDS)
      tunnels[`/host/v1/consoles/${kind}/*`] = { accepts, open: ({ rest }) => openConsole(serverId(rest), kind) };
  const moves = target ? migrationRoutes(target) : { routes: {}, tunnels: {} };
  const all = { routes: { ...routes, ...moves.routes }, tunnels: { ...tunnels, ...moves.tunnels } };
  return createMtlsServer({ tls, log, ...all, accepts });
}
