// Servers of one state among many: a list of those that are built looked at every server of its project.
import { addIndex, migration } from './migration';

export const ServerStates = migration('ServerStates1795840000000', [
  addIndex('server', ['project_id', 'deleted_at', 'vm_state', 'created_at', 'id']),
]);
