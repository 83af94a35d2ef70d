// Shelved servers: a state with a long name, and the image that a server's disk is kept in.
import { id, integer, nullable } from '../columns';
import { createTable, migration, resizeText } from './migration';

export const ShelvedServers = migration('ShelvedServers1795780000000', [
  resizeText('server', 'vm_state', 16, 32),
  createTable(
    'shelved_server',
    { server_id: id(), image_id: id(), waits_since: nullable(integer()) },
    { primary: ['server_id'], indices: [['waits_since']] },
  ),
]);
