// Where a server can go while it runs.
import type { Cloud } from '../../cloud';
import type { ReadSession } from '../../db';
import type { Server } from '../../db/entities/compute';
import { filters, type Filter } from '../../scheduler/filters';
import { schedule, type Decision, type HostView } from '../../scheduler/scheduler';
import { hostViews } from '../hosts';
import { placementRequest } from './placementRequest';
import { sharedDisks } from './sharedDisks';

export interface LiveRequest {
  /** Null: the scheduler chooses. */
  readonly host: string | null;
  /** Whether disks are to be copied; null: as it is needed. */
  readonly block: boolean | null;
}

/** What only concerns a server that runs: its guest's memory must fit the other hypervisor, and its disks must get there. */
function liveFilters(
  source: HostView | undefined,
  block: boolean | null,
  names: ReadonlyMap<string, string>,
): Filter[] {
  const shared = source && names.get(source.name);
  const shares = (host: HostView): boolean => shared !== undefined && names.get(host.name) === shared;
  return [
    {
      name: 'hypervisor',
      asks:
        () =>
        ({ virtType, architecture }) =>
          virtType === source?.virtType && architecture === source?.architecture
            ? undefined
            : 'it runs guests in another way than the host of the server',
    },
    {
      name: 'disks',
      asks() {
        if (block === null) return undefined;
        const reason = block
          ? 'it has the same disks as the host of the server, so that none can be copied'
          : 'it shares no disks with the host of the server, and none may be copied';
        return (host) => (shares(host) === block ? reason : undefined);
      },
    },
  ];
}

/** Like the scheduler's own decision. Never the host where the server is. */
export async function decideLive(
  session: ReadSession,
  cloud: Cloud,
  server: Server,
  { host, block }: LiveRequest,
): Promise<Decision> {
  const views = await hostViews(session, cloud.clock.now());
  const request = await placementRequest(session, { ...server, requested_host: host }, [], server.host);
  const names = block === null ? new Map<string, string>() : await sharedDisks(session);
  const source = views.find(({ name }) => name === server.host);
  return schedule(views, request, [...filters, ...liveFilters(source, block, names)]);
}
