// Controllers share a directory of image bytes: they must know it again, and see whose uploads run.
import { id, integer, nullable, text } from '../columns';
import { addColumn, addIndex, createTable, migration } from './migration';

export const SharedImages = migration('SharedImages1795750000000', [
  createTable('cloud_fact', { name: id(), value: text() }, { primary: ['name'] }),
  addColumn('image', 'upload_id', nullable(id())),
  addColumn('image', 'upload_until', nullable(integer())),
  addIndex('image', ['upload_until']),
]);
