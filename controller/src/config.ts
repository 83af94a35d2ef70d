// The controller's configuration: every key, its meaning and its default.
import { Type, type Static } from '@sinclair/typebox';

export const ControllerConfig = Type.Object(
  {
    /** Address and port of the API. */
    listen: Type.String({ default: '127.0.0.1', description: 'Address the API listens on.' }),
    port: Type.Integer({ default: 5000, minimum: 0, maximum: 65535, description: 'TCP port of the API.' }),
    data_dir: Type.String({ default: '/var/lib/cumulet', description: 'Where the database and the image bytes are.' }),
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
    durable: Type.Boolean({ default: true, description: 'Whether a commit waits for the disk.' }),
  },
  { additionalProperties: false },
);
export type ControllerConfig = Static<typeof ControllerConfig>;
