// Tables of the image service.
import type { Table } from '../columns';

export const imageTables: readonly Table[] = [];
