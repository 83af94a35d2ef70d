// What is read to decide where servers go. Tasks that begin together read it once, as a cloud of a thousand hosts needs.
import type { Cloud } from '../../cloud';
import { groupBy, In, type ReadSession } from '../../db';
import { servers, type Server } from '../../db/entities/compute';
import { ports, type Port } from '../../db/entities/network';
import type { HostView } from '../../scheduler/scheduler';
import { hostViews } from '../hosts';
import { interfaceOrder } from '../network/serverPorts';
import { readImageHosts } from './placementRequest';

/** Each part is read when it is first asked for, and is what it was then. */
export interface Sight {
  /**
   * All hosts. Who decides changes the list, so that the next decision counts it in; a claim looks at the host's row itself.
   */
  hosts(): Promise<HostView[]>;
  /** Hosts that have an image. */
  imageHosts(id: string): Promise<ReadonlySet<string>>;
  /** A server of those that are decided on, whatever its state. @throws Error when it has no row */
  server(id: string): Promise<Server>;
  /** Its ports in the order of its interfaces. */
  ports(serverId: string): Promise<readonly Port[]>;
}

/** Asks once, whoever asks. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => (asked ??= ask());
}

function createSight({ db, clock }: Cloud, ids: readonly string[]): Sight {
  const read = <T>(work: (session: ReadSession) => Promise<T>): (() => Promise<T>) => once(() => db.read(work));
  const images = new Map<string, () => Promise<ReadonlySet<string>>>();
  const serversById = read(async (session) => {
    const rows = await session.find(servers, { where: { id: In([...ids]) } });
    return new Map(rows.map((row) => [row.id, row]));
  });
  const portsByServer = read(async (session) =>
    groupBy(
      await session.find(ports, { where: { server_id: In([...ids]) }, order: interfaceOrder }),
      ({ server_id }) => server_id,
    ),
  );
  return {
    hosts: read((session) => hostViews(session, clock.now())),
    imageHosts(id) {
      const hosts = images.get(id) ?? read((session) => readImageHosts(session, id));
      images.set(id, hosts);
      return hosts();
    },
    async server(id) {
      const server = (await serversById()).get(id);
      if (!server) throw new Error(`server ${id} has no row`);
      return server;
    },
    ports: async (serverId) => (await portsByServer()).get(serverId) ?? [],
  };
}

const sights = new WeakMap<object, Sight>();

/** What those see who decide on these servers: the same for who comes with the same list. */
export function sightOf(cloud: Cloud, ids: readonly string[]): Sight {
  const sight = sights.get(ids) ?? createSight(cloud, ids);
  sights.set(ids, sight);
  return sight;
}
