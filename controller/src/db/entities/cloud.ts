// Facts of the whole cloud that its controllers must agree on.
import { id, table, text, type Table } from '../columns';

/** A fact by its name; written once. */
export const cloudFacts = table('cloud_fact', { name: id(), value: text() }, { primary: ['name'] });

export const cloudTables: readonly Table[] = [cloudFacts];
