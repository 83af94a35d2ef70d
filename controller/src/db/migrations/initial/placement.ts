// The first tables of what steers placement. Frozen: later changes are migrations of their own.
import { id, integer, longText, nullable, sequence, text } from '../../columns';
import { createTable, type MigrationStep } from '../migration';

export const placement: readonly MigrationStep[] = [
  createTable(
    'aggregate',
    {
      sequence: sequence(),
      uuid: id(),
      name: text(),
      metadata: longText(),
      created_at: integer(),
      updated_at: nullable(integer()),
    },
    { primary: ['sequence'], unique: [['name'], ['uuid']] },
  ),
  createTable(
    'aggregate_host',
    { aggregate: integer(), host: text() },
    { primary: ['aggregate', 'host'], indices: [['host']] },
  ),
  createTable(
    'server_group',
    {
      id: id(),
      project_id: id(),
      user_id: id(),
      name: text(),
      policy: text(32),
      max_server_per_host: nullable(integer()),
      generation: integer(),
      created_at: integer(),
    },
    { indices: [['project_id', 'created_at']] },
  ),
];
