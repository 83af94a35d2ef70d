// Consoles: who may open one gets a ticket that opens it once, for a short time, on any controller.
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ConsoleKind } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { IsNull, LessThan, MoreThan, type WriteSession } from '../../db';
import { consoleTickets, PowerState, servers, type Server } from '../../db/entities/compute';
import { ConflictError, ForbiddenError } from '../../errors';
import type { Caller } from '../caller';
import { askHost } from './hostQuestions';

/** How long a ticket may wait to be used, in milliseconds: somebody has to copy an address into a browser. */
const TICKET_MS = 300_000;
/** For how long afterwards it is known why it is refused. */
const REMEMBER_MS = 3_600_000;

const idOf = (ticket: string): string => createHash('sha256').update(ticket).digest('hex');

/** @throws ConflictError for a server that is off */
function requireGuest(server: Server): void {
  if (server.power_state === PowerState.running || server.power_state === PowerState.paused) return;
  throw new ConflictError(
    `Instance ${server.id} is not ready: it does not run, so there is no console.`,
    'InstanceNotReady',
  );
}

/** Makes a ticket: 256 random bits as text, which nobody is told again. @throws ConflictError for a server that is off */
export async function issueTicket(
  session: WriteSession,
  cloud: Cloud,
  caller: Caller,
  server: Server,
  kind: ConsoleKind,
): Promise<string> {
  requireGuest(server);
  const now = cloud.clock.now();
  await session.delete(consoleTickets, { expires_at: LessThan(now - REMEMBER_MS) });
  const ticket = randomBytes(32).toString('base64url');
  const row = { server_id: server.id, kind, user_id: caller.userId, expires_at: now + TICKET_MS, used_at: null };
  await session.insert(consoleTickets, { id: idOf(ticket), ...row });
  return ticket;
}

/** Why a ticket opens nothing. */
async function refusal(session: WriteSession, id: string, kind: ConsoleKind): Promise<ForbiddenError> {
  const row = await session.findOne(consoleTickets, { id });
  const reason =
    row?.kind !== kind
      ? 'nobody was given this address'
      : row.used_at === null
        ? 'it has expired'
        : 'it was used already';
  return new ForbiddenError(`This address opens no console: ${reason}. Ask for a new one.`, 'ConsoleTicketRefused');
}

/** Uses a ticket up. @returns the server that it opens a console of @throws ForbiddenError, in words for whoever came with it */
async function redeem(cloud: Cloud, ticket: string, kind: ConsoleKind): Promise<Server> {
  const id = idOf(ticket);
  const now = cloud.clock.now();
  return cloud.db.write(async (session) => {
    const unused = { id, kind, used_at: IsNull(), expires_at: MoreThan(now) };
    if ((await session.update(consoleTickets, unused, { used_at: now })) !== 1) throw await refusal(session, id, kind);
    const row = await session.findOne(consoleTickets, { id });
    const server = row && (await session.findOne(servers, { id: row.server_id, deleted_at: IsNull() }));
    if (!server) throw new ForbiddenError('The server is gone.', 'ConsoleTicketRefused');
    return server;
  });
}

/**
 * Opens the console that a ticket is for.
 * @throws ForbiddenError for a ticket that opens nothing, ConflictError when the host says no; both say why
 */
export async function openByTicket(
  cloud: Cloud,
  ticket: string,
  kind: ConsoleKind,
): Promise<{ readonly server: Server; readonly guest: Duplex }> {
  const server = await redeem(cloud, ticket, kind);
  requireGuest(server);
  const words = `The console of instance ${server.id} can't be opened now`;
  return { server, guest: await askHost(cloud, server, words, (host) => host.openConsole(server.id, kind)) };
}
