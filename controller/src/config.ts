// The controller's configuration: every key, its meaning and its default.
import { Type, type Static } from '@sinclair/typebox';
import { DatabaseConfig } from './databaseConfig';
import { RemoteApiConfig } from './remoteApi/config';

const limit = (value: number, description: string) =>
  Type.Integer({ default: value, minimum: -1, description: `${description} -1: no limit.` });

/** Host names and addresses, IPv6 ones too. */
const NAME = '^[A-Za-z0-9.:-]{1,253}$';

export const ControllerConfig = Type.Object(
  {
    /** Address and port of the API. */
    listen: Type.String({ default: '127.0.0.1', description: 'Address the API listens on.' }),
    port: Type.Integer({ default: 5000, minimum: 0, maximum: 65535, description: 'TCP port of the API.' }),
    remote_api: Type.Union([RemoteApiConfig, Type.Null()], {
      default: null,
      description: 'Where the API listens besides, with TLS, for other machines.',
    }),
    names: Type.Array(Type.String({ pattern: NAME }), {
      default: [],
      description: 'More names and addresses by which callers reach the API, as those of a proxy.',
    }),
    endpoint: Type.Union([Type.String({ pattern: '^https?://[^/]+$' }), Type.Null()], {
      default: null,
      description: 'URL that links name when a caller used none of our names; the address reached unless set.',
    }),
    data_dir: Type.String({
      default: '/var/lib/cumulet',
      description: 'Where the SQLite file and the image bytes are.',
    }),
    database: DatabaseConfig,
    region: Type.String({ default: 'RegionOne', description: 'Name of the one region in the catalog.' }),
    bootstrap_file: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: 'JSON file with admin_password, read when the cloud is made.',
    }),
    policy_file: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description: 'YAML file with policy rules that override the defaults.',
    }),
    token_lifetime: Type.Integer({ default: 3600, minimum: 60, description: 'Seconds that a token is valid.' }),
    token_key_lifetime: Type.Integer({
      default: 30 * 86_400,
      minimum: 60,
      description: 'Seconds after which the key that signs tokens is replaced.',
    }),
    token_key_file: Type.Union([Type.String(), Type.Null()], {
      default: null,
      description:
        'File with the secret that encrypts the keys that sign tokens, the same at all controllers; data_dir/token-keys.secret unless set.',
    }),
    lockout_attempts: Type.Integer({
      default: 10,
      minimum: 0,
      description: 'Failed logins in a row that lock an account; 0 never locks.',
    }),
    lockout_seconds: Type.Integer({
      default: 300,
      minimum: 1,
      description: 'Seconds that a locked account stays locked.',
    }),
    password_cost: Type.Integer({
      default: 15,
      minimum: 10,
      maximum: 20,
      description: 'scrypt cost as a power of two (r = 8, p = 1).',
    }),
    ratios: Type.Object(
      {
        vcpus: Type.Number({ default: 8, description: 'Virtual CPUs given out per CPU of a host.' }),
        memory: Type.Number({ default: 1, description: 'Memory given out per memory of a host.' }),
        disk: Type.Number({ default: 1, description: 'Disk given out per disk of a host.' }),
      },
      { default: {}, additionalProperties: false },
    ),
    image: Type.Object(
      {
        dir: Type.Union([Type.String(), Type.Null()], {
          default: null,
          description: 'Directory of image bytes, shared by all controllers; data_dir/images unless set.',
        }),
        max_images: limit(200, 'Images a project may have.'),
        max_total_mib: limit(204_800, 'MiB that the images of a project may have together.'),
        max_staged_mib: limit(51_200, 'MiB that a project may have staged for import.'),
        max_uploads: limit(16, 'Uploads and imports that a project may have under way.'),
        max_image_mib: Type.Integer({ default: 1_048_576, minimum: 1, description: 'MiB of the largest image.' }),
        max_properties: limit(128, 'Custom properties of an image.'),
        max_tags: limit(128, 'Tags of an image.'),
        max_members: limit(128, 'Projects an image may be shared with.'),
        keep_free_mib: Type.Integer({
          default: 512,
          minimum: 0,
          description: 'MiB that uploads leave free on the disk, because the database is there too.',
        }),
      },
      { default: {}, additionalProperties: false },
    ),
    fence_command: Type.Union([Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }), Type.Null()], {
      default: null,
      description:
        'Program and arguments, run without a shell and with the name of a host appended, that turn this host off; exit code 0 says that it is off. Evacuations need it.',
    }),
    // A step of a task has 45 s.
    fence_timeout: Type.Integer({
      default: 30,
      minimum: 1,
      maximum: 40,
      description: 'Seconds after which the fencing command is killed and has failed.',
    }),
    shelved_offload_time: Type.Integer({
      default: 0,
      minimum: -1,
      description:
        'Seconds after which a shelved server leaves its host, where it holds disk and room until then; 0: at once, -1: only when it is told to.',
    }),
    live_migration: Type.Object(
      {
        timeout: Type.Integer({
          default: 3600,
          minimum: 1,
          description:
            'Seconds that the memory and disks of a server may take to its new host before something is done.',
        }),
        timeout_action: Type.Union([Type.Literal('abort'), Type.Literal('force_complete')], {
          default: 'abort',
          description: 'What is done then: the server stays where it is, or it is stopped until it is there.',
        }),
        auto_converge: Type.Boolean({
          default: true,
          description: 'Whether a guest is slowed down that writes faster than its memory can be sent.',
        }),
        bandwidth: Type.Integer({
          default: 0,
          minimum: 0,
          description: 'MiB per second of one migration; 0: no limit.',
        }),
      },
      { default: {}, additionalProperties: false },
    ),
    durable: Type.Boolean({ default: true, description: 'Whether a commit to SQLite waits for the disk.' }),
  },
  { additionalProperties: false },
);
export type ControllerConfig = Static<typeof ControllerConfig>;
