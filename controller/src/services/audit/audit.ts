// The audit: database against hosts, and the database against itself. It changes nothing.
import { messageOf, type NetworkObject } from '@cumulet/common';
import type { Cloud } from '../../cloud';
import { In, IsNull, Not } from '../../db';
import { servers, type Server, type ServerMigration } from '../../db/entities/compute';
import { ports } from '../../db/entities/network';
import { hosts, tasks, type Host } from '../../db/entities/tasks';
import { hostsOf, openMigrations } from '../compute/migrations';
import { sharedDisks } from '../compute/sharedDisks';
import { networkChanges } from '../network/networkChanges';
import { readBalances } from './balances';
import { compareBalances, compareHost, type ExpectedResource, type Finding } from './compare';
import { danglingFindings } from './dangling';
import { unattendedFindings } from './unattended';

export interface AuditReport {
  /** Everything that was looked at. */
  readonly checked: { readonly hosts: number; readonly servers: number; readonly hostResources: number };
  readonly findings: readonly Finding[];
}

/** What a placed server has on its host. While a task works on it, parts may be there or not. */
function serverResources(server: Server, busy: boolean): ExpectedResource[] {
  const settled = !busy && server.vm_state !== 'error' && server.vm_state !== 'building';
  return [
    { kind: 'domain', id: server.id, required: settled },
    { kind: 'disk', id: server.id, required: settled },
  ];
}

/** The disk that a server still has on the other host of a resize, for whichever way it ends. */
function otherSides(
  host: string,
  live: readonly Server[],
  moving: ReadonlyMap<string, ServerMigration>,
): ExpectedResource[] {
  return live.flatMap((server): ExpectedResource[] => {
    if (server.host === host || !hostsOf(server, moving.get(server.id)).includes(host)) return [];
    return [{ kind: 'disk', id: server.id, required: server.vm_state === 'resized' && server.task_state === null }];
  });
}

/** Disks that a host sees because it shares a directory with theirs. */
function sharedSides(host: string, live: readonly Server[], names: ReadonlyMap<string, string>): ExpectedResource[] {
  const own = names.get(host);
  return live.flatMap((server): ExpectedResource[] => {
    const shares = own !== undefined && server.host !== null && names.get(server.host) === own;
    return shares && server.host !== host ? [{ kind: 'disk', id: server.id, required: false }] : [];
  });
}

const NETWORK_KINDS = { network: 'bridge', port: 'tap', router: 'namespace', security_group: null } as const;

/** Ids that interfaces and rules of an object carry besides its own. */
function partsOf(object: NetworkObject): string[] {
  if (object.kind === 'network') return object.dhcp ? [object.dhcp.port_id] : [];
  if (object.kind !== 'router') return [];
  const ports = [...object.interfaces, ...(object.gateway ? [object.gateway] : [])].map(({ port_id }) => port_id);
  return [...ports, ...object.floating_ips.map(({ id }) => id)];
}

/** Made once per host, for nobody in particular. */
const HOST_WIDE: readonly ExpectedResource[] = [{ kind: 'external-bridge', id: 'external', required: false }];

async function networkResources(
  cloud: Cloud,
  host: string,
  busyServers: ReadonlySet<string>,
): Promise<ExpectedResource[]> {
  const { objects } = await networkChanges(cloud, host, 0);
  const portIds = objects.filter((object) => object.kind === 'port').map(({ id }) => id);
  const devices = await cloud.db.read((session) => session.find(ports, { where: { id: In(portIds) } }));
  const unsettled = new Set(devices.filter((port) => busyServers.has(port.device_id)).map(({ id }) => id));
  return objects.flatMap((object): ExpectedResource[] => {
    const kind = NETWORK_KINDS[object.kind];
    const physical = object.kind === 'network' && object.attachment.type === 'physical';
    const idle = object.kind === 'router' && (!object.admin_state_up || partsOf(object).length === 0);
    const required = kind !== null && !physical && !idle && !unsettled.has(object.id);
    const tunnel = object.kind === 'network' && object.tunnel !== null && object.tunnel.peers.length > 0;
    const parts = partsOf(object).map((id) => ({ kind: 'part', id, required: false }));
    const tunnels = tunnel ? [{ kind: 'vxlan', id: object.id, required }] : [];
    return [{ kind: kind ?? object.kind, id: object.id, required }, ...tunnels, ...parts];
  });
}

/** What the database says of servers. */
interface Known {
  readonly live: readonly Server[];
  readonly moving: ReadonlyMap<string, ServerMigration>;
  readonly busy: ReadonlySet<string>;
  /** What hosts that have one directory of disks call it. */
  readonly shared: ReadonlyMap<string, string>;
}

async function auditHost(
  cloud: Cloud,
  host: Host,
  { live, moving, busy, shared }: Known,
): Promise<{ found: number; findings: Finding[] }> {
  const silent = (message: string) => ({
    found: 0,
    findings: [{ type: 'missing' as const, host: host.name, kind: 'host', id: host.id, name: host.name, message }],
  });
  const api = cloud.host(host.name);
  if (!api) return silent(`${host.name} can not be reached, so what it has is unknown`);
  try {
    const found = await api.inventoryOfResources();
    const expected = [
      ...HOST_WIDE,
      ...live
        .filter((server) => server.host === host.name)
        .flatMap((server) => serverResources(server, busy.has(server.id))),
      ...otherSides(host.name, live, moving),
      ...sharedSides(host.name, live, shared),
      ...(await networkResources(cloud, host.name, busy)),
    ];
    return { found: found.length, findings: compareHost(host.name, expected, found) };
  } catch (error) {
    return silent(`${host.name} could not say what it has: ${messageOf(error)}`);
  }
}

/** Compares everything. Takes as long as the slowest host's answer. */
export async function audit(cloud: Cloud): Promise<AuditReport> {
  const { known, database, ...what } = await cloud.db.read(async (session) => {
    const live = await session.find(servers, { where: { deleted_at: IsNull() } });
    const moving = await openMigrations(session);
    const running = await session.find(tasks, { where: { resource_type: 'server', active: Not(IsNull()) } });
    return {
      live,
      moving,
      shared: await sharedDisks(session),
      known: await session.find(hosts),
      busy: new Set(running.map((task) => task.resource_id)),
      database: [
        ...compareBalances(await readBalances(session)),
        ...(await danglingFindings(session)),
        ...(await unattendedFindings(session)),
      ],
    };
  });
  const answers = await Promise.all(known.map((host) => auditHost(cloud, host, what)));
  return {
    checked: {
      hosts: known.length,
      servers: what.live.length,
      hostResources: answers.reduce((total, { found }) => total + found, 0),
    },
    findings: [...answers.flatMap(({ findings }) => findings), ...database],
  };
}
