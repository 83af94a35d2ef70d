// What a host is asked to make of a server's disk: its size, what it stands on, and where the host put it.
import { destOf, diskFacts, diskOf, hostOf } from '../../controller/src/conductor/tasks/serverState';
import type { Server } from '../../controller/src/db/entities/compute';

const GIB = 1024 ** 3;
const image = { id: 'i', digest: 'sha512:0', format: 'qcow2', size: 1000, virtual_size: GIB / 2 };
const server = (format: string, disk: number): Server =>
  ({ id: 's', host: 'h1', image: { ...image, format }, flavor: { disk }, disk_revision: 3 }) as unknown as Server;

test.each([
  ['raw', 5, 'raw', 5 * GIB],
  ['qcow2', 5, 'qcow2', 5 * GIB],
  ['qcow2', 0, 'qcow2', GIB / 2],
])('an image in %s with a flavor of %d GiB makes a disk on %s of %d bytes', (format, disk, onto, size) => {
  expect(diskOf(server(format, disk))).toEqual({
    server_id: 's',
    image: { id: 'i', digest: 'sha512:0', format: onto, size: 1000 },
    size,
    revision: 3,
  });
});

test('a server without an image or without a host is refused in words', () => {
  expect(() => diskOf({ ...server('raw', 1), image: null })).toThrow('server s has no image to make its disk from');
  expect(() => hostOf({ ...server('raw', 1), host: null })).toThrow('server s has no host');
  expect(hostOf(server('raw', 1))).toBe('h1');
  expect(() => destOf({ uuid: 'm', dest_host: null })).toThrow('migration m has no host to go to');
});

test('the domain is told what the disk stands on when the host says it', () => {
  const backing = { path: '/images/i', format: 'raw' };
  expect(diskFacts({ path: '/disks/s' })).toEqual({ path: '/disks/s', format: 'qcow2' });
  expect(diskFacts({ path: '/disks/s', backing })).toEqual({ path: '/disks/s', format: 'qcow2', backing });
});
