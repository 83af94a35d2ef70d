// Every table of the cloud, one list per service.
import type { Table } from './columns';
import { cloudTables } from './entities/cloud';
import { computeTables } from './entities/compute';
import { identityTables } from './entities/identity';
import { imageTables } from './entities/image';
import { networkTables } from './entities/network';
import { placementTables } from './entities/placement';
import { taskTables } from './entities/tasks';

export const allTables: readonly Table[] = [
  ...identityTables,
  ...imageTables,
  ...networkTables,
  ...computeTables,
  ...placementTables,
  ...taskTables,
  ...cloudTables,
];
