// All migrations, oldest first. How to add one: docs/architecture.md.
import { ConsoleTickets } from './consoleTickets';
import { Initial } from './initial';
import { LiveMigrations } from './liveMigrations';
import { PlacementCatalog } from './placementCatalog';
import { PlacementSettings } from './placementSettings';
import { ServerMigrations } from './serverMigrations';
import { ServerStates } from './serverStates';
import { SharedImages } from './sharedImages';
import { ShelvedServers } from './shelvedServers';

export const migrations = [
  Initial,
  PlacementSettings,
  ServerMigrations,
  SharedImages,
  PlacementCatalog,
  LiveMigrations,
  ShelvedServers,
  ConsoleTickets,
  ServerStates,
] as const;
