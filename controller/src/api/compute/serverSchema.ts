// Bodies of server requests at each microversion.
import {
  address,
  boolean,
  byVersion,
  description,
  fqdn,
  metadata,
  name,
  object,
  positiveInteger,
  tag,
  uuid,
} from './schemaTypes';

const accessIp = (format: string): object => ({ anyOf: [{ type: 'string', format }, { const: '' }] });
const base64 = { type: 'string', maxLength: 65535, pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$' };
const diskConfig = { enum: ['AUTO', 'MANUAL'] };
const hostname = { type: 'string', minLength: 2, maxLength: 63, pattern: '^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$' };
const hostnameAt = (minor: number): object => (minor >= 94 ? fqdn : hostname);
const personality = {
  type: 'array',
  items: object({ path: { type: 'string' }, contents: { type: 'string', pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$' } }, [
    'path',
    'contents',
  ]),
};
const certificates = {
  anyOf: [
    {
      type: 'array',
      minItems: 1,
      maxItems: 50,
      uniqueItems: true,
      items: { type: 'string', minLength: 1 },
    },
    { type: 'null' },
  ],
};

const deviceProperties = (minor: number): Record<string, object> => ({
  virtual_name: { type: 'string', maxLength: 255 },
  volume_id: uuid,
  snapshot_id: uuid,
  volume_size: { type: ['integer', 'string'], pattern: '^[0-9]+$', minimum: 1 },
  device_name: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9._/-]*$' },
  delete_on_termination: boolean,
  no_device: {},
  connection_info: { type: 'string' },
  source_type: { enum: ['volume', 'image', 'snapshot', 'blank'] },
  uuid: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9._-]*$' },
  image_id: uuid,
  destination_type: { enum: ['local', 'volume'] },
  guest_format: { type: 'string', maxLength: 255 },
  device_type: { type: 'string', maxLength: 255 },
  disk_bus: { type: 'string', maxLength: 255 },
  boot_index: { type: ['integer', 'string', 'null'], pattern: '^-?[0-9]+$' },
  ...(minor === 32 || minor >= 42 ? { tag } : {}),
  ...(minor >= 67 ? { volume_type: { type: ['string', 'null'], maxLength: 255 } } : {}),
});

/** 2.32 brought tags, 2.37 lost them again, 2.42 brought them back. */
function networksAt(minor: number): object {
  const tagged = (minor >= 32 && minor < 37) || minor >= 42;
  const list = {
    type: 'array',
    items: object({
      fixed_ip: address,
      port: { type: ['string', 'null'], format: 'uuid' },
      uuid: minor >= 37 ? uuid : { type: 'string' },
      ...(tagged ? { tag } : {}),
    }),
  };
  return minor >= 37 ? { anyOf: [list, { enum: ['auto', 'none'] }] } : list;
}

/** Attributes that only later microversions know. */
const newerAttributes = (minor: number): Record<string, object> => ({
  ...(minor >= 19 ? { description } : {}),
  ...(minor >= 52 ? { tags: { type: 'array', items: tag, maxItems: 50 } } : {}),
  ...(minor < 57 ? { personality } : {}),
  ...(minor >= 63 ? { trusted_image_certificates: certificates } : {}),
  ...(minor >= 74 ? { host: fqdn, hypervisor_hostname: fqdn } : {}),
  ...(minor >= 90 ? { hostname: hostnameAt(minor) } : {}),
});

const serverIds = { anyOf: [uuid, { type: 'array', items: uuid, minItems: 1, uniqueItems: true }] };
const hints = {
  type: 'object',
  properties: { group: uuid, same_host: serverIds, different_host: serverIds },
  additionalProperties: true,
};

export const serverCreate = byVersion((minor) =>
  object(
    {
      server: object(
        {
          name,
          imageRef: { anyOf: [uuid, { const: '' }] },
          flavorRef: { type: ['string', 'integer'], minLength: 1 },
          adminPass: { type: 'string' },
          metadata,
          networks: networksAt(minor),
          'OS-DCF:diskConfig': diskConfig,
          accessIPv4: accessIp('ipv4'),
          accessIPv6: accessIp('ipv6'),
          availability_zone: name,
          block_device_mapping: { type: 'array', items: { type: 'object' } },
          block_device_mapping_v2: { type: 'array', items: object(deviceProperties(minor)) },
          config_drive: boolean,
          key_name: name,
          min_count: positiveInteger,
          max_count: positiveInteger,
          return_reservation_id: boolean,
          security_groups: { type: 'array', items: object({ name }) },
          user_data: base64,
          ...newerAttributes(minor),
        },
        ['name', 'flavorRef', ...(minor >= 37 ? ['networks'] : [])],
      ),
      'os:scheduler_hints': hints,
      'OS-SCH-HNT:scheduler_hints': hints,
    },
    ['server'],
  ),
);

export const serverUpdate = byVersion((minor) =>
  object(
    {
      server: object({
        name,
        'OS-DCF:diskConfig': diskConfig,
        accessIPv4: accessIp('ipv4'),
        accessIPv6: accessIp('ipv6'),
        ...(minor >= 19 ? { description } : {}),
        ...(minor >= 90 ? { hostname: hostnameAt(minor) } : {}),
      }),
    },
    ['server'],
  ),
);

export const rebuildSchema = byVersion((minor) =>
  object(
    {
      rebuild: object(
        {
          name,
          imageRef: uuid,
          adminPass: { type: 'string' },
          metadata,
          preserve_ephemeral: boolean,
          'OS-DCF:diskConfig': diskConfig,
          accessIPv4: accessIp('ipv4'),
          accessIPv6: accessIp('ipv6'),
          ...(minor >= 19 ? { description } : {}),
          ...(minor >= 54 ? { key_name: { anyOf: [name, { type: 'null' }] } } : {}),
          ...(minor < 57 ? { personality } : {}),
          ...(minor >= 57 ? { user_data: { anyOf: [base64, { type: 'null' }] } } : {}),
          ...(minor >= 63 ? { trusted_image_certificates: certificates } : {}),
          ...(minor >= 90 ? { hostname: hostnameAt(minor) } : {}),
        },
        ['imageRef'],
      ),
    },
    ['rebuild'],
  ),
);
