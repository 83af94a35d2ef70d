// Guests that write headers of disk formats into their disks: real qemu-img opens nothing by what they claim to be.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId, type DiskEnsure } from '@cumulet/common';
import { GIB, holds, info, storageScene } from '../support/storageScene';

const scene = storageScene();
const { qcow2Image, upload } = scene;

describe.each(['qcow2', 'raw'] as const)('a guest on a %s image that writes headers of disk formats', (format) => {
  const SECRET = Buffer.alloc(1 << 20, 0x77);
  let secret: string;
  /** What the guest writes where its disk begins: a whole qcow2 file whose base is a file of the host. */
  let header: Buffer;
  let id: string;
  let disk: string;
  let body: DiskEnsure;
  beforeEach(async () => {
    secret = join(scene.dir, 'secret');
    writeFileSync(secret, SECRET);
    const made = join(scene.dir, 'header.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', secret, made]);
    header = Buffer.alloc(256 << 10);
    readFileSync(made).copy(header);
    const written = join(scene.dir, 'header');
    writeFileSync(written, header);
    // Opened by what it claims to be, it leads to the secret.
    expect(holds(written, 0x77)).toBe(true);

    id = newId();
    const image = upload(format === 'qcow2' ? qcow2Image('64M') : Buffer.alloc(1 << 20, 0x5a), format);
    body = { server_id: id, image, size: GIB, revision: 1 };
    disk = String((await scene.driver.run('disk.ensure', id, body)).observed['path']);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -s ${written} 0 256k`, disk]);
  });

  /** The first bytes of a qcow2 file's disk, as its guest sees them. */
  function firstBytes(path: string): Buffer {
    const seen = join(scene.dir, 'seen.raw');
    execFileSync('qemu-img', ['dd', '-f', 'qcow2', '-O', 'raw', 'bs=256k', 'count=1', `if=${path}`, `of=${seen}`]);
    return readFileSync(seen);
  }

  /** No file was opened by what its first bytes claim, nor without limits. */
  function expectFormats(used: readonly string[]): void {
    const formats: Record<string, RegExp> = {
      create: / -f qcow2 -u -F (qcow2|raw) -b base-r1 /,
      resize: / -f qcow2 /,
      convert: / -O qcow2 json:\{"driver":"qcow2","file":\{"driver":"file",.*"backing":\{"driver":"(qcow2|raw)",/,
    };
    const calls = scene.commands.filter((argv) => argv.includes('qemu-img')).map((argv) => argv.join(' '));
    const verbOf = (call: string): string => / qemu-img (\w+) /.exec(call)?.[1] ?? call;
    expect(calls.map(verbOf)).toEqual(used);
    for (const call of calls) {
      expect(call).toMatch(/^prlimit --as=1073741824 --cpu=\d+ --core=0 -- qemu-img /);
      expect(call).toMatch(formats[verbOf(call)] ?? 'a call that no format is asserted of');
    }
  }

  test('CVE-2015-7548, CVE-2016-2140: gets nothing of the host into a snapshot', async () => {
    const image_id = newId();
    const snapshot = { server_id: id, image_id, revision: 1, base_format: format };
    for (const step of ['prepare', 'flatten', 'upload'] as const)
      expect(await scene.driver.run(`snapshot.${step}`, id, snapshot)).toMatchObject({ fault: null });
    const stored = join(scene.dir, 'stored.qcow2');
    writeFileSync(stored, scene.api.stored.get(image_id) ?? '');
    expect(info(stored)).not.toHaveProperty('backing-filename');
    expect(firstBytes(stored).equals(header)).toBe(true);
    expect(readFileSync(stored).includes(SECRET.subarray(0, 4096))).toBe(false);
    expectFormats(['create', 'convert']);
  });

  test('CVE-2026-24708: changes nothing of the host when its disk grows', async () => {
    expect(await scene.driver.run('disk.ensure', id, { ...body, size: 2 * GIB })).toMatchObject({ fault: null });
    expect(info(disk)).toMatchObject({
      'virtual-size': 2 * GIB,
      'full-backing-filename': join(scene.dir, 'disks', id, 'base-r1'),
      'backing-filename-format': format,
    });
    expect(firstBytes(disk).equals(header)).toBe(true);
    expect(readFileSync(secret).equals(SECRET)).toBe(true);
    expectFormats(['create', 'resize']);
  });

  test('CVE-2026-24708: a disk whose file has become one of another format is not opened', async () => {
    const other = `# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "${secret}" 0\n`;
    writeFileSync(disk, other);
    const grown = await scene.driver.run('disk.ensure', id, { ...body, size: 2 * GIB });
    expect(grown.fault).toMatchObject({ code: 'disk_damaged', retryable: false });
    expect(readFileSync(disk, 'utf8')).toBe(other);
    expect(readFileSync(secret).equals(SECRET)).toBe(true);
    expectFormats(['create']);
  });
});
