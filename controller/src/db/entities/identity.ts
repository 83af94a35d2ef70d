// Tables of the identity service.
import type { Table } from '../columns';

export const identityTables: readonly Table[] = [];
