// Tables of the image service.
import { flag, id, integer, json, longText, nullable, table, text, time, type Row, type Table } from '../columns';

/** What is known of bytes that were staged and wait for their import. */
export interface StagedData {
  /** Bytes. */
  readonly size: number;
  /** MD5 and SHA-512, hexadecimal. */
  readonly checksum: string;
  readonly digest: string;
}

/** An image. Its custom properties and tags have tables of their own, because lists filter by them. */
export const images = table(
  'image',
  {
    id: id(),
    name: nullable(text()),
    status: text(16),
    visibility: text(16),
    os_hidden: flag(),
    protected: flag(),
    /** The project that owns it. */
    owner: nullable(id()),
    container_format: nullable(text(32)),
    disk_format: nullable(text(32)),
    /** GiB. */
    min_disk: integer(),
    /** MiB. */
    min_ram: integer(),
    /** Bytes, as is `virtual_size`. */
    size: nullable(integer()),
    virtual_size: nullable(integer()),
    /** MD5, hexadecimal. */
    checksum: nullable(text(32)),
    os_hash_algo: nullable(text(16)),
    os_hash_value: nullable(text(128)),
    staged: nullable(json<StagedData>()),
    /** The upload, staging or import that runs, and until when it surely does. */
    upload_id: nullable(id()),
    upload_until: nullable(time()),
    created_at: time(),
    updated_at: time(),
  },
  { indices: [['created_at'], ['owner', 'status'], ['name'], ['os_hash_value'], ['upload_until']] },
);
export type Image = Row<typeof images>;

/** A custom property: what the API shows as a top-level key. */
export const imageProperties = table(
  'image_property',
  { image_id: id(), name: text(), value: longText() },
  { primary: ['image_id', 'name'], indices: [['name', 'image_id']] },
);

export const imageTags = table(
  'image_tag',
  { image_id: id(), value: text() },
  { primary: ['image_id', 'value'], indices: [['value', 'image_id']] },
);

/** A project that a shared image is shared with. */
export const imageMembers = table(
  'image_member',
  { image_id: id(), member_id: text(), status: text(16), created_at: time(), updated_at: time() },
  { primary: ['image_id', 'member_id'], indices: [['member_id', 'status']] },
);
export type ImageMember = Row<typeof imageMembers>;

/** Ids of deleted images: an id never comes back with other bytes. */
export const deletedImages = table('image_deleted', { id: id(), deleted_at: time() });

/** One row per project, written before its images are counted, so that two controllers count one after the other. */
export const imageQuotaTurns = table('image_quota_turn', { id: id(), turn: integer() });

/** An import, finished or running, and how it ended. */
export const imageTasks = table(
  'image_task',
  {
    id: id(),
    image_id: id(),
    status: text(16),
    message: longText(),
    input: json<unknown>(),
    owner: nullable(id()),
    user_id: id(),
    request_id: text(64),
    created_at: time(),
    updated_at: time(),
  },
  { indices: [['image_id']] },
);
export type ImageTask = Row<typeof imageTasks>;

export const imageTables: readonly Table[] = [
  images,
  imageProperties,
  imageTags,
  imageMembers,
  deletedImages,
  imageQuotaTurns,
  imageTasks,
];
