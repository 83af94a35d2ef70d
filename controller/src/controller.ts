// Composes a controller: database, policy, services, HTTP. Standalone and the controller process differ only in what they hand in.
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import type { Bus, Clock, HostApi, Logger } from '@cumulet/common';
import { createApp, listen } from './api/app';
import { computeService } from './api/compute/routes';
import { identityRootService, identityService } from './api/identity/routes';
import { imageService } from './api/image/routes';
import { networkService } from './api/network/routes';
import type { Cloud } from './cloud';
import type { ControllerConfig } from './config';
import { openDatabase, type DatabaseOptions } from './db';
import { computePolicyRules } from './services/compute/policyRules';
import { imageRules } from './services/image/policyRules';
import { baseRules, createPolicy, loadPolicyFile } from './services/policy/policy';
import type { TokenAuthority } from './services/caller';

export interface ControllerParts {
  readonly config: ControllerConfig;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly host: (name: string) => HostApi | undefined;
  /** Stands in for identity's own token check, in tests of other services. */
  readonly tokens?: TokenAuthority;
  readonly onStatement?: DatabaseOptions['onStatement'];
}

export interface Controller {
  readonly cloud: Cloud;
  /** Opens the API's port; returns the server so that a caller can learn the port. */
  start(): Promise<Server>;
  stop(): Promise<void>;
}

/** Opens (and migrates) the database and composes everything; nothing listens or runs before `start`. */
export async function createController(parts: ControllerParts): Promise<Controller> {
  const { config } = parts;
  mkdirSync(config.data_dir, { recursive: true, mode: 0o711 });
  const db = await openDatabase({
    path: join(config.data_dir, 'cumulet.db'),
    durable: config.durable,
    ...(parts.onStatement ? { onStatement: parts.onStatement } : {}),
  });
  const rules = config.policy_file === null ? [] : [loadPolicyFile(config.policy_file)];
  const policy = createPolicy(baseRules, imageRules, computePolicyRules, ...rules);
  const noIdentity: TokenAuthority = { authenticate: () => Promise.reject(new Error('identity is not there yet')) };
  const cloud: Cloud = { ...parts, db, policy, tokens: parts.tokens ?? noIdentity, wake: () => undefined };
  const app = createApp([identityService, imageService, networkService, computeService, identityRootService], cloud);
  let server: Server | undefined;
  return {
    cloud,
    async start() {
      server = await listen(app, config.listen, config.port);
      return server;
    },
    async stop() {
      const open = server;
      if (open) {
        await new Promise((resolve) => {
          open.close(resolve);
          open.closeAllConnections();
        });
      }
      await db.close();
    },
  };
}
