// Consoles: tickets that open one once.
import { id, nullable, text, time } from '../columns';
import { addIndex, createTable, migration } from './migration';

export const ConsoleTickets = migration('ConsoleTickets1795790000000', [
  createTable('console_ticket', {
    id: id(),
    server_id: id(),
    kind: text(16),
    user_id: id(),
    expires_at: time(),
    used_at: nullable(time()),
  }),
  addIndex('console_ticket', ['server_id']),
  addIndex('console_ticket', ['expires_at']),
]);
