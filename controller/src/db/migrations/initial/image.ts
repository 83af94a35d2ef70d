// The first tables of the image service. Frozen: later changes are migrations of their own.
import { flag, id, integer, longText, nullable, text } from '../../columns';
import { createTable, type MigrationStep } from '../migration';

export const image: readonly MigrationStep[] = [
  createTable(
    'image',
    {
      id: id(),
      name: nullable(text(255)),
      status: text(16),
      visibility: text(16),
      os_hidden: flag(),
      protected: flag(),
      owner: nullable(id()),
      container_format: nullable(text(32)),
      disk_format: nullable(text(32)),
      min_disk: integer(),
      min_ram: integer(),
      size: nullable(integer()),
      virtual_size: nullable(integer()),
      checksum: nullable(text(32)),
      os_hash_algo: nullable(text(16)),
      os_hash_value: nullable(text(128)),
      staged: nullable(longText()),
      created_at: integer(),
      updated_at: integer(),
    },
    { indices: [['created_at'], ['owner', 'status'], ['name'], ['os_hash_value']] },
  ),
  createTable(
    'image_property',
    { image_id: id(), name: text(255), value: longText() },
    { primary: ['image_id', 'name'], indices: [['name', 'image_id']] },
  ),
  createTable(
    'image_tag',
    { image_id: id(), value: text(255) },
    { primary: ['image_id', 'value'], indices: [['value', 'image_id']] },
  ),
  createTable(
    'image_member',
    { image_id: id(), member_id: text(255), status: text(16), created_at: integer(), updated_at: integer() },
    { primary: ['image_id', 'member_id'], indices: [['member_id', 'status']] },
  ),
  createTable('image_deleted', { id: id(), deleted_at: integer() }),
  createTable('image_quota_turn', { id: id(), turn: integer() }),
  createTable(
    'image_task',
    {
      id: id(),
      image_id: id(),
      status: text(16),
      message: longText(),
      input: longText(),
      owner: nullable(id()),
      user_id: id(),
      request_id: id(),
      created_at: integer(),
      updated_at: integer(),
    },
    { indices: [['image_id']] },
  ),
];
