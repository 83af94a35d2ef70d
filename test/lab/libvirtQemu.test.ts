// The client against real guests: an emulated machine whose boot sector talks on its serial port.
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Affect, BlockCopyFlag, ErrorCode, LibvirtClient, Stats, XmlFlag } from '@cumulet/libvirt';
import type { EventMap, EventName, VirStream } from '@cumulet/libvirt';
import { serialEchoBootSector } from '../support/bootSector';
import { startPrivateLibvirtd } from '../support/privateLibvirtd';
import type { PrivateLibvirtd } from '../support/privateLibvirtd';

const uuid = randomUUID();
const name = `cml-test-libvirt-${uuid.slice(0, 8)}`;
let daemon: PrivateLibvirtd;
let directory: string;
let client: LibvirtClient;

const domainXml = (): string => `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${directory}/boot.raw'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${directory}/data.qcow2'/>
      <target dev='vdb' bus='virtio'/></disk>
    <controller type='usb' model='qemu-xhci'/>
    <serial type='pty'/><video><model type='cirrus' vram='16384'/></video>
  </devices>
</domain>`;
const usbDisk = (): string => `<disk type='file' device='disk'><driver name='qemu' type='raw'/>
  <source file='${directory}/usb.raw'/><target dev='sda' bus='usb'/><alias name='ua-usb'/></disk>`;

/** The next event of this domain; listen before causing it. */
function next<N extends EventName>(
  event: N,
  wanted: (value: EventMap[N]) => boolean = () => true,
): Promise<EventMap[N]> {
  return new Promise((resolve) => {
    const listener = ({ name: got, ...value }: { name: EventName; domain: { uuid: string } }): void => {
      if (got !== event || value.domain.uuid !== uuid || !wanted(value as EventMap[N])) return;
      client.off('event', listener);
      resolve(value as EventMap[N]);
    };
    client.on('event', listener);
  });
}

/** Reads until `text` was seen. */
async function expectText(stream: VirStream, text: string): Promise<void> {
  let seen = '';
  await new Promise<void>((resolve, reject) => {
    const listener = (chunk: Buffer): void => {
      seen += chunk.toString('latin1');
      if (!seen.includes(text)) return;
      stream.off('data', listener);
      resolve();
    };
    stream.on('data', listener).once('error', reject);
    stream.once('end', () => reject(new Error(`the console ended after ${JSON.stringify(seen)}`)));
  });
}

beforeAll(async () => {
  daemon = await startPrivateLibvirtd();
  directory = join(daemon.directory, 'guest');
  await mkdir(directory);
  // QEMU runs as a user of its own and makes files here.
  await chmod(directory, 0o777);
  await writeFile(join(directory, 'boot.raw'), serialEchoBootSector('READY'));
  await writeFile(join(directory, 'base.raw'), Buffer.alloc(4 << 20, 7));
  await writeFile(join(directory, 'usb.raw'), Buffer.alloc(1 << 20));
  client = await LibvirtClient.connect({ socketPath: daemon.socketPath });
  const pool = await client.createPool(
    `<pool type='dir'><name>${name}</name><target><path>${directory}</path></target></pool>`,
  );
  await client.createVolume(
    pool,
    `<volume><name>data.qcow2</name><capacity unit='MiB'>4</capacity><target><format type='qcow2'/></target>
      <backingStore><path>${directory}/base.raw</path><format type='raw'/></backingStore></volume>`,
  );
  await client.destroyPool(pool);
  // A daemon that sees its emulator for the first time examines it, which may take a minute.
  await client.defineDomain(domainXml());
  await client.startDomain(uuid, { paused: true });
});

afterAll(async () => {
  await client?.undefineDomain(uuid);
  await client?.destroyDomain(uuid);
  await client?.close();
  await daemon?.stop();
});

describe('the host', () => {
  test('has a hypervisor, processors and memory', async () => {
    expect(await client.hypervisorType()).toBe('QEMU');
    expect((await client.version()).hypervisor).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await client.freeMemory()).toBeGreaterThan(0);
    expect(Object.keys(await client.nodeCpuStats()).sort()).toEqual(['idle', 'iowait', 'kernel', 'user']);
    expect((await client.nodeMemoryStats())['total']).toBeGreaterThan(0n);
    expect(await client.freePages([4])).toHaveLength(1);
  });

  test('says which guests and processors it can offer', async () => {
    const choice = { arch: 'x86_64', virtType: 'qemu' };
    expect(await client.domainCapabilities(choice)).toContain('<domainCapabilities>');
    expect(await client.cpuModelNames('x86_64')).toContain('qemu64');
    const cpu = "<cpu match='exact'><model>qemu64</model></cpu>";
    expect(['identical', 'superset', 'incompatible']).toContain(await client.compareCpu(cpu, choice));
    expect(await client.baselineCpu(['<cpu><model>qemu64</model></cpu>'], choice)).toContain('<cpu');
  });
});

describe('a guest that runs', () => {
  test('talks on its console, both ways', async () => {
    const stream = await client.openConsole(uuid);
    const ready = expectText(stream, 'READY');
    await client.resumeDomain(uuid);
    await ready;
    const echoed = expectText(stream, 'hello, guest');
    stream.write('hello, guest');
    await echoed;
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.end();
    await closed;
  });

  test('has one user of its console at a time, unless that is taken over', async () => {
    const first = await client.openConsole(uuid);
    first.on('error', () => undefined).resume();
    await expect(client.openConsole(uuid)).rejects.toMatchObject({ code: ErrorCode.OPERATION_FAILED });
    const second = await client.openConsole(uuid, { force: true });
    const echoed = expectText(second, 'mine');
    second.write('mine');
    await echoed;
    second.destroy();
    first.destroy();
  });

  test('may restart itself, which is told as a reboot', async () => {
    const stream = await client.openConsole(uuid);
    const ready = expectText(stream, 'READY');
    const rebooted = next('reboot');
    stream.write('!');
    await rebooted;
    await ready;
    stream.destroy();
  });

  test('gets devices and loses them, told by events', async () => {
    const added = next('deviceAdded', (event) => event.alias === 'ua-usb');
    await client.attachDevice(uuid, usbDisk());
    await added;
    expect(await client.domainXml(uuid)).toContain('usb.raw');
    const removed = next('deviceRemoved', (event) => event.alias === 'ua-usb');
    await client.detachDevice(uuid, usbDisk());
    await removed;
    expect(await client.domainXml(uuid)).not.toContain('usb.raw');
    await client.detachDevice(uuid, usbDisk());
    await client.detachDeviceByAlias(uuid, 'ua-usb');
    await expect(client.detachDeviceByAlias(uuid, 'virtio-disk0', Affect.CONFIG)).resolves.toBeUndefined();
  });

  test('has statistics of processor, memory and disks', async () => {
    const stats = Stats.STATE | Stats.VCPU | Stats.BALLOON | Stats.BLOCK;
    const [one] = await client.allDomainStats(stats, { uuids: [uuid] });
    expect(one?.domain.name).toBe(name);
    expect(one?.statistics).toMatchObject({
      'state.state': 1,
      'vcpu.0.state': 1,
      'balloon.maximum': 32768,
      'block.0.name': 'vda',
    });
    expect(one?.statistics['vcpu.0.time']).toBeGreaterThan(0);
    expect((await client.blockInfo(uuid, 'vdb')).capacity).toBe(4 << 20);
    expect((await client.blockStats(uuid, 'vda')).rdBytes).toBeGreaterThan(0n);
    expect(await client.vcpus(uuid)).toMatchObject([{ number: 0, state: 1 }]);
    expect(await client.memoryStats(uuid)).toMatchObject({ actualBalloon: 32768 });
    await expect(client.interfaceStats(uuid, 'none')).rejects.toMatchObject({ name: 'LibvirtError' });
  });

  test('changes its size and limits', async () => {
    await client.setBlockLimits(uuid, 'vdb', { total_iops_sec: 100 });
    expect(await client.domainXml(uuid)).toContain('<total_iops_sec>100</total_iops_sec>');
    await client.setBlockLimits(uuid, 'vdb', { total_iops_sec: 0 });
    await client.setMemory(uuid, 16384, { affect: Affect.CONFIG });
    expect(await client.domainXml(uuid, XmlFlag.INACTIVE)).toContain("<currentMemory unit='KiB'>16384<");
    await client.setVcpus(uuid, 2, { affect: Affect.CONFIG, maximum: true });
    expect(await client.domainXml(uuid, XmlFlag.INACTIVE)).toContain('>2</vcpu>');
    await expect(client.setVcpus(uuid, 64)).rejects.toMatchObject({ code: ErrorCode.INVALID_ARG });
    await client.sendKeys(uuid, [28]);
    await client.injectNmi(uuid);
  });

  test('shows its screen', async () => {
    const { stream, mime } = await client.screenshot(uuid);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(mime).toMatch(/^image\//);
    expect(Buffer.concat(chunks).length).toBeGreaterThan(1000);
  });

  test('keeps metadata of our own', async () => {
    const uri = 'https://cumulet.example/test';
    expect(await client.metadata(uuid, uri)).toBeUndefined();
    await client.setMetadata(uuid, { uri, prefix: 'c', xml: "<owner generation='3'/>" });
    expect(await client.metadata(uuid, uri)).toBe('<owner generation="3"/>');
    await client.setMetadata(uuid, { uri, prefix: 'c', xml: undefined });
    expect(await client.metadata(uuid, uri)).toBeUndefined();
    await client.setText(uuid, 'title', 'a title', Affect.CONFIG);
    expect(await client.domainXml(uuid, XmlFlag.INACTIVE)).toContain('<title>a title</title>');
  });

  test('says so where it has no agent', async () => {
    const refused = { name: 'LibvirtError' };
    await expect(client.agentCommand(uuid, '{"execute":"guest-ping"}')).rejects.toMatchObject(refused);
    await expect(client.filesystems(uuid)).rejects.toMatchObject(refused);
    await expect(client.freezeFilesystems(uuid)).rejects.toMatchObject(refused);
    await expect(client.thawFilesystems(uuid)).rejects.toMatchObject(refused);
    await expect(client.setUserPassword(uuid, 'root', 'x')).rejects.toMatchObject(refused);
    await expect(client.interfaceAddresses(uuid)).rejects.toMatchObject(refused);
    expect(await client.interfaceAddresses(uuid, 'lease')).toEqual([]);
  });

  test('flattens an overlay and tells when that is complete', async () => {
    expect(await client.blockJob(uuid, 'vdb')).toBeUndefined();
    const completed = next('blockJob', (event) => event.status === 'completed');
    await client.pullBlock(uuid, 'vdb');
    expect(await completed).toMatchObject({ type: 'pull' });
    expect((await stat(join(directory, 'data.qcow2'))).size).toBeGreaterThan(4 << 20);
  });

  test('is backed up as a job that tells its completion and figures', async () => {
    const completed = next('jobCompleted');
    const target = join(directory, 'backup.qcow2');
    await client.beginBackup(
      uuid,
      `<domainbackup mode='push'><disks><disk name='vda' backup='no'/><disk name='vdb' type='file'>
        <driver type='qcow2'/><target file='${target}'/></disk></disks></domainbackup>`,
    );
    expect((await completed).statistics).toMatchObject({ success: true });
    expect((await client.jobStats(uuid, { completed: true })).type).toBe('completed');
    expect((await client.jobInfo(uuid)).type).toBe('none');
    expect((await stat(target)).size).toBeGreaterThan(0);
  });

  test('goes on with a copy of its disk when that is pivoted to', async () => {
    const ready = next('blockJob', (event) => event.status === 'ready');
    const copy = join(directory, 'copy.qcow2');
    const xml = `<disk type='file'><driver type='qcow2'/><source file='${copy}'/></disk>`;
    await client.copyBlock(uuid, 'vdb', xml, BlockCopyFlag.TRANSIENT_JOB);
    await ready;
    expect(await client.blockJob(uuid, 'vdb')).toMatchObject({ type: 'copy' });
    await client.abortBlockJob(uuid, 'vdb', { pivot: true });
    expect(await client.domainXml(uuid)).toContain('copy.qcow2');
    await client.resizeBlock(uuid, 'vdb', 5 << 20);
    expect((await client.blockInfo(uuid, 'vdb')).capacity).toBe(5 << 20);
  });

  test('ends its console when it ends', async () => {
    const stream = await client.openConsole(uuid);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    stream.resume();
    await client.destroyDomain(uuid);
    await closed;
    expect(stream.readableEnded).toBe(true);
    expect(stream.errored).toBeNull();
  });
});

test('a saved guest goes on where it stopped', async () => {
  await client.startDomain(uuid);
  await client.managedSave(uuid);
  expect(await client.domainState(uuid)).toEqual({ state: 'shut-off', reason: 5 });
  expect(await client.hasManagedSave(uuid)).toBe(true);
  const restored = next('lifecycle', (event) => event.event === 'started');
  await client.startDomain(uuid);
  expect((await restored).detail).toBe('restored');
  await client.destroyDomain(uuid);
});
