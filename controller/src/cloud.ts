// What every handler and service works with: the database, the clock, the log, the bus, the policy and the token authority.
import type { Bus, Clock, HostApi, Logger } from '@cumulet/common';
import type { ControllerConfig } from './config';
import type { Database } from './db';
import type { Policy } from './services/policy/policy';
import type { TokenAuthority } from './services/caller';
import type { Identity } from './services/identity/identity';

export interface Cloud {
  readonly config: ControllerConfig;
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bus: Bus;
  readonly policy: Policy;
  readonly tokens: TokenAuthority;
  readonly identity: Identity;
  /** Makes the dispatcher look for work now instead of at its next poll. */
  readonly wake: () => void;
  /** Where other machines reach the API, and the CA (PEM) to trust for it; undefined while nothing listens for them. */
  readonly access: () => { readonly endpoint: string; readonly ca: string | null } | undefined;
  /** Direct questions to a host's agents (console log, inventory); undefined when the host can't be reached. */
  readonly host: (name: string) => HostApi | undefined;
}
