// Ways to a guest that the compute agent opens, with a stand-in for libvirt and a socket that answers as a VNC server does.
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { newId, type ConsoleKind } from '@cumulet/common';
import { ErrorCode } from '@cumulet/libvirt';
import { computeScene } from '../support/computeScene';
import { libvirtError } from '../support/fakeHypervisor';

const scene = computeScene();
const NOT_RUNNING = { name: 'HostError', code: 'not_running', message: 'the server is not running' };
let screens: Server | undefined;
afterEach(() => void screens?.close());

const open = (id: string, kind: ConsoleKind): Promise<Duplex> => scene.agent.openConsole(id, kind);

/** A running server; libvirt says that its screen is at this socket. */
async function running(socket?: string): Promise<string> {
  const { server_id: id, ...server } = scene.aServer();
  await scene.ensure({ server_id: id, ...server });
  const domain = scene.fake.domains.get(id);
  if (domain?.live !== undefined && socket !== undefined)
    domain.live = domain.live.replace("<graphics type='vnc'>", `<graphics type='vnc' socket='${socket}'>`);
  return id;
}

test('the serial port is libvirt’s, and whoever comes takes it over', async () => {
  const id = await running();
  const asked = jest.spyOn(scene.fake.hypervisor, 'openConsole');
  const guest = await open(id, 'serial');
  expect(asked).toHaveBeenCalledWith(id, { force: true });
  guest.write('hello');
  const [heard] = (await once(guest, 'data')) as [Buffer];
  expect(heard.toString()).toBe('hello');
});

test('the screen is the socket that QEMU listens on', async () => {
  const path = join(scene.dir, 'vnc.sock');
  screens = createServer((socket) => socket.end('RFB 003.008\n')).listen(path);
  await once(screens, 'listening');
  const guest = await open(await running(path), 'vnc');
  const [heard] = (await once(guest, 'data')) as [Buffer];
  expect(heard.toString()).toBe('RFB 003.008\n');
});

test('a guest that is off, has vanished or is nobody’s has no console', async () => {
  const id = await running();
  await expect(open(id, 'vnc')).rejects.toMatchObject(NOT_RUNNING);
  const gone = await running(join(scene.dir, 'no.sock'));
  await expect(open(gone, 'vnc')).rejects.toMatchObject(NOT_RUNNING);
  scene.fake.stopped(id, 1);
  await expect(open(id, 'serial')).rejects.toMatchObject(NOT_RUNNING);
  await expect(open(newId(), 'serial')).rejects.toMatchObject(NOT_RUNNING);
});

test('another refusal is told as what it is', async () => {
  const id = await running('/');
  await expect(open(id, 'vnc')).rejects.toThrow(/EACCES|ECONNREFUSED|ENOTSOCK|not running/);
  scene.fake.failNext('openConsole', libvirtError(ErrorCode.ACCESS_DENIED));
  await expect(open(id, 'serial')).rejects.toMatchObject({ code: 'hypervisor_refused' });
});
