// The writer of uploads: every byte at its place, right digests, and failures that are told.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createByteWriter } from '../../controller/src/services/image/byteWriter';
import { startHashThreads } from '../../controller/src/services/image/hashThread';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cumulet-writer-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ['nothing', 0, 1, 0],
  ['a few bytes', 100, 7, 100],
  ['exactly one piece', 1024 * 1024, 65_536, 1024 * 1024],
  ['more than all pieces, of unknown size', 9_000_001, 65_521, undefined],
  ['large chunks', 9_000_001, 3_000_000, undefined],
])('%s', async (_name, size, chunk, announced) => {
  const bytes = randomBytes(size);
  const path = join(directory, 'file');
  const file = await open(path, 'w');
  const writer = createByteWriter(file, announced);
  for (let at = 0; at < size; at += chunk) await writer.add(bytes.subarray(at, at + chunk));
  const digests = await writer.finish();
  await writer.close();
  await file.close();
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(digests).toEqual({
    checksum: createHash('md5').update(bytes).digest('hex'),
    digest: createHash('sha512').update(bytes).digest('hex'),
  });
});

test.each([100, undefined])(
  'a write that fails is told at the latest at the end (announced: %s)',
  async (announced) => {
    const file = await open('/dev/null', 'r');
    const writer = createByteWriter(file, announced);
    const work = async (): Promise<void> => {
      for (let at = 0; at < 10; at++) await writer.add(Buffer.alloc(1024 * 1024));
      await writer.finish();
    };
    await expect(work()).rejects.toMatchObject({ code: 'EBADF' });
    await writer.close();
    await file.close();
  },
);

test('threads that have ended refuse work instead of waiting', async () => {
  const threads = startHashThreads();
  await threads.update(new Uint8Array(new SharedArrayBuffer(10)));
  await threads.stop();
  await expect(threads.update(new Uint8Array(1))).rejects.toThrow('has ended');
});
