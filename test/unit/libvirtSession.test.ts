// The lasting client: events registered again after a restart, calls that fail at once meanwhile, daemons per service.
import { join } from 'node:path';
import { symlink } from 'node:fs/promises';
import { ConnectionLostError, LibvirtClient, eventNames } from '@cumulet/libvirt';
import type { LibvirtEvent, SessionOptions } from '@cumulet/libvirt';
import { encode } from '../../libvirt/src/codec';
import { events, wireOf } from '../../libvirt/src/events';
import { endpointFor, endpointOf } from '../../libvirt/src/sockets';
import { silence, startFakeLibvirtd } from '../support/fakeLibvirtd';
import type { FakeLibvirtd } from '../support/fakeLibvirtd';

const domain = { name: 'g', uuid: '00010203-0405-0607-0809-0a0b0c0d0e0f', id: 1 };

let daemon: FakeLibvirtd;
let client: LibvirtClient | undefined;

const connect = async (options: SessionOptions = {}): Promise<LibvirtClient> => {
  client = await LibvirtClient.connect({
    socketPath: daemon.socketPath,
    reconnect: { firstMs: 1, maxMs: 4 },
    ...options,
  });
  return client;
};
const once = (name: 'connected' | 'disconnected' | 'warning' | 'event' | 'lifecycle'): Promise<unknown[]> =>
  new Promise((resolve) => client?.once(name, (...args: unknown[]) => resolve(args)));
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

beforeEach(async () => {
  daemon = await startFakeLibvirtd();
  daemon.on('connectGetHostname', () => ({ hostname: 'fake' }));
});
afterEach(async () => {
  await client?.close();
  client = undefined;
  await daemon.remove();
});

describe('after the connection is lost', () => {
  test('events are registered again before "connected" is told, and arrive', async () => {
    await connect({ events: ['lifecycle', 'reboot'] });
    const first = await daemon.peer(0);
    expect(first.calls.slice(-2)).toEqual(Array(2).fill('connectDomainEventCallbackRegisterAny'));
    const lost = once('disconnected');
    first.drop();
    const [error] = await lost;
    expect(error).toBeInstanceOf(ConnectionLostError);
    await once('connected');
    const second = await daemon.peer(1);
    expect(second.calls.slice(-2)).toEqual(Array(2).fill('connectDomainEventCallbackRegisterAny'));
    const told = once('lifecycle');
    second.event('lifecycle', { msg: { dom: domain, event: 5, detail: 2 } });
    expect(await told).toEqual([{ name: 'lifecycle', domain, event: 'stopped', detail: 'crashed' }]);
  });

  test('calls fail at once until the daemon is back, attempts are told, then calls succeed', async () => {
    await connect();
    const hostname = () => client?.hostname() ?? silence();
    expect(client?.connected).toBe(true);
    const lost = once('disconnected');
    await daemon.stop();
    await lost;
    expect(client?.connected).toBe(false);
    expect(await outcome(hostname())).toMatchObject({
      ...{ name: 'ConnectionLostError', sent: false },
      message: expect.stringContaining('not connected: the daemon closed the connection') as string,
    });
    for (let i = 0; i < 3; i++) expect((await once('warning'))[0]).toMatchObject({ name: 'ConnectionLostError' });
    const back = once('connected');
    await daemon.start();
    await back;
    expect(await hostname()).toBe('fake');
  });

  test('a daemon that accepts but refuses is tried again', async () => {
    await connect();
    let refusals = 2;
    daemon.on('connectOpen', () => {
      if (refusals-- > 0) throw new Error('not ready');
      return {};
    });
    const warnings: Error[] = [];
    client?.on('warning', (error) => warnings.push(error));
    const back = once('connected');
    (await daemon.peer(0)).drop();
    await back;
    expect(warnings.map(({ message }) => message)).toEqual(Array(2).fill(expect.stringContaining('not ready')));
  });

  test('closing ends the attempts', async () => {
    await connect({ reconnect: { firstMs: 50, maxMs: 50 } });
    const lost = once('disconnected');
    (await daemon.peer(0)).drop();
    await lost;
    await client?.close();
    expect(await outcome(client?.hostname() ?? silence())).toMatchObject({
      message: expect.stringContaining('the client was closed') as string,
    });
    expect(daemon.peers).toHaveLength(1);
  });

  test('closing during an attempt ends that too', async () => {
    await connect();
    daemon.on('connectOpen', silence);
    (await daemon.peer(0)).drop();
    const attempt = await daemon.peer(1);
    while (!attempt.calls.includes('connectOpen')) await new Promise(setImmediate);
    daemon.on('connectClose', () => ({}));
    await client?.close();
    await attempt.closed;
    expect(client?.connected).toBe(false);
  });
});

test('a daemon that refuses to register makes connecting fail, with nothing left open', async () => {
  daemon.on('connectDomainEventCallbackRegisterAny', () => {
    throw new Error('no events today');
  });
  await expect(connect()).rejects.toThrow('no events today');
  await (
    await daemon.peer(0)
  ).closed;
});

test('all events are registered unless told otherwise', async () => {
  const ids: number[] = [];
  daemon.on('connectDomainEventCallbackRegisterAny', ({ eventID }) => {
    ids.push(eventID);
    return { callbackID: ids.length };
  });
  await connect();
  expect(ids).toEqual(eventNames.map((name) => events[name].id));
});

describe('events', () => {
  const device = { devAlias: 'ua-1' };
  test.each<[LibvirtEvent['name'], object, object]>([
    ['lifecycle', { msg: { dom: domain, event: 0, detail: 1 } }, { event: 'defined', detail: 'updated' }],
    ['lifecycle', { msg: { dom: domain, event: 99, detail: 7 } }, { event: 'unknown-99', detail: 'unknown-7' }],
    ['reboot', { msg: { dom: domain } }, {}],
    ['watchdog', { msg: { dom: domain, action: 2 } }, { action: 'reset' }],
    [
      'ioError',
      { msg: { dom: domain, srcPath: '/d', devAlias: 'virtio-disk0', action: 1, reason: 'enospc' } },
      { path: '/d', alias: 'virtio-disk0', action: 'pause', reason: 'enospc' },
    ],
    ['deviceRemoved', { msg: { dom: domain, ...device } }, { alias: 'ua-1' }],
    ['deviceRemovalFailed', { dom: domain, ...device }, { alias: 'ua-1' }],
    ['deviceAdded', { dom: domain, ...device }, { alias: 'ua-1' }],
    ['blockJob', { dom: domain, dst: 'vda', type: 2, status: 3 }, { disk: 'vda', type: 'copy', status: 'ready' }],
    [
      'jobCompleted',
      { dom: domain, params: [{ field: 'time_elapsed', value: { type: 'ullong', value: 12n } }] },
      { statistics: { time_elapsed: 12 } },
    ],
    ['agentLifecycle', { dom: domain, state: 1, reason: 2 }, { state: 'connected' }],
    ['migrationIteration', { dom: domain, iteration: 4 }, { iteration: 4 }],
    ['metadataChange', { dom: domain, type: 2, nsuri: undefined }, { type: 2, uri: undefined }],
  ])('%s reaches its listeners', async (name, wire, view) => {
    await connect();
    const told = once('event');
    const named = new Promise((resolve) => client?.once(name, resolve));
    (await daemon.peer(0)).event(name, wire);
    expect(await told).toEqual([{ name, domain, ...view }]);
    expect(await named).toEqual({ name, domain, ...view });
    expect(encode(wireOf(name), { callbackID: 0, ...wire }).length).toBeGreaterThan(0);
  });

  test('a message that can not be read is a warning, and the connection goes on', async () => {
    await connect();
    const peer = await daemon.peer(0);
    for (const message of [{ procedure: 318, payload: Buffer.alloc(8) }, { procedure: 9999 }]) {
      const warned = once('warning');
      peer.send({ type: 2, serial: 1, ...message });
      expect((await warned)[0]).toBeInstanceOf(Error);
    }
    expect(await client?.hostname()).toBe('fake');
  });

  test('a warning that nobody listens to becomes a warning of the process', async () => {
    await connect();
    const warned = new Promise((resolve) => {
      jest.spyOn(process, 'emitWarning').mockImplementationOnce((...args: unknown[]) => resolve(args));
    });
    (await daemon.peer(0)).send({ type: 2, serial: 1, procedure: 9999 });
    expect(await warned).toEqual(['message 9999 is no event of this client', 'ProtocolError']);
  });
});

test('a call that may take long has a connection of its own, which is closed after it', async () => {
  daemon.on('domainManagedSave', () => ({}));
  await connect();
  await client?.managedSave(domain.uuid);
  const second = await daemon.peer(1);
  await second.closed;
  expect(second.calls).toEqual([
    'authList',
    'connectSupportsFeature',
    'connectOpen',
    'domainManagedSave',
    'connectClose',
  ]);
  expect((await daemon.peer(0)).calls).not.toContain('domainManagedSave');
});

test('closing fails long calls that are under way', async () => {
  daemon.on('domainManagedSave', silence);
  await connect();
  const saving = outcome(client?.managedSave(domain.uuid) ?? silence());
  const second = await daemon.peer(1);
  while (!second.calls.includes('domainManagedSave')) await new Promise(setImmediate);
  await client?.close();
  expect(await saving).toMatchObject({ name: 'ConnectionLostError', sent: true });
  expect(await outcome(client?.managedSave(domain.uuid) ?? silence())).toMatchObject({ sent: false });
});

describe('a modular installation', () => {
  let storage: FakeLibvirtd;
  let qemu: string;
  beforeEach(async () => {
    storage = await startFakeLibvirtd('virtstoraged-sock');
    storage.on('connectListAllStoragePools', () => ({ pools: [], ret: 0 }));
    qemu = join(storage.directory, 'virtqemud-sock');
    await symlink(daemon.socketPath, qemu);
  });
  afterEach(async () => {
    await client?.close();
    await storage.remove();
  });

  test('storage calls share one connection to the storage daemon, opened when first needed', async () => {
    const opened: unknown[] = [];
    storage.on('connectOpen', ({ name }) => {
      opened.push(name);
      return {};
    });
    await connect({ socketPath: qemu });
    expect(storage.peers).toHaveLength(0);
    await Promise.all([client?.pools(), client?.pools()]);
    expect(opened).toEqual(['storage:///system']);
    expect(storage.peers).toHaveLength(1);
  });

  test('a storage daemon that restarts is connected to again', async () => {
    await connect({ socketPath: qemu });
    await client?.pools();
    const first = await storage.peer(0);
    await storage.stop();
    await first.closed;
    expect(await outcome(client?.pools() ?? silence())).toMatchObject({ name: 'ConnectionLostError' });
    await storage.start();
    expect(await client?.pools()).toEqual([]);
  });

  test('storage goes on while the main daemon is away', async () => {
    await connect({ socketPath: qemu });
    client?.on('warning', () => undefined);
    const lost = once('disconnected');
    await daemon.stop();
    await lost;
    expect(await client?.pools()).toEqual([]);
  });

  test('a service whose daemon is missing is named', async () => {
    await connect({ socketPath: qemu });
    expect(await outcome(client?.secrets() ?? silence())).toMatchObject({
      message: expect.stringContaining('virtsecretd-sock: cannot connect') as string,
    });
  });
});

describe('endpoints', () => {
  test.each([
    ['qemu:///system', undefined, false, '/run/libvirt/libvirt-sock', 'qemu:///system'],
    ['qemu:///system', undefined, true, '/run/libvirt/virtqemud-sock', 'qemu:///system'],
    ['test:///default', undefined, false, '/run/libvirt/libvirt-sock', 'test:///default'],
    ['qemu:///system?socket=/a/b', undefined, true, '/a/b', 'qemu:///system'],
    ['qemu:///system', '/c/d', true, '/c/d', 'qemu:///system'],
  ])('%s with socket %s', (uri, socket, modular, socketPath, opened) => {
    expect(endpointOf(uri, socket, () => modular)).toEqual({ socketPath, uri: opened });
  });

  test.each(['qemu://host/system', 'qemu+ssh:///system'])('%s is refused: only local daemons', (uri) => {
    expect(() => endpointOf(uri)).toThrow('only local daemons');
  });

  test('services of a read-only modular connection are read-only too', () => {
    expect(endpointFor('secret', { socketPath: '/x/virtqemud-sock-ro', uri: 'qemu:///system' })).toEqual({
      socketPath: '/x/virtsecretd-sock-ro',
      uri: 'secret:///system',
    });
  });
});
