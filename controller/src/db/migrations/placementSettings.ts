// What administrators set through the placement API: traits and limits of hosts, and names of their own.
import { integer, longText, nullable, text } from '../columns';
import { addColumn, createTable, migration } from './migration';

export const PlacementSettings = migration('PlacementSettings1795730000000', [
  addColumn('host', 'traits', nullable(longText())),
  addColumn('host', 'inventory_settings', nullable(longText())),
  createTable('custom_trait', { name: text(), created_at: integer() }, { primary: ['name'] }),
  createTable('custom_resource_class', { name: text(), created_at: integer() }, { primary: ['name'] }),
]);
