// Composes a controller: database, policy, services, HTTP. Standalone and the controller process differ only in what they hand in.
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type AgentApi, type Bus, type Clock, type HostApi, type Logger } from '@cumulet/common';
import { createApp, listen } from './api/app';
import { computeService } from './api/compute/routes';
import { cumuletService } from './api/cumulet/routes';
import { identityRootService, identityService } from './api/identity/routes';
import { imageService } from './api/image/routes';
import { networkRootService, networkService } from './api/network/routes';
import { createOrigins } from './api/origin';
import { placementService } from './api/placement/routes';
import type { Cloud } from './cloud';
import type { ControllerConfig } from './config';
import { openDatabaseClock, type DatabaseClock } from './databaseClock';
import { databaseOptions } from './databaseConfig';
import { createAgentApi } from './agentApi/agentApi';
import { createConsoles } from './consoles/proxy';
import { createEngine, type Engine, type EngineOptions } from './conductor/engine';
import { taskKinds } from './conductor/kinds';
import { openDatabase, type Database, type DatabaseOptions } from './db';
import { rulesOf } from './policyRules';
import { createRemoteApi, type RemoteApi } from './remoteApi/listener';
import { repeat, type Repeating } from './repeat';
import { offloadWaiting } from './services/compute/serverShelve';
import { recoverImages, recoverUploads } from './services/image/recover';
import { createIdentity } from './services/identity/identity';
import { createRouterWatch } from './services/network/routerWatch';
import { createPolicy } from './services/policy/policy';
import type { TokenAuthority } from './services/caller';

/** How often uploads of controllers that died are looked for. */
const UPLOAD_WATCH_MS = 5_000;
/** How often servers are looked for that have been shelved for long enough. */
const SHELVED_WATCH_MS = 5_000;

export interface ControllerParts {
  readonly config: ControllerConfig;
  readonly bus: Bus;
  /** Stands in for the database's clock, in tests. */
  readonly clock?: Clock;
  readonly log: Logger;
  readonly host: (name: string) => HostApi | undefined;
  /** Stands in for identity's own token check, in tests of other services. */
  readonly tokens?: TokenAuthority;
  readonly onStatement?: DatabaseOptions['onStatement'];
  /** The dispatcher's task kinds and times; false: no task runs here, they only pile up. */
  readonly engine?: EngineOptions | false;
}

export interface Controller {
  readonly cloud: Cloud;
  /** What agents ask; standalone hands it to them directly. */
  readonly agentApi: AgentApi;
  readonly engine: Engine | undefined;
  /** The listeners for other machines, if the configuration has them. */
  readonly remote: RemoteApi | undefined;
  /** Opens the API's port; returns the server so that a caller can learn the port. */
  start(): Promise<Server>;
  stop(): Promise<void>;
}

/** Where a server listens; nowhere once it was closed. */
function addressesOf(server: Server | undefined): AddressInfo[] {
  const address = server?.address();
  return address && typeof address === 'object' ? [address] : [];
}

/** What needs the database to be opened and may refuse it. @throws ConfigError */
async function openParts({ config, log, ...parts }: ControllerParts, db: Database) {
  const clock: Clock & Partial<DatabaseClock> = parts.clock ?? (await openDatabaseClock(db, systemClock, log));
  try {
    return { clock, identity: await createIdentity({ config, db, clock, log }) };
  } catch (error) {
    await clock.stop?.();
    throw error;
  }
}

/** Opens (and migrates) the database and composes everything; nothing listens or runs before `start`. */
export async function createController(parts: ControllerParts): Promise<Controller> {
  const { config, log } = parts;
  const policy = createPolicy(rulesOf(config));
  mkdirSync(config.data_dir, { recursive: true, mode: 0o711 });
  const db = await openDatabase({
    ...databaseOptions(config),
    onBackup: (path) => log.info({ path }, 'the database was backed up before it is migrated'),
    ...(parts.onStatement ? { onStatement: parts.onStatement } : {}),
  });
  const { clock, identity } = await openParts(parts, db).catch(async (error: unknown) => {
    await db.close();
    throw error;
  });
  const cloud: Cloud = {
    ...parts,
    db,
    clock,
    policy,
    identity,
    tokens: parts.tokens ?? identity.tokens,
    wake: () => engine?.wake(),
    access: () => (remote?.listening().length ? remote.access() : undefined),
  };
  const engine = parts.engine === false ? undefined : createEngine(cloud, parts.engine ?? { kinds: taskKinds });
  const routerWatch = engine && createRouterWatch(cloud);
  let server: Server | undefined;
  const listening = (): AddressInfo[] => [...addressesOf(server), ...(remote?.listening() ?? [])];
  const watches: Repeating[] = [];
  const originOf = createOrigins({
    endpoint: config.endpoint,
    names: [...config.names, ...(config.remote_api ? [config.remote_api.address] : [])],
    listening,
    remote: () => remote?.access().endpoint,
  });
  const consoles = createConsoles(cloud, originOf);
  const app = createApp(
    [
      identityService,
      imageService,
      networkService,
      networkRootService,
      computeService,
      placementService,
      cumuletService,
      identityRootService,
    ],
    cloud,
    originOf,
    consoles,
  );
  const remote = config.remote_api
    ? createRemoteApi({ config, remote: config.remote_api, app, consoles, clock, log: parts.log })
    : undefined;
  return {
    cloud,
    agentApi: createAgentApi(cloud),
    engine,
    remote,
    async start() {
      await recoverImages(cloud);
      await engine?.start();
      routerWatch?.start();
      if (engine)
        watches.push(
          repeat(cloud, 'recovering uploads', UPLOAD_WATCH_MS, () => recoverUploads(cloud)),
          repeat(cloud, 'offloading shelved servers', SHELVED_WATCH_MS, () => offloadWaiting(cloud)),
        );
      server = await listen(app, consoles, config.listen, config.port);
      await remote?.start();
      identity.start();
      return server;
    },
    async stop() {
      await remote?.stop();
      consoles.close();
      const open = server;
      if (open) {
        await new Promise((resolve) => {
          open.close(resolve);
          open.closeAllConnections();
        });
      }
      await engine?.stop();
      await routerWatch?.stop();
      for (const watch of watches) await watch.stop();
      await identity.stop();
      await clock.stop?.();
      await db.close();
    },
  };
}
