// What hosts say of their ports: whether they are wired, and why not. Hosts that report together are written together.
import { In, type WriteSession } from '../../db';
import type { Cloud } from '../../cloud';
import { ports, type Port } from '../../db/entities/network';
import { setPortStatus } from '../../db/repositories/portStatus';
import { createCloudRounds } from '../../rounds';

interface PortReport {
  readonly id: string;
  readonly wired: boolean;
  readonly fault?: string;
}

/** What a host says of ports. */
interface HostReport {
  readonly host: string;
  readonly reports: readonly PortReport[];
}

/** A word about a port that is bound elsewhere by now is ignored; of two about one port the later counts. */
async function markPorts(session: WriteSession, cloud: Cloud, said: readonly HostReport[]): Promise<void> {
  const keyOf = (host: string, id: string): string => `${id} ${host}`;
  const reports = new Map(said.flatMap(({ host, reports: own }) => own.map((one) => [keyOf(host, one.id), one])));
  const ids = [...new Set([...reports.values()].map(({ id }) => id))];
  const rows = await session.find(ports, { where: { id: In(ids) }, order: { id: 'ASC' }, lock: 'exclusive' });
  const changed = new Map<string, { readonly set: Pick<Port, 'status' | 'fault'>; readonly ids: string[] }>();
  for (const row of rows) {
    const report = reports.get(keyOf(row.host, row.id));
    if (!report) continue;
    const status = report.wired && row.admin_state_up ? 'ACTIVE' : 'DOWN';
    const fault = report.fault ?? null;
    if (row.status === status && row.fault === fault) continue;
    const key = `${status} ${fault}`;
    const same = changed.get(key) ?? { set: { status, fault }, ids: [] };
    changed.set(key, same);
    same.ids.push(row.id);
  }
  const updated_at = cloud.clock.now();
  for (const { set, ids: same } of changed.values()) await setPortStatus(session, same, { ...set, updated_at });
}

const mark = createCloudRounds(
  async (cloud: Cloud, said: readonly HostReport[]) => {
    await cloud.db.write((session) => markPorts(session, cloud, said));
    return said;
  },
  { eager: true },
);

/** Keeps what a host says of its ports. */
export async function reportPorts(cloud: Cloud, host: string, reports: readonly PortReport[]): Promise<void> {
  if (reports.length > 0) await mark(cloud, { host, reports });
}
