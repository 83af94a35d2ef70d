// The storage agent's configuration: every key, its meaning and its default.
import { Type, type Static } from '@sinclair/typebox';

export const StorageConfig = Type.Object(
  {
    dir: Type.String({ default: '/var/lib/cumulet/host', description: 'Where cached images and disks are.' }),
    shared_disks: Type.Union([Type.String({ pattern: '^/' }), Type.Null()], {
      default: null,
      description:
        'Directory for cached images and disks instead of dir, which several hosts mount at the same path; it must hold the file .cumulet-disks with a UUID.',
    }),
    image_keep_seconds: Type.Integer({
      default: 86_400,
      minimum: 60,
      description: 'How long an image that no disk uses stays cached.',
    }),
    min_free_mib: Type.Integer({
      default: 2048,
      minimum: 0,
      description: 'Free space below which unused images go however young they are.',
    }),
  },
  { additionalProperties: false },
);
export type StorageConfig = Static<typeof StorageConfig>;
