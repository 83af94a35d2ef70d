// A migration in steps between two real daemons, which share no disk and never talk to each other: only sockets are joined.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { LibvirtClient, MigrateFlag, XmlFlag } from '@cumulet/libvirt';
import { serialEchoBootSector } from '../support/bootSector';
import { startPrivateLibvirtd, type PrivateLibvirtd } from '../support/privateLibvirtd';

const uuid = randomUUID();
const name = `cml-test-move-${uuid.slice(0, 8)}`;
const options = { flags: MigrateFlag.LIVE | MigrateFlag.PERSIST_DEST | MigrateFlag.NON_SHARED_INC, disks: ['vdb'] };
const servers: Server[] = [];
let sides: { daemon: PrivateLibvirtd; client: LibvirtClient; dir: string }[];

const domainXml = (dir: string): string => `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${dir}/boot.raw'/>
      <target dev='vda' bus='virtio'/><readonly/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='${dir}/data.qcow2'/>
      <target dev='vdb' bus='virtio'/></disk>
    <controller type='usb' model='none'/><serial type='pty'/>
  </devices>
</domain>`;

async function relay(from: string, to: string): Promise<void> {
  const server = createServer((socket) => {
    const other = connect(to);
    socket.pipe(other).pipe(socket);
    for (const one of [socket, other])
      one.on('error', () => {
        socket.destroy();
        other.destroy();
      });
  });
  servers.push(server);
  await new Promise<void>((done) => void server.listen(from, done));
  chmodSync(from, 0o666);
}

beforeAll(async () => {
  sides = [];
  for (let side = 0; side < 2; side++) {
    const daemon = await startPrivateLibvirtd();
    const client = await LibvirtClient.connect({ socketPath: daemon.socketPath, events: [] });
    const dir = join(daemon.directory, 'disks');
    mkdirSync(dir);
    chmodSync(dir, 0o777);
    writeFileSync(join(dir, 'boot.raw'), serialEchoBootSector('x'));
    truncateSync(join(dir, 'boot.raw'), 1024 * 1024);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(dir, 'data.qcow2'), '16M']);
    if (side === 0) execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 1M 64k', join(dir, 'data.qcow2')]);
    sides.push({ daemon, client, dir });
  }
});
afterAll(async () => {
  for (const server of servers) server.close();
  for (const { client, daemon } of sides) {
    await client.close();
    await daemon.stop();
  }
});

test('the guest runs on the other side with its disk, and waits on the first to be removed', async () => {
  const [from, to] = sides;
  if (!from || !to) throw new Error('two sides are needed');
  await from.client.defineDomain(domainXml(from.dir));
  await from.client.startDomain(uuid);
  const live = await from.client.domainXml(uuid, XmlFlag.SECURE | XmlFlag.MIGRATABLE);
  const outgoing = await from.client.sendDomain(uuid, options, live.replaceAll(`'${from.dir}/`, `'${to.dir}/`));
  const uris = ({ dir }: typeof from) => ({ migrateUri: `unix://${dir}/memory`, disksUri: `unix://${dir}/disks` });
  const incoming = await to.client.receiveDomain(name, options, outgoing.xml, outgoing.cookie, uris(to));
  for (const socket of ['memory', 'disks']) await relay(join(from.dir, socket), join(to.dir, socket));
  const sent = await outgoing.perform(incoming.cookie, uris(from));
  expect((await from.client.domainState(uuid))?.state).toBe('paused');
  await incoming.finish(sent);
  expect((await to.client.domainState(uuid))?.state).toBe('running');
  await incoming.close();
  await outgoing.close();
  await from.client.destroyDomain(uuid);
  await from.client.undefineDomain(uuid);
  expect((await to.client.domainState(uuid))?.state).toBe('running');
  await to.client.destroyDomain(uuid);
  expect(
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 7 1M 64k', join(to.dir, 'data.qcow2')]).toString(),
  ).not.toContain('failed');
  await to.client.undefineDomain(uuid);
});
