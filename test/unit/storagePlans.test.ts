// The storage agent's decisions: what to do with a disk, which cached images go, which headers are refused.
import { diskPlan, type DiskAction, type ObservedFile } from '../../storage-agent/src/diskPlan';
import { evictionPlan, type CachedImage } from '../../storage-agent/src/evictionPlan';
import { diskFull, fileFault, isFull } from '../../storage-agent/src/faults';
import { imagePath, parseName, serverDirectory, snapshotPath } from '../../storage-agent/src/layout';
import { parseQcow2Header } from '../../storage-agent/src/qcow2Header';
import { diskSource } from '../../storage-agent/src/snapshots';
import { CommandError, HostError } from '@cumulet/common';
import { qcow2Header } from '../support/qcow2';

const disk = (revision: number, virtualSize: number | undefined, fileSize = 200_000): ObservedFile => ({
  name: `disk-r${revision}.qcow2`,
  virtualSize,
  fileSize,
});
const base = (revision: number): ObservedFile => ({ name: `base-r${revision}`, fileSize: 1000 });
const create: DiskAction = { kind: 'create', revision: 2, size: 100 };
const remove = (name: string): DiskAction => ({ kind: 'remove', name });

test.each<[string, ObservedFile[], DiskAction[]]>([
  ['nothing there: made', [], [create]],
  ['there and right: nothing to do', [disk(2, 100), base(2)], []],
  ['smaller than wanted: grown', [disk(2, 50), base(2)], [{ kind: 'grow', name: 'disk-r2.qcow2', size: 100 }]],
  [
    'another revision: the new one first, then the old one removed',
    [disk(1, 100), base(1)],
    [create, remove('disk-r1.qcow2'), remove('base-r1')],
  ],
  ['killed after the link: made again', [base(2)], [create]],
  [
    'killed while the overlay was written: made again, the rest removed',
    [base(2), { name: 'disk-r2.qcow2.part', fileSize: 5 }],
    [create, remove('disk-r2.qcow2.part')],
  ],
  [
    'power lost before its first bytes: made again',
    [disk(2, undefined, 0), base(2)],
    [remove('disk-r2.qcow2'), create],
  ],
])('disk plan, %s', (_, observed, actions) => {
  expect(diskPlan({ revision: 2, size: 100 }, observed)).toEqual(actions);
});

test('the other side of a resize stays, what belongs to nothing goes', () => {
  const others = [disk(1, 50), base(1), disk(3, 100), base(3), { name: 'disk-r1.qcow2.part', fileSize: 5 }];
  expect(diskPlan({ revision: 2, size: 100, keep: [1] }, [disk(2, 100), base(2), ...others])).toEqual([
    remove('disk-r3.qcow2'),
    remove('base-r3'),
    remove('disk-r1.qcow2.part'),
  ]);
});

test.each<[string, ObservedFile[], string]>([
  ['larger than wanted', [disk(2, 200), base(2)], 'disk_cannot_shrink'],
  ['without a qcow2 header', [disk(2, undefined), base(2)], 'disk_damaged'],
  ['without the image it stands on', [disk(2, 100)], 'disk_damaged'],
])('a disk %s is left alone and explained', (_, observed, code) => {
  expect(() => diskPlan({ revision: 2, size: 100 }, observed)).toThrow(
    expect.objectContaining({ code, retryable: false }),
  );
});

const HOUR = 3_600_000;
const now = 100 * HOUR;
const image = (digest: string, ageHours: number, changes: Partial<CachedImage> = {}): CachedImage => ({
  digest,
  size: 10,
  usedAt: now - ageHours * HOUR,
  inUse: false,
  ...changes,
});
const limits = { keepMs: 24 * HOUR, minFreeBytes: 50 };

test.each<[string, CachedImage[], { free: number; needed?: number }, string[]]>([
  ['young images stay while there is room', [image('a', 1)], { free: 50 }, []],
  ['old ones go', [image('a', 25), image('b', 1)], { free: 50 }, ['a']],
  ['an image in use stays however old', [image('a', 99, { inUse: true })], { free: 0 }, []],
  ['one used a moment ago stays: its disk may be in the making', [image('a', 0.01)], { free: 0 }, []],
  [
    'short of room the longest unused go first, only as many as needed',
    [image('a', 1), image('b', 3), image('c', 2)],
    { free: 31 },
    ['b', 'c'],
  ],
  ['room for what is about to be written counts', [image('a', 1)], { free: 100, needed: 51 }, ['a']],
])('eviction: %s', (_, images, { free, needed = 0 }, gone) => {
  expect(evictionPlan(images, { free, needed, now }, limits)).toEqual(gone);
});

test.each([
  ['plain version 3', qcow2Header(), undefined],
  ['version 2', qcow2Header({ version: 2 }).subarray(0, 72), undefined],
  ['extended L2 entries and compression type', qcow2Header({ features: 0b11001n }), undefined],
  ['backing file', qcow2Header({ backingOffset: 512n }), 'it has a backing file'],
  ['external data file', qcow2Header({ features: 4n }), 'it has an external data file'],
  ['encryption', qcow2Header({ encryption: 2 }), 'it is encrypted'],
  ['corrupt bit', qcow2Header({ features: 2n }), 'it is marked corrupt or uses unknown features'],
  ['unknown feature', qcow2Header({ features: 1n << 40n }), 'it is marked corrupt or uses unknown features'],
])('a qcow2 header with %s', (_, bytes, danger) => {
  const overlayDanger = danger === 'it has a backing file' ? undefined : danger;
  expect(parseQcow2Header(bytes)).toEqual({ virtualSize: 1 << 20, danger, overlayDanger });
});

test.each([
  ['another magic', qcow2Header({ magic: 1 })],
  ['a version from the future', qcow2Header({ version: 4 })],
  ['a version 3 header cut short', qcow2Header().subarray(0, 80)],
  ['hardly any bytes', Buffer.from('QFI')],
])('%s is no qcow2 header', (_, bytes) => {
  expect(parseQcow2Header(bytes)).toBeUndefined();
});

test('file names come only from digests and ids', () => {
  expect(imagePath('/d', 'a'.repeat(128))).toBe(`/d/images/${'a'.repeat(128)}`);
  expect(() => imagePath('/d', '../../etc/passwd')).toThrow(expect.objectContaining({ code: 'bad_digest' }));
  expect(() => serverDirectory('/d', '..')).toThrow(expect.objectContaining({ code: 'bad_server_id' }));
  expect(parseName('disk-r12.qcow2')).toEqual({ kind: 'disk', revision: 12 });
  expect(parseName('base-r3')).toEqual({ kind: 'base', revision: 3 });
  expect(parseName('disk-r12.qcow2.part')).toBeUndefined();
});

test('a full disk is told from other failures, without paths of the host', () => {
  const full = Object.assign(new Error("ENOSPC: write '/x/y'"), { code: 'ENOSPC' });
  const tool = new CommandError(['qemu-img'], 1, '', 'qemu-img: /x/y: Could not write: No space left on device');
  const other = new CommandError(['qemu-img'], 1, '', 'qemu-img: /x/y: broken');
  expect([full, tool, other, new Error('x')].map(isFull)).toEqual([true, true, false, false]);
  expect(fileFault('f', 'the image', 'it failed', full)).toMatchObject({
    code: 'disk_full',
    message: 'there is not enough space on the host for the image',
    retryable: true,
  });
  expect(fileFault('f', 'the image', 'it failed', other)).toMatchObject({ code: 'f', message: 'it failed' });
  const known = new HostError('k', 'known', { retryable: false });
  expect(fileFault('f', 'the image', 'it failed', known)).toBe(known);
});

test('how much is needed and how much is free is said when it is known', () => {
  const fault = diskFull('the image', undefined, { needed: 1.5 * 1024 * 1024, free: 1000 });
  expect(fault.message).toBe(
    'there is not enough space on the host for the image: 2 MiB are needed and 1 MiB are free',
  );
  expect(fault.facts).toEqual({ needed: 1.5 * 1024 * 1024, free: 1000 });
});

test('a disk is named with every file and format, so that no header has to be believed', () => {
  const source = (format: 'qcow2' | 'raw'): unknown =>
    JSON.parse(diskSource('/d/disk', '/d/base', format).slice('json:'.length));
  const disk = { driver: 'qcow2', file: { driver: 'file', filename: '/d/disk' } };
  const file = { driver: 'file', filename: '/d/base' };
  expect(source('raw')).toEqual({ ...disk, backing: { driver: 'raw', file } });
  expect(source('qcow2')).toEqual({ ...disk, backing: { driver: 'qcow2', file, backing: null } });
});

test('a snapshot has a name of its own, which no disk has, and no id becomes another path', () => {
  const id = '11111111-1111-4111-8111-111111111111';
  expect(snapshotPath('/d', id, id)).toBe(`/d/disks/${id}/snapshot-${id}.qcow2`);
  expect(parseName(`snapshot-${id}.qcow2`)).toBeUndefined();
  expect(() => snapshotPath('/d', id, '../x')).toThrow('not a UUID');
});
