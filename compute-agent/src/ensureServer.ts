// Brings a server's domain into its desired state and says what state that is.
import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  HostError,
  type Clock,
  type CommandContext,
  type Exec,
  type Logger,
  type ObservedServer,
  type ServerEnsure,
} from '@cumulet/common';
import { Affect, XmlFlag } from '@cumulet/libvirt';
import { configDriveName, ensureConfigDrive } from './configDrive';
import { parseMark } from './domainMark';
import { domainPlan, type DomainAction, type ObservedDomain } from './domainPlan';
import { definitionDigest, domainXml, networkInterface, type DomainSpec, type VirtType } from './domainXml';
import { doing } from './faults';
import type { Hypervisor } from './hypervisor';
import { interfacePlan, keepsRunning, type LiveInterface } from './interfacePlan';
import { consoleLogPath, serverDirectory } from './layout';
import { parseLiveDomain } from './liveDomain';
import { powerOf } from './power';
import { ownSharedDisk } from './sharedDisk';
import { shutDown } from './shutDown';
import { unplugInterface } from './unplug';

export interface ServerContext {
  readonly hypervisor: Hypervisor;
  readonly exec: Exec;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dir: string;
  readonly domainPrefix: string;
  readonly virtType: VirtType;
  readonly shutdownMs: number;
}

/** Refuses to touch a domain that only has a server's id. */
export async function findDomain(context: ServerContext, serverId: string): Promise<boolean> {
  const found = await context.hypervisor.lookupDomain(serverId);
  if (!found || found.name === context.domainPrefix + serverId) return found !== undefined;
  throw new HostError('foreign_domain', "a virtual machine that is not this cloud's has the server's id", {
    retryable: false,
    facts: { domain: found.name },
  });
}

interface ObservedServerDomain extends ObservedDomain {
  /** What the running guest has. */
  readonly interfaces: readonly LiveInterface[];
}

async function observe(context: ServerContext, serverId: string): Promise<ObservedServerDomain | undefined> {
  const { hypervisor } = context;
  if (!(await findDomain(context, serverId))) return undefined;
  const domain = await hypervisor.domainState(serverId);
  if (!domain) return undefined;
  const { state } = domain;
  const off = state === 'shut-off';
  const [config, live, managedSave] = await Promise.all([
    hypervisor.domainXml(serverId, XmlFlag.INACTIVE).then(parseMark),
    off ? undefined : hypervisor.domainXml(serverId).then(parseLiveDomain),
    off && hypervisor.hasManagedSave(serverId),
  ]);
  return { state, managedSave, config, live: live?.mark, interfaces: live?.interfaces ?? [] };
}

/** Whether a file can be opened past the page cache; tmpfs on older kernels refuses. */
async function takesDirectIo(path: string): Promise<boolean> {
  try {
    await (await open(path, constants.O_RDONLY | constants.O_DIRECT)).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return false;
    throw new HostError('disk_missing', "the server's disk is not on the host", {
      retryable: true,
      facts: { path },
      cause: error,
    });
  }
}

/** The server's directory: QEMU must get through it but has no reason to list it. */
export async function prepareFiles(context: ServerContext, server: ServerEnsure): Promise<string | null> {
  const directory = serverDirectory(context.dir, server.server_id);
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o711);
  if (server.config_drive === null) return null;
  const path = join(directory, configDriveName(server.config_drive));
  await ensureConfigDrive(context.exec, path, server.config_drive);
  return path;
}

/** Config drives of earlier definitions; one may still be needed while memory is saved, so it waits for a fresh start. */
async function removeOldDrives(context: ServerContext, spec: DomainSpec): Promise<void> {
  const directory = serverDirectory(context.dir, spec.server.server_id);
  const current = spec.configDrive === null ? undefined : basename(spec.configDrive);
  for (const name of await readdir(directory)) {
    if (!name.startsWith('config-') || name === current) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

const WORDS: Readonly<Record<DomainAction, string>> = {
  define: 'defining the server',
  start: 'starting the server',
  'start-paused': 'starting the server',
  shutdown: 'shutting the server down',
  destroy: 'cutting the power of the server',
  pause: 'pausing the server',
  resume: 'resuming the server',
  save: 'saving the memory of the server',
  'discard-saved': 'discarding the saved memory of the server',
};

interface Work {
  readonly context: ServerContext;
  readonly spec: DomainSpec;
  readonly xml: string;
  readonly command: CommandContext;
}

async function apply(action: DomainAction, { context, spec, xml, command }: Work): Promise<unknown> {
  const { hypervisor, clock, shutdownMs } = context;
  const id = spec.server.server_id;
  switch (action) {
    case 'define':
      return hypervisor.defineDomain(xml);
    case 'start':
      return hypervisor.startDomain(id);
    case 'start-paused':
      return hypervisor.startDomain(id, { paused: true });
    case 'shutdown':
      return shutDown(id, { hypervisor, clock, limitMs: shutdownMs, ...command });
    case 'destroy':
      return hypervisor.destroyDomain(id);
    case 'pause':
      return hypervisor.suspendDomain(id);
    case 'resume':
      return hypervisor.resumeDomain(id);
    case 'save':
      return hypervisor.managedSave(id);
    case 'discard-saved':
      return hypervisor.managedSaveRemove(id);
  }
}

/** Gives a running guest the interfaces that it should have, and no other. */
async function applyInterfaces(live: readonly LiveInterface[], { context, spec, command }: Work): Promise<void> {
  const { hypervisor, clock, log } = context;
  const id = spec.server.server_id;
  const { unplug, plug } = interfacePlan(spec.server.interfaces, live);
  if (unplug.length + plug.length > 0) log.info({ server: id, unplug, plug }, 'interface plan');
  for (const one of unplug) {
    await doing('taking an interface from the server', () =>
      unplugInterface(id, one, { hypervisor, clock, signal: command.signal }),
    );
  }
  for (const one of plug) {
    await doing('adding an interface to the server', () =>
      hypervisor.attachDevice(id, networkInterface(one), Affect.LIVE),
    );
  }
}

/** The answer to `server.ensure`. */
export interface EnsuredServer {
  readonly power: ObservedServer['power'];
  readonly domain: string;
  readonly virt_type: VirtType;
  /** What had to be done. */
  readonly actions: readonly DomainAction[];
}

/**
 * Carries out `server.ensure`. Repeating it when everything is as it should be changes nothing and gives the same answer.
 * @throws HostError
 */
export async function ensureServer(
  context: ServerContext,
  server: ServerEnsure,
  generation: number,
  command: CommandContext,
): Promise<EnsuredServer> {
  const { hypervisor, domainPrefix, virtType } = context;
  const id = server.server_id;
  const [observed, configDrive, directIo] = await Promise.all([
    doing('looking at the server', () => observe(context, id)),
    doing('making the config drive', () => prepareFiles(context, server)),
    takesDirectIo(server.disk.path),
  ]);
  await doing("taking the server's disk", () => ownSharedDisk(hypervisor, server));
  const consoleLog = consoleLogPath(context.dir, id);
  const spec = { server, domainName: domainPrefix + id, virtType, consoleLog, configDrive, directIo };
  const definition = definitionDigest(spec);
  const { power, reboot, redefine } = server;
  const actions = domainPlan({ power, reboot, redefine, generation, definition }, observed);
  const lastReboot = reboot?.nonce ?? observed?.config?.reboot ?? null;
  const xml = domainXml(spec, {
    serverId: id,
    projectId: server.project_id,
    generation,
    definition,
    reboot: lastReboot,
  });
  if (actions.length > 0) context.log.info({ server: id, actions }, 'server plan');
  const work: Work = { context, spec, xml, command };
  for (const action of actions) {
    if (command.signal.aborted) throw new HostError('aborted', 'a newer command took over', { retryable: true });
    await doing(WORDS[action], () => apply(action, work));
  }
  if (observed?.live && keepsRunning(actions)) await applyInterfaces(observed.interfaces, work);
  if (actions.includes('define') && actions.at(-1) === 'start') await removeOldDrives(context, spec);
  const state = await doing('looking at the server', () => hypervisor.domainState(id));
  const saved = state?.state === 'shut-off' && (await hypervisor.hasManagedSave(id));
  return {
    power: state ? powerOf(state.state, state.reason, saved) : 'shutdown',
    domain: spec.domainName,
    virt_type: virtType,
    actions,
  };
}
