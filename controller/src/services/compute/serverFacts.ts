// What views of servers need besides the rows: ports, tags, zones and the hosts' state, in a fixed number of queries.
import type { Cloud } from '../../cloud';
import { In, type ReadSession } from '../../db';
import { serverTags, type Server } from '../../db/entities/compute';
import { hostStates } from '../hosts';
import { portsOfServers, type ServerPort } from '../network/serverPortViews';

type HostStatus = 'UP' | 'DOWN' | 'MAINTENANCE' | 'UNKNOWN' | '';

export interface ServerFacts {
  readonly ports: readonly ServerPort[];
  readonly tags: readonly string[];
  /** The host's zone; null without a host. */
  readonly zone: string | null;
  /** Empty without a host. */
  readonly hostStatus: HostStatus;
}

/** Tags of servers by id, in order. */
export async function tagsOf(session: ReadSession, ids: readonly string[]): Promise<Map<string, string[]>> {
  const tags = new Map<string, string[]>();
  const rows = await session.find(serverTags, { where: { server_id: In([...ids]) }, order: { tag: 'ASC' } });
  for (const row of rows) {
    const known = tags.get(row.server_id);
    if (known) known.push(row.tag);
    else tags.set(row.server_id, [row.tag]);
  }
  return tags;
}

/** Facts of some servers by id. */
export async function factsOf(
  session: ReadSession,
  cloud: Cloud,
  rows: readonly Pick<Server, 'id' | 'host'>[],
): Promise<Map<string, ServerFacts>> {
  const ids = rows.map((row) => row.id);
  const ports = await portsOfServers(session, ids);
  const tags = await tagsOf(session, ids);
  const names = [...new Set(rows.flatMap(({ host }) => host ?? []))];
  const hosts = await hostStates(session, cloud.clock.now(), names);
  return new Map(
    rows.map((row): [string, ServerFacts] => {
      const host = row.host === null ? undefined : hosts.get(row.host);
      const up: HostStatus = host?.enabled ? 'UP' : 'MAINTENANCE';
      return [
        row.id,
        {
          ports: ports.get(row.id) ?? [],
          tags: tags.get(row.id) ?? [],
          zone: host?.zone ?? null,
          hostStatus: row.host === null ? '' : host ? (host.alive ? up : 'DOWN') : 'UNKNOWN',
        },
      ];
    }),
  );
}
