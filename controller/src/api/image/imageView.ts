// How an image looks on the wire. Links leave out the service prefix: clients put it in front themselves.
import type { ImageRecord } from '../../services/image/record';
import { STORE_ID } from '../../services/image/store';

/** Whole seconds, UTC. */
export function wireTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** Custom properties are top-level keys; they can't hide a base attribute. */
export function imageView(image: ImageRecord): Record<string, unknown> {
  const self = `/v2/images/${image.id}`;
  return {
    ...image.properties,
    id: image.id,
    name: image.name,
    status: image.status,
    visibility: image.visibility,
    os_hidden: image.os_hidden,
    protected: image.protected,
    owner: image.owner,
    container_format: image.container_format,
    disk_format: image.disk_format,
    min_disk: image.min_disk,
    min_ram: image.min_ram,
    size: image.size,
    virtual_size: image.virtual_size,
    checksum: image.checksum,
    os_hash_algo: image.os_hash_algo,
    os_hash_value: image.os_hash_value,
    tags: [...image.tags],
    created_at: wireTime(image.created_at),
    updated_at: wireTime(image.updated_at),
    self,
    file: `${self}/file`,
    schema: '/v2/schemas/image',
    ...(image.os_hash_value === null ? {} : { stores: STORE_ID }),
  };
}
