// Images of servers: what is answered, what the image says of its server, quotas, states, rotation, and what a host may not do.
import { Readable } from 'node:stream';
import { HostError } from '@cumulet/common';
import { servers } from '../../controller/src/db/entities/compute';
import { startCloudWithHost, type CloudWithHost } from '../crash/cloudWithHost';
import { qcow2Header } from '../support/qcow2';
import type { Answer } from '../support/testCloud';

let world: CloudWithHost;
let id: string;
let base: string;

interface Options {
  readonly body?: unknown;
  readonly version?: string;
  readonly token?: string;
}
const call = (method: string, path: string, { body, version = '2.1', token = 'demo' }: Options = {}): Promise<Answer> =>
  world.test.call(method, path, {
    token,
    headers: { 'x-openstack-nova-api-version': version },
    ...(body === undefined ? {} : { body }),
  });
const act = (body: object, more: Options = {}): Promise<Answer> =>
  call('POST', `/compute/v2.1/servers/${id}/action`, { body, ...more });
const show = async () => (await call('GET', `/compute/v2.1/servers/${id}`)).body.server;
const image = async (of: string, token = 'demo') => (await call('GET', `/image/v2/images/${of}`, { token })).body;
const idFrom = (answer: Answer): string => (answer.headers.get('location') ?? '').split('/').at(-1) ?? '';
const mine = async () =>
  (await call('GET', `/image/v2/images?instance_uuid=${id}&sort=created_at:asc`)).body.images as { name: string }[];
const backup = (name: string, rotation: number | string, type = 'daily') =>
  act({ createBackup: { name, backup_type: type, rotation } });

beforeAll(async () => {
  world = await startCloudWithHost();
  // Hosts are asked again after 3 s, not so soon that a full machine has not answered yet.
  await world.startEngine(undefined, 0.3);
  base = (await call('GET', '/image/v2/images?name=tiny')).body.images[0].id;
  const properties = [
    { op: 'add', path: '/os_distro', value: 'tiny' },
    { op: 'add', path: '/owner_specified.openstack.md5', value: 'of other bytes' },
    { op: 'replace', path: '/min_ram', value: 64 },
  ];
  await world.test.call('PATCH', `/image/v2/images/${base}`, {
    token: 'admin',
    body: JSON.stringify(properties),
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
  });
});
afterAll(() => world.stop());
beforeEach(async () => {
  world.host.before = () => undefined;
  id = await world.boot('hello');
  await world.settled();
});
afterEach(async () => {
  world.host.before = () => undefined;
  await call('DELETE', `/compute/v2.1/servers/${id}`);
  await world.settled();
  for (const one of (await call('GET', '/image/v2/images?visibility=private')).body.images)
    await call('DELETE', `/image/v2/images/${one.id}`);
  await world.expectClean();
});

test('until 2.44 the answer is the image’s address, from 2.45 on its id; new servers boot from it', async () => {
  const old = await act({ createImage: { name: 'snap', metadata: { purpose: 'test' } } }, { version: '2.44' });
  expect([old.status, old.body]).toEqual([202, '']);
  const made = idFrom(old);
  expect(old.headers.get('location')).toBe(`${world.test.url}/image/v2/images/${made}`);
  await world.settled();
  expect(await image(made)).toMatchObject({
    name: 'snap',
    status: 'active',
    visibility: 'private',
    owner: 'demo-project',
    disk_format: 'qcow2',
    container_format: 'bare',
    min_disk: 1,
    min_ram: 64,
    virtual_size: 1 << 20,
    base_image_ref: base,
    boot_roles: 'member,reader',
    image_location: 'snapshot',
    image_state: 'available',
    image_type: 'snapshot',
    instance_uuid: id,
    os_distro: 'tiny',
    owner_id: 'demo-project',
    owner_project_name: 'demo',
    owner_user_name: 'demo',
    purpose: 'test',
    user_id: 'demo-user',
  });
  expect(await image(made)).not.toHaveProperty('owner_specified.openstack.md5');
  const fresh = await act({ createImage: { name: 'snap' } }, { version: '2.45' });
  expect([fresh.status, fresh.headers.get('location'), Object.keys(fresh.body)]).toEqual([202, null, ['image_id']]);
  await world.settled();
  const child = await world.boot('child', { imageRef: made });
  await world.settled();
  expect((await call('GET', `/compute/v2.1/servers/${child}`)).body.server.status).toBe('ACTIVE');
  await call('DELETE', `/compute/v2.1/servers/${child}`);
});

test('what happens shows in the server, which stays what it is; another action meanwhile is a conflict', async () => {
  const seen: string[] = [];
  world.host.before = async (kind) => {
    const server = await show();
    seen.push(`${kind}: ${server.status} ${server['OS-EXT-STS:task_state']}`);
    if (kind === 'snapshot.prepare') expect((await act({ reboot: { type: 'HARD' } })).status).toBe(409);
  };
  const made = idFrom(await act({ createImage: { name: 'snap' } }));
  expect((await image(made)).status).toBe('queued');
  await world.settled();
  expect(seen.slice(0, 4)).toEqual([
    'snapshot.prepare: ACTIVE image_snapshot',
    'disk.copy: ACTIVE image_snapshot',
    'snapshot.flatten: ACTIVE image_pending_upload',
    'snapshot.upload: ACTIVE image_uploading',
  ]);
  expect((await show())['OS-EXT-STS:task_state']).toBeNull();
});

test.each([
  ['os-stop', 'SHUTOFF'],
  ['pause', 'PAUSED'],
  ['suspend', 'SUSPENDED'],
  ['lock', 'ACTIVE'],
])('after %s an image can be made, and the server stays so', async (before, status) => {
  await act({ [before]: null });
  await world.settled();
  const made = idFrom(await act({ createImage: { name: 'snap' } }));
  await world.settled();
  expect((await image(made)).status).toBe('active');
  expect((await show()).status).toBe(status);
  await act({ unlock: null });
});

test.each([{ vm_state: 'error' as const }, { vm_state: 'building' as const }, { task_state: 'rebooting' as const }])(
  'with %j it is a conflict, and no image is there',
  async (change) => {
    await world.test.cloud.db.write((session) => session.update(servers, { id }, change));
    for (const body of [
      { createImage: { name: 'x' } },
      { createBackup: { name: 'x', backup_type: 'daily', rotation: 1 } },
    ])
      expect((await act(body)).body.conflictingRequest.code).toBe(409);
    expect(await mine()).toEqual([]);
    await world.test.cloud.db.write((session) =>
      session.update(servers, { id }, { vm_state: 'active', task_state: null }),
    );
  },
);

test('what the host can’t do ends without an image, the reason is in the actions, the server goes on', async () => {
  world.host.before = (kind) => {
    if (kind === 'snapshot.prepare')
      throw new HostError('disk_full', 'there is not enough space on the host', { retryable: false });
  };
  const made = idFrom(await act({ createImage: { name: 'snap' } }));
  await world.settled();
  expect((await call('GET', `/image/v2/images/${made}`)).status).toBe(404);
  const [last] = (await call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).body.instanceActions;
  expect(last).toMatchObject({ action: 'createImage', message: 'Error' });
  expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-STS:task_state': null });
});

test('an image that its owner deletes meanwhile stays deleted', async () => {
  world.host.before = async (kind) => {
    if (kind === 'snapshot.flatten')
      for (const one of await mine()) await call('DELETE', `/image/v2/images/${(one as { id?: string }).id}`);
  };
  await act({ createImage: { name: 'snap' } });
  await world.settled();
  expect(await mine()).toEqual([]);
  expect((await show()).status).toBe('ACTIVE');
});

test('the quotas of images and of metadata are forbidden', async () => {
  const { image: limits } = world.test.cloud.config as { image: { max_images: number } };
  const before = limits.max_images;
  limits.max_images = 0;
  expect((await act({ createImage: { name: 'x' } })).body.forbidden.code).toBe(403);
  limits.max_images = before;
  const metadata = Object.fromEntries(Array.from({ length: 129 }, (_, n) => [`k${n}`, 'v']));
  const many = await act({ createImage: { name: 'x', metadata } }, { version: '2.38' });
  expect(many.body.forbidden.message).toBe('Image metadata limit exceeded');
  expect(await mine()).toEqual([]);
  expect((await show())['OS-EXT-STS:task_state']).toBeNull();
});

test('backups of a type are kept apart and the oldest go', async () => {
  const names = async () => (await mine()).map((one) => one.name);
  for (const [name, type] of [
    ['d1', 'daily'],
    ['w1', 'weekly'],
    ['d2', 'daily'],
    ['d3', 'daily'],
  ] as const) {
    const answer = await backup(name, '2', type);
    expect(answer.status).toBe(202);
    await world.settled();
    expect(await image(idFrom(answer))).toMatchObject({ image_type: 'backup', backup_type: type, status: 'active' });
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await names()).toEqual(['w1', 'd2', 'd3']);
  const none = await backup('d4', 0);
  expect([none.status, none.headers.get('location')]).toEqual([202, null]);
  await world.settled();
  expect(await names()).toEqual(['w1']);
});

test('a rotation takes nobody else’s images, and none that is protected', async () => {
  const fake = { name: 'theirs', visibility: 'private', image_type: 'backup', backup_type: 'daily', instance_uuid: id };
  const theirs = (await call('POST', '/image/v2/images', { body: fake, token: 'other' })).body.id;
  await world.test.call('PATCH', `/image/v2/images/${theirs}`, {
    token: 'other',
    body: JSON.stringify([
      { op: 'replace', path: '/disk_format', value: 'qcow2' },
      { op: 'replace', path: '/container_format', value: 'bare' },
    ]),
    headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
  });
  const stored = await world.test.call('PUT', `/image/v2/images/${theirs}/file`, {
    token: 'other',
    body: qcow2Header(),
    headers: { 'content-type': 'application/octet-stream' },
  });
  expect(stored.status).toBe(204);
  const kept = idFrom(await backup('kept', 1));
  await world.settled();
  const protect = (value: boolean) =>
    world.test.call('PATCH', `/image/v2/images/${kept}`, {
      body: JSON.stringify([{ op: 'replace', path: '/protected', value }]),
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    });
  await protect(true);
  await backup('next', 0);
  await world.settled();
  expect((await mine()).map((one) => one.name)).toEqual(['kept']);
  expect((await image(theirs, 'other')).status).toBe('active');
  await protect(false);
});

test('an administrator’s image of somebody’s server is the administrator’s, and names the owner', async () => {
  const made = idFrom(await act({ createImage: { name: 'snap' } }, { token: 'admin' }));
  await world.settled();
  expect(await image(made, 'admin')).toMatchObject({
    owner: 'admin-project',
    visibility: 'shared',
    instance_owner: 'demo-project',
    owner_id: 'demo-project',
    user_id: 'admin-user',
    status: 'active',
  });
  await call('DELETE', `/image/v2/images/${made}`, { token: 'admin' });
});

describe('what a host may store', () => {
  const store = (host: string, to: string, bytes = qcow2Header()) =>
    world.test.controller.agentApi.storeImage(host, to, { size: bytes.length, stream: Readable.from([bytes]) });

  test('is only the image that it is making', async () => {
    const refused = { code: 'image_refused' };
    const queued = (await call('POST', '/image/v2/images', { body: { name: 'mine', visibility: 'private' } })).body.id;
    await expect(store('node-1', queued)).rejects.toMatchObject(refused);
    await expect(store('node-1', base)).rejects.toMatchObject(refused);
    let asked = 0;
    world.host.before = async (kind) => {
      if (kind !== 'snapshot.upload' || asked++ > 0) return;
      const [{ id: own }] = (await mine()) as unknown as [{ id: string }];
      await expect(store('node-2', own)).rejects.toMatchObject(refused);
      // A file with a base of its own is refused by the image service, whoever brings it.
      await expect(store('node-1', own, qcow2Header({ backingOffset: 1n }))).rejects.toMatchObject(refused);
      expect((await image(own)).status).toBe('queued');
    };
    const made = idFrom(await act({ createImage: { name: 'snap' } }));
    await world.settled();
    expect(asked).toBeGreaterThan(0);
    expect((await image(made)).status).toBe('active');
  });

  test('is taken again when it was cut off, and once when it comes twice', async () => {
    let asked = 0;
    world.host.before = async (kind) => {
      if (kind !== 'snapshot.upload' || asked++ > 0) return;
      const [{ id: own }] = (await mine()) as unknown as [{ id: string }];
      const broken = new Readable({ read: () => undefined });
      broken.push(qcow2Header().subarray(0, 10));
      setImmediate(() => broken.destroy(Object.assign(new Error('gone'), { code: 'ECONNRESET' })));
      const cut = world.test.controller.agentApi.storeImage('node-1', own, { size: 104, stream: broken });
      await expect(cut).rejects.toMatchObject({ code: 'UploadAborted' });
      await store('node-1', own);
    };
    const made = idFrom(await act({ createImage: { name: 'snap' } }));
    await world.settled();
    expect((await image(made)).status).toBe('active');
  });
});
