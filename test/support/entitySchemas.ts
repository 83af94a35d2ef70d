// The ORM's view of the tables that entities/ describe: what it would change shows what migrations lack.
import { EntitySchema, type EntitySchemaColumnOptions } from 'typeorm';
import type { Columns, DatabaseEngine, Table } from '../../controller/src/db/columns';
import { allTables } from '../../controller/src/db/tables';

function entitySchema(table: Table, engine: DatabaseEngine): EntitySchema {
  const columns: Record<string, EntitySchemaColumnOptions> = {};
  for (const [name, column] of Object.entries<Columns[string]>(table.columns)) {
    columns[name] = { ...column.options(engine), name, ...(table.primary.includes(name) ? { primary: true } : {}) };
  }
  return new EntitySchema<Record<string, unknown>>({
    name: table.name,
    tableName: table.name,
    columns,
    uniques: table.unique.map((on) => ({ name: `uq_${table.name}_${on.join('_')}`, columns: [...on] })),
    indices: table.indices.map((on) => ({ name: `ix_${table.name}_${on.join('_')}`, columns: [...on] })),
  });
}

/** All tables as entities of an engine. */
export const entitySchemas = (engine: DatabaseEngine): EntitySchema[] =>
  allTables.map((table) => entitySchema(table, engine));
