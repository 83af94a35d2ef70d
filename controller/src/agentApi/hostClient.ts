// Direct questions to the agents of other hosts, at the addresses that they registered and only if their certificates are the host's.
import {
  createMtlsClient,
  CumuletError,
  HostError,
  type AgentRole,
  type Diagnostics,
  type HostApi,
  type HostResource,
  type MtlsClient,
  type TlsFiles,
} from '@cumulet/common';
import type { Database } from '../db';
import { agents } from '../db/entities/tasks';

const ROLES: readonly AgentRole[] = ['compute', 'network', 'storage'];
const TIMEOUT_MS = 20_000;
/** Bytes of a disk stand still while its new host has no time to write. */
const DISK_TIMEOUT_MS = 60_000;

/** What the host said no to, in its words; 409 is how it travels. */
function asHostError(error: unknown): never {
  if (error instanceof CumuletError && error.facts['status'] === 409)
    throw new HostError(error.code, error.message, { retryable: false, cause: error });
  throw error;
}

export interface HostClients {
  host(name: string): HostApi;
  close(): void;
}

export function createHostClients(db: Database, tls: TlsFiles): HostClients {
  const clients = new Map<string, MtlsClient>();
  const clientOf = (name: string): MtlsClient => {
    let client = clients.get(name);
    if (!client) {
      client = createMtlsClient(tls, (peer) => peer.role === 'host' && peer.name === name, `host ${name}`);
      clients.set(name, client);
    }
    return client;
  };
  const baseOf = async (host: string, role: AgentRole): Promise<string> => {
    const agent = await db.read((session) => session.findOne(agents, { host, role }));
    if (agent?.listener) return `https://${agent.listener}`;
    throw new CumuletError('unreachable', `the ${role} agent of ${host} has not said where it can be reached`);
  };
  const ask = async (host: string, role: AgentRole, path: string, json?: unknown): Promise<Buffer> => {
    const base = await baseOf(host, role);
    const question = json === undefined ? { method: 'GET' as const } : { method: 'POST' as const, json };
    return clientOf(host).bytes({ ...question, base, path: `/host/v1/${path}`, timeout: TIMEOUT_MS });
  };
  return {
    host: (name) => ({
      consoleLog: (serverId, maxBytes) => ask(name, 'compute', `console-logs/${serverId}?bytes=${maxBytes}`),
      async openConsole(serverId, kind) {
        const path = `/host/v1/consoles/${kind}/${serverId}`;
        const base = await baseOf(name, 'compute');
        return clientOf(name).tunnel({ base, path, timeout: TIMEOUT_MS }).catch(asHostError);
      },
      async diagnostics(serverId) {
        const bytes = await ask(name, 'compute', `diagnostics/${serverId}`).catch(asHostError);
        return JSON.parse(bytes.toString()) as Diagnostics;
      },
      async setPassword(serverId, user, password) {
        await ask(name, 'compute', `passwords/${serverId}`, { user, password }).catch(asHostError);
      },
      async openDisk(serverId, revision) {
        const base = await baseOf(name, 'storage');
        const path = `/host/v1/disks/${serverId}?revision=${revision}`;
        const question = { method: 'GET' as const, base, path, timeout: DISK_TIMEOUT_MS };
        const response = await clientOf(name).open(question).catch(asHostError);
        return { size: Number(response.headers['content-length']), stream: response };
      },
      async openImage(digest, start) {
        const base = await baseOf(name, 'storage');
        const path = `/host/v1/images/${digest}?start=${start}`;
        const question = { method: 'GET' as const, base, path, timeout: DISK_TIMEOUT_MS };
        const response = await clientOf(name).open(question).catch(asHostError);
        return { size: start + Number(response.headers['content-length']), stream: response };
      },
      async inventoryOfResources() {
        const found = await Promise.all(ROLES.map((role) => ask(name, role, 'resources')));
        return found.flatMap((bytes) => JSON.parse(bytes.toString()) as HostResource[]);
      },
    }),
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}
