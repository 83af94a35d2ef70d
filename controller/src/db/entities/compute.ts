// Tables of the compute service.
import type { Table } from '../columns';

export const computeTables: readonly Table[] = [];
