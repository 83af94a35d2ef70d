// Resize and cold migration: what a server leaves and where it goes.
import { id, integer, longText, nullable, sequence, text } from '../columns';
import { createTable, migration } from './migration';

export const ServerMigrations = migration('ServerMigrations1795740000000', [
  createTable(
    'server_migration',
    {
      sequence: sequence(),
      uuid: id(),
      server_id: id(),
      project_id: id(),
      user_id: id(),
      type: text(16),
      status: text(16),
      open: nullable(integer()),
      source_host: text(255),
      dest_host: nullable(text(255)),
      old_flavor: longText(),
      new_flavor: longText(),
      old_revision: integer(),
      new_revision: integer(),
      vm_state: text(16),
      created_at: integer(),
      updated_at: integer(),
    },
    {
      primary: ['sequence'],
      unique: [['uuid'], ['server_id', 'open']],
      indices: [
        ['source_host', 'open'],
        ['dest_host', 'open'],
        ['project_id', 'open'],
      ],
    },
  ),
]);
