// What a file is by its first bytes, before it is sent to the image service; and web servers that say nothing.
import { get, getText } from '../../cli/src/stock/fetch';
import { headerOf } from '../../cli/src/stock/diskHeader';
import { qcow2Header } from '../support/qcow2';
import { startStockServer } from '../support/stockServer';

const bytes = (start: string, at = 0): Buffer => {
  const all = Buffer.alloc(40_000);
  all.write(start, at, 'latin1');
  return all;
};

test('disks that servers boot from have format and size', () => {
  expect(headerOf(qcow2Header({ size: 5n << 30n }), 104, 'd')).toEqual({ format: 'qcow2', virtualSize: 5 * 2 ** 30 });
  expect(headerOf(bytes(''), 3 * 2 ** 30, 'd')).toEqual({ format: 'raw', virtualSize: 3 * 2 ** 30 });
});

test.each([
  ['\x1f\x8b', 0, 'd is packed with gzip: try gunzip first'],
  ['\xfd7zXZ', 0, 'd is packed with xz: try unxz first'],
  ['\x28\xb5\x2f\xfd', 0, 'd is packed with zstd: try unzstd first'],
  ['KDMV', 0, 'd is a vmdk disk: try qemu-img convert -O qcow2 first'],
  ['\x7f\x10\xda\xbe', 64, 'd is a vdi disk: try qemu-img convert -O qcow2 first'],
  ['vhdxfile', 0, 'd is a vhdx disk'],
  ['CD001', 32_769, 'd is a CD, which servers do not boot from: try cumulet image create --disk-format iso first'],
  [' \n<!DOCTYPE html>', 0, 'd is a page of text, not a disk'],
  ['<?xml version="1.0"?>', 0, 'd is a page of text, not a disk'],
])('what begins with %j at %i is refused', (start, at, told) => {
  expect(() => headerOf(bytes(start, at), 40_000, 'd')).toThrow(told);
});

test('what is too short is no disk', () => {
  expect(() => headerOf(Buffer.from('QFI\xfb', 'latin1'), 4, 'd')).toThrow('d is no disk: it has 4 bytes');
});

test('a server that says nothing is given up, and an interruption is one', async () => {
  const silent = await startStockServer();
  try {
    silent.files.set('/x', () => undefined);
    const stop = new AbortController();
    await expect(get(`${silent.url}/x`, stop.signal, 0, 50)).rejects.toThrow(
      /was not reached \(nothing came for 0\.05 s\); where there is no way out/,
    );
    const waiting = [get(`${silent.url}/x`, stop.signal), getText(`${silent.url}/x`, stop.signal)];
    stop.abort();
    for (const one of waiting) await expect(one).rejects.toMatchObject({ name: 'AbortError' });
  } finally {
    silent.stop();
  }
});
