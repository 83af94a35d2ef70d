// A guest whose disk can't be written: the host's filesystem is full, libvirt tells, and the guest goes on when there is room.
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec } from '@cumulet/common';
import { LibvirtClient } from '@cumulet/libvirt';
import type { EventMap } from '@cumulet/libvirt';
import { serialEchoBootSector } from '../support/bootSector';
import { startPrivateLibvirtd } from '../support/privateLibvirtd';
import type { PrivateLibvirtd } from '../support/privateLibvirtd';

const uuid = randomUUID();
const name = `cml-test-ioerror-${uuid.slice(0, 8)}`;
let daemon: PrivateLibvirtd;
let directory: string;
let client: LibvirtClient;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cml-test-ioerror-'));
  await chmod(directory, 0o755);
  await mkdir(join(directory, 'small'));
  await exec(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0777', 'tmpfs', join(directory, 'small')]);
  await writeFile(join(directory, 'boot.raw'), serialEchoBootSector('READY'));
  await writeFile(join(directory, 'small/data.raw'), '');
  await truncate(join(directory, 'small/data.raw'), 1 << 20);
  // A disk of 1 MiB without a block of its own, on a filesystem that has none left.
  await writeFile(join(directory, 'small/filler'), Buffer.alloc(64 << 10)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOSPC') throw error;
  });
  // After the mount, which its view of the machine then contains.
  daemon = await startPrivateLibvirtd();
  client = await LibvirtClient.connect({ socketPath: daemon.socketPath });
  // The BIOS offers its guests only disks that have a place in the boot order.
  await client.defineDomain(`<domain type='qemu'>
    <name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
    <os><type arch='x86_64'>hvm</type></os>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${directory}/boot.raw'/>
        <target dev='vda' bus='virtio'/><boot order='1'/></disk>
      <disk type='file' device='disk'><driver name='qemu' type='raw' error_policy='stop'/>
        <source file='${directory}/small/data.raw'/><target dev='vdb' bus='virtio'/><boot order='2'/></disk>
      <serial type='pty'/>
    </devices>
  </domain>`);
});
afterAll(async () => {
  await client?.destroyDomain(uuid);
  await client?.undefineDomain(uuid);
  await client?.close();
  await daemon?.stop();
  await exec(['umount', join(directory, 'small')]);
  await rm(directory, { recursive: true, force: true });
});

test('a full filesystem pauses the guest, is told with its reason, and the guest goes on when there is room', async () => {
  await client.startDomain(uuid, { paused: true });
  const stream = await client.openConsole(uuid);
  let seen = '';
  const text = (wanted: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => (seen.includes(wanted) ? resolve() : void stream.once('data', () => setImmediate(look)));
      look();
    });
  stream.on('data', (chunk: Buffer) => (seen += chunk.toString('latin1')));
  await client.resumeDomain(uuid);
  await text('READY');

  const failed = new Promise<EventMap['ioError']>((resolve) => {
    client.on('ioError', (event) => (event.domain.uuid === uuid ? resolve(event) : undefined));
  });
  const suspended = new Promise<string>((resolve) => {
    client.on('lifecycle', ({ domain, event, detail }) =>
      domain.uuid === uuid && event === 'suspended' ? resolve(detail) : undefined,
    );
  });
  stream.write('#');
  expect(await failed).toMatchObject({ path: `${directory}/small/data.raw`, action: 'pause', reason: 'enospc' });
  expect(await suspended).toBe('io-error');
  expect(await client.domainState(uuid)).toEqual({ state: 'paused', reason: 5 });

  await rm(join(directory, 'small/filler'));
  await client.resumeDomain(uuid);
  stream.write('written');
  await text('written');
  stream.destroy();
});
