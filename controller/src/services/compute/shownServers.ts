// Servers that are looked at one by one: those asked for close together are read together, as for a list.
import type { Cloud } from '../../cloud';
import { In, IsNull } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { createCloudRounds } from '../../rounds';
import type { Caller } from '../caller';
import { isVisible, serverNotFound } from './findServer';
import { factsOf, type ServerFacts } from './serverFacts';

interface Question {
  readonly caller: Caller;
  readonly id: string;
}

export interface ShownServer {
  readonly server: Server;
  readonly facts: ServerFacts;
}

/** The servers that are there and that those who ask may know of, in the statements of a list. */
async function look(cloud: Cloud, questions: readonly Question[]): Promise<(ShownServer | undefined)[]> {
  const where = { id: In([...new Set(questions.map(({ id }) => id))]), deleted_at: IsNull() };
  return cloud.db.read(async (session) => {
    const rows = await session.find(servers, { where });
    const byId = new Map(rows.map((row) => [row.id, row]));
    const seen = questions.map(({ caller, id }) => {
      const server = byId.get(id);
      return server && isVisible(caller, server) ? server : undefined;
    });
    const facts = await factsOf(session, cloud, [...new Set(seen.flatMap((server) => server ?? []))]);
    return seen.map((server) => {
      const known = server && facts.get(server.id);
      return server && known && { server, facts: known };
    });
  });
}

const ask = createCloudRounds(look, { eager: true });

/** A server as it is now with what its view needs: at once, or together with others that are asked for. @throws NotFoundError */
export async function shownServer(cloud: Cloud, caller: Caller, id: string): Promise<ShownServer> {
  const shown = await ask(cloud, { caller, id });
  if (!shown) throw serverNotFound(id);
  return shown;
}
