// Tables of the network service.
import type { Table } from '../columns';

export const networkTables: readonly Table[] = [];
