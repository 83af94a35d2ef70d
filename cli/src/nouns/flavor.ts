// cumulet flavor.
import type { Command } from '../command';
import { int, marks, pairs, sets, str, unmarks, unmarksAll } from '../fields';
import { nounCommands, paging } from '../noun';
import { idFor } from '../resource';
import { flavor, project } from './resources';

const isPublic = (yes: boolean) => ({ 'os-flavor-access:is_public': yes });
const projectId = { read: (name: string, { api }: { api: Parameters<typeof idFor>[0] }) => idFor(api, project, name) };
const property = pairs('extra_specs', 'a property of it');
const granted = marks('access', 'project that may use it when it is private', 'PROJECT', projectId);

export const commands: readonly Command[] = nounCommands(flavor, {
  example: 'm1.tiny',
  list: {
    columns: {
      ID: 'id',
      Name: 'name',
      RAM: 'ram',
      Disk: 'disk',
      Ephemeral: 'OS-FLV-EXT-DATA:ephemeral',
      VCPUs: 'vcpus',
      'Is Public': 'os-flavor-access:is_public',
    },
    long: { Swap: 'swap', 'RXTX Factor': 'rxtx_factor', Properties: 'extra_specs' },
    filters: {
      public: sets({ is_public: 'True' }, 'only public ones'),
      private: sets({ is_public: 'False' }, 'only private ones'),
      all: sets({ is_public: 'None' }, 'both'),
      'min-disk': int('minDisk', 'only with at least this disk', 'GIB'),
      'min-ram': int('minRam', 'only with at least this memory', 'MIB'),
      ...paging,
    },
  },
  create: {
    example: '--vcpus 1 --ram 256 --disk 1 m1.tiny',
    fixed: { vcpus: 1, ram: 256, disk: 0 },
    options: {
      vcpus: int('vcpus', 'processors (1)'),
      ram: int('ram', 'memory in MiB (256)', 'MIB'),
      disk: int('disk', 'disk in GiB (0: as large as the image)', 'GIB'),
      ephemeral: int('OS-FLV-EXT-DATA:ephemeral', 'second disk in GiB', 'GIB'),
      swap: int('swap', 'swap in MiB', 'MIB'),
      'rxtx-factor': str('rxtx_factor', 'factor of traffic', 'FACTOR', { read: Number }),
      id: str('id', 'its id', 'ID', { put: ([id]) => (id === 'auto' ? {} : { id }) }),
      description: str('description', 'what it is for'),
      public: sets(isPublic(true), 'every project may use it'),
      private: sets(isPublic(false), 'only projects that are given access'),
      property,
      project: granted,
    },
  },
  set: {
    example: '--property hw:cpu_policy=shared m1.tiny',
    options: {
      'no-property': unmarksAll('extra_specs', 'take all properties away'),
      property,
      description: str('description', 'what it is for'),
      project: granted,
    },
  },
  unset: {
    example: '--property hw:cpu_policy m1.tiny',
    options: {
      property: unmarks('extra_specs', 'a property to take away', 'KEY'),
      project: unmarks('access', 'project that may use it no longer', 'PROJECT', projectId),
    },
  },
});
