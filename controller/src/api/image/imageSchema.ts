// The schema of an image: what POST and PATCH accept, and what /schemas/image shows.
type Property = Readonly<Record<string, unknown>>;

export const UUID_PATTERN = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$';

const DISK_FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'];
const CONTAINER_FORMATS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'];

/** Largest value of the integer attributes. */
export const MAX_INTEGER = 2_147_483_647;

const readOnly = (type: unknown, description: string, more: Property = {}): Property => ({
  type,
  readOnly: true,
  description,
  ...more,
});

/** The base attributes of an image; everything else on it is a custom property. */
const imageAttributes: Readonly<Record<string, Property>> = {
  id: { type: 'string', description: 'Identifier of the image', pattern: UUID_PATTERN },
  name: { type: ['null', 'string'], description: 'Name of the image', maxLength: 255 },
  status: readOnly('string', 'Where the image is in its life', {
    enum: [
      'queued',
      'saving',
      'active',
      'killed',
      'deleted',
      'uploading',
      'importing',
      'pending_delete',
      'deactivated',
    ],
  }),
  visibility: {
    type: 'string',
    description: 'Who may use the image',
    enum: ['community', 'public', 'private', 'shared'],
  },
  protected: { type: 'boolean', description: 'Whether the image is kept from being deleted' },
  os_hidden: { type: 'boolean', description: 'Whether the image is left out of lists that do not ask for hidden ones' },
  checksum: readOnly(['null', 'string'], 'MD5 of the image data', { maxLength: 32 }),
  os_hash_algo: readOnly(['null', 'string'], 'Algorithm of os_hash_value', { maxLength: 64 }),
  os_hash_value: readOnly(['null', 'string'], 'Hash of the image data, hexadecimal', { maxLength: 128 }),
  owner: { type: ['null', 'string'], description: 'Project that owns the image', maxLength: 255 },
  size: readOnly(['null', 'integer'], 'Bytes of the image data'),
  virtual_size: readOnly(['null', 'integer'], 'Bytes of the disk that the image describes'),
  container_format: {
    type: ['null', 'string'],
    description: 'Format of the container',
    enum: [null, ...CONTAINER_FORMATS],
  },
  disk_format: { type: ['null', 'string'], description: 'Format of the disk', enum: [null, ...DISK_FORMATS] },
  created_at: readOnly('string', 'When the image was created'),
  updated_at: readOnly('string', 'When the image was last changed'),
  tags: { type: 'array', description: 'Labels of the image', items: { type: 'string', maxLength: 255 } },
  direct_url: readOnly('string', 'Address of the data in an external store'),
  min_ram: { type: 'integer', description: 'MB of memory that a server of this image needs' },
  min_disk: { type: 'integer', description: 'GB of disk that a server of this image needs' },
  self: readOnly('string', 'Path of the image'),
  file: readOnly('string', 'Path of the image data'),
  stores: readOnly('string', 'Stores that hold the data, separated by commas'),
  schema: readOnly('string', 'Path of this schema'),
  locations: {
    type: 'array',
    description: 'Addresses of the data in external stores',
    items: {
      type: 'object',
      properties: { url: { type: 'string', maxLength: 255 }, metadata: { type: 'object' } },
      required: ['url', 'metadata'],
    },
  },
};

/** The whole schema, as shown and as checked. */
export const imageSchema = {
  name: 'image',
  properties: imageAttributes,
  additionalProperties: { type: 'string' },
  links: [
    { rel: 'self', href: '{self}' },
    { rel: 'enclosure', href: '{file}' },
    { rel: 'describedby', href: '{schema}' },
  ],
};
