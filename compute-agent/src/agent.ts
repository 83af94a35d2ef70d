// The compute agent: makes, switches and removes the domains of servers, and tells what happens to them.
import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createAgent,
  isUuid,
  type Agent,
  type AgentApi,
  type Bus,
  type Clock,
  type Exec,
  type Expected,
  type HostApi,
  type HostResource,
  type Logger,
  type MigrationTarget,
  type Neighbours,
} from '@cumulet/common';
import { LibvirtClient, XmlFlag } from '@cumulet/libvirt';
import type { ComputeConfig } from './config';
import { openConsole } from './console';
import { readConsoleLog } from './consoleLog';
import { copyDisk } from './copyDisk';
import { parseMark } from './domainMark';
import { readDiagnostics } from './diagnostics';
import { ensureServer, type ServerContext } from './ensureServer';
import type { Hypervisor } from './hypervisor';
import { setPassword } from './guestPassword';
import { computeInventory, detectVirtType } from './inventory';
import { consoleLogPath, hasOurName, serverDirectory, serversDirectory } from './layout';
import { createLiveness, type Liveness } from './liveness';
import { createMigrationSource } from './migrationSource';
import { createMigrationTarget } from './migrationTarget';
import { removeServer } from './removeServer';

export interface ComputeAgentOptions {
  readonly host: string;
  readonly bus: Bus;
  readonly api: AgentApi;
  readonly exec: Exec;
  readonly log: Logger;
  readonly clock: Clock;
  readonly config: ComputeConfig;
  /** How other hosts are reached; absent where there is only one. */
  readonly neighbours?: Neighbours;
  /** Opens the connection to the hypervisor; libvirt's unless told. */
  readonly connect?: () => Promise<Hypervisor>;
  /** How often all servers are reported, in milliseconds; every 20 s unless told. */
  readonly tellAllMs?: number;
}

export interface ComputeAgent extends Agent, Omit<HostApi, 'openDisk' | 'openImage'> {
  /** What hosts may ask whose servers come here. */
  readonly target: MigrationTarget;
  /** Removes every server of ours from the host. The agent must not have been started. */
  purge(): Promise<void>;
}

/** What exists once libvirt was reached. */
interface Reached {
  readonly context: ServerContext;
  readonly liveness: Liveness;
}

export function createComputeAgent(options: ComputeAgentOptions): ComputeAgent {
  const { host, bus, api, exec, log, clock, config } = options;
  const { dir, domain_prefix: domainPrefix } = config;
  const connect =
    options.connect ??
    ((): Promise<Hypervisor> =>
      LibvirtClient.connect({
        uri: config.libvirt_uri,
        ...(config.libvirt_socket === null ? {} : { socketPath: config.libvirt_socket }),
        events: ['lifecycle'],
      }));
  let reached: Reached | undefined;

  /** Connects the first time; later the client reconnects by itself. */
  const reach = async (): Promise<Reached> => {
    if (reached) return reached;
    const hypervisor = await connect();
    try {
      const virtType = config.virt_type === 'auto' ? await detectVirtType(hypervisor) : config.virt_type;
      const shutdownMs = config.shutdown_seconds * 1000;
      const context = { hypervisor, exec, clock, log, dir, domainPrefix, virtType, shutdownMs };
      hypervisor.on('warning', (error) => log.warn({ err: error }, 'libvirt'));
      const every = options.tellAllMs === undefined ? {} : { tellAllMs: options.tellAllMs };
      const liveness = createLiveness({ host, api, hypervisor, clock, log, domainPrefix, ...every });
      return (reached = { context, liveness });
    } catch (error) {
      await hypervisor.close();
      throw error;
    }
  };

  const source = createMigrationSource(options.neighbours);
  const target = createMigrationTarget(async () => (await reach()).context);

  const inventory = async (): Promise<Record<string, unknown>> => {
    await mkdir(serversDirectory(dir), { recursive: true });
    await chmod(serversDirectory(dir), 0o711);
    const { context } = await reach();
    return computeInventory(context.hypervisor, dir, context.virtType);
  };

  const directories = async (): Promise<string[]> => (await readdir(serversDirectory(dir))).filter(isUuid);

  const removeUnexpected = async (context: ServerContext, expected: readonly Expected[]): Promise<void> => {
    const { hypervisor } = context;
    const ids = new Set(expected.map(({ id }) => id));
    const unexpected = (await hypervisor.domains()).filter(
      (domain) => hasOurName(domainPrefix, domain) && !ids.has(domain.uuid),
    );
    for (const { uuid, name } of unexpected) {
      if (parseMark(await hypervisor.domainXml(uuid, XmlFlag.INACTIVE))?.serverId !== uuid) {
        log.warn({ domain: name }, 'a domain has a name like ours but not our mark; it is left alone');
        continue;
      }
      log.warn({ server: uuid }, 'a server that is not expected here is removed');
      await removeServer(context, uuid);
    }
    const domains = new Set((await hypervisor.domains()).map(({ uuid }) => uuid));
    for (const id of await directories()) if (!ids.has(id) && !domains.has(id)) await removeServer(context, id);
  };

  const agent = createAgent({
    host,
    role: 'compute',
    bus,
    api,
    clock,
    log,
    inventory,
    reconcile: async (expected) => {
      const { context, liveness } = await reach();
      await removeUnexpected(context, expected);
      await liveness.reportAll(expected);
    },
    handlers: {
      'server.ensure': async ({ body, generation }, command) => {
        const { context, liveness } = await reach();
        return { ...(await liveness.during(body.server_id, () => ensureServer(context, body, generation, command))) };
      },
      'disk.copy': async ({ body }, command) => {
        const { context } = await reach();
        return { copied: await copyDisk(context, body, command) };
      },
      'migration.expect': async ({ body }) => {
        await target.expect((await reach()).context, body);
        return {};
      },
      'migration.send': async ({ body }, command) => {
        const { context, liveness } = await reach();
        return liveness.during(body.server_id, async () => {
          await source.send(context, body, command);
          return {};
        });
      },
      'migration.abort': async ({ body }) => ({ outcome: await source.abort((await reach()).context, body) }),
      'migration.force': async ({ body }) => {
        await source.force(body);
        return {};
      },
      'migration.conclude': async ({ body }) => ({ ...(await target.conclude((await reach()).context, body)) }),
      'server.remove': async ({ body }) => {
        const { context, liveness } = await reach();
        return liveness.during(body.server_id, async () => {
          await target.forget(body.server_id);
          await removeServer(context, body.server_id);
          return {};
        });
      },
    },
  });

  return {
    target,
    start: () => agent.start(),
    session: () => agent.session(),
    async stop() {
      await agent.stop();
      await reached?.liveness.stop();
      await reached?.context.hypervisor.close();
    },
    consoleLog: (serverId, maxBytes) => readConsoleLog(consoleLogPath(dir, serverId), maxBytes),
    async openConsole(serverId, kind) {
      return openConsole((await reach()).context, serverId, kind);
    },
    async diagnostics(serverId) {
      const { context } = await reach();
      return readDiagnostics(context, serverId);
    },
    async setPassword(serverId, user, password) {
      const { context } = await reach();
      await setPassword(context, serverId, user, password);
    },
    async purge() {
      const { context } = await reach();
      await mkdir(serversDirectory(dir), { recursive: true });
      await removeUnexpected(context, []);
    },
    async inventoryOfResources() {
      const { context } = await reach();
      const domains = (await context.hypervisor.domains()).filter((domain) => hasOurName(domainPrefix, domain));
      const found: HostResource[] = domains.map(({ uuid, name }) => ({ kind: 'domain', id: uuid, name }));
      for (const id of await directories()) {
        const directory = serverDirectory(dir, id);
        found.push({ kind: 'server_directory', id, name: directory });
        for (const name of await readdir(directory))
          found.push({ kind: 'server_file', id, name: join(directory, name) });
      }
      return found;
    },
  };
}
