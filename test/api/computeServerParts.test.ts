// What belongs to a server: metadata, tags, addresses, interfaces and the record of what was done with it.
import { servers, type Server } from '../../controller/src/db/entities/compute';
import { floatingIps, portAddresses, ports } from '../../controller/src/db/entities/network';
import { taskEvents, tasks } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle, withoutQuota } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
let image: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  image = await makeImage(cloud);
  await makeNetwork(cloud, 'demo');
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  await withoutQuota(cloud);
});
afterAll(() => cloud.stop());
beforeEach(async () => {
  const body = { server: { name: 'hello', flavorRef: 'small', imageRef: image, metadata: { role: 'web' } } };
  id = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server.id;
  await settle(cloud, id, { host: 'h1' });
});

const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const call = (method: string, path: string, { body, version = '2.1', token = 'demo' }: Options = {}): Promise<Answer> =>
  cloud.call(method, `/compute/v2.1/servers/${id}${path}`, {
    token,
    headers: at(version),
    ...(body === undefined ? {} : { body }),
  });
interface Options {
  readonly body?: unknown;
  readonly version?: string;
  readonly token?: string;
}
const set = (change: Partial<Server>) => cloud.cloud.db.write((session) => session.update(servers, { id }, change));
const keys = (value: object) => Object.keys(value).sort();

describe('metadata', () => {
  test('is listed, added to, replaced, read, set and removed', async () => {
    expect((await call('GET', '/metadata')).body).toEqual({ metadata: { role: 'web' } });
    const added = await call('POST', '/metadata', { body: { metadata: { a: '1' } } });
    expect([added.status, added.body]).toEqual([200, { metadata: { role: 'web', a: '1' } }]);
    const one = await call('PUT', '/metadata/a', { body: { meta: { a: '2' } } });
    expect([one.status, one.body]).toEqual([200, { meta: { a: '2' } }]);
    expect((await call('GET', '/metadata/a')).body).toEqual({ meta: { a: '2' } });
    expect((await call('DELETE', '/metadata/a')).status).toBe(204);
    expect((await call('GET', '/metadata/a')).body.itemNotFound.message).toBe('Metadata item was not found');
    expect((await call('DELETE', '/metadata/a')).status).toBe(404);
    const whole = await call('PUT', '/metadata', { body: { metadata: { only: 'this' } } });
    expect([whole.status, whole.body]).toEqual([200, { metadata: { only: 'this' } }]);
    expect((await call('GET', '/metadata')).body).toEqual({ metadata: { only: 'this' } });
  });

  test.each([
    ['POST', '', { metadata: { 'a/b': 'x' } }],
    ['POST', '', { metadata: { a: 1 } }],
    ['POST', '', { metadata: { a: 'x'.repeat(256) } }],
    ['POST', '', {}],
    ['PUT', '', { metadata: null }],
    ['PUT', '/a', { meta: { b: '1' } }],
    ['PUT', '/a', { meta: { a: '1', b: '2' } }],
    ['PUT', '/a', { meta: {} }],
  ])('%s %s of %j is a bad request', async (method, path, body) => {
    expect((await call(method, `/metadata${path}`, { body })).body.badRequest.code).toBe(400);
  });

  test('is limited by the quota, and kept from changes by a lock', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 128 }, (_, n) => [`k${n}`, 'v']));
    expect((await call('POST', '/metadata', { body: { metadata } })).body.forbidden.code).toBe(403);
    await set({ locked: true, locked_by: 'owner' });
    expect((await call('PUT', '/metadata', { body: { metadata: {} } })).status).toBe(409);
  });
});

describe('tags', () => {
  const v = '2.26';
  test('are put one by one or all at once, and removed', async () => {
    const first = await call('PUT', '/tags/red', { version: v });
    expect([first.status, first.headers.get('location')]).toEqual([
      201,
      `${cloud.url}/compute/v2.1/servers/${id}/tags/red`,
    ]);
    expect((await call('PUT', '/tags/red', { version: v })).status).toBe(204);
    expect((await call('GET', '/tags/red', { version: v })).status).toBe(204);
    expect((await call('GET', '/tags/blue', { version: v })).body.itemNotFound.message).toContain("'blue'");
    const all = await call('PUT', '/tags', { version: v, body: { tags: ['b', 'a', 'b'] } });
    expect([all.status, all.body]).toEqual([200, { tags: ['a', 'b'] }]);
    expect((await call('GET', '/tags', { version: v })).body).toEqual({ tags: ['a', 'b'] });
    expect((await call('DELETE', '/tags/a', { version: v })).status).toBe(204);
    expect((await call('DELETE', '/tags/a', { version: v })).status).toBe(404);
    expect((await call('DELETE', '/tags', { version: v })).status).toBe(204);
    expect((await call('GET', '/tags', { version: v })).body).toEqual({ tags: [] });
  });

  test('are not there before 2.26', async () => {
    for (const [method, path] of [
      ['GET', '/tags'],
      ['PUT', '/tags/red'],
      ['DELETE', '/tags'],
    ] as const)
      expect((await call(method, path, { version: '2.25' })).status).toBe(404);
  });

  test('are refused when they are too long, odd or too many', async () => {
    expect((await call('PUT', `/tags/${'x'.repeat(61)}`, { version: v })).status).toBe(400);
    expect((await call('PUT', '/tags/a%2Cb', { version: v })).status).toBe(400);
    const tags = Array.from({ length: 51 }, (_, n) => `t${n}`);
    expect((await call('PUT', '/tags', { version: v, body: { tags } })).status).toBe(400);
    await call('PUT', '/tags', { version: v, body: { tags: tags.slice(0, 50) } });
    expect((await call('PUT', '/tags/one-more', { version: v })).body.badRequest.message).toContain('50');
  });
});

describe('addresses', () => {
  test('are listed by network in short', async () => {
    const answer = await call('GET', '/ips');
    expect(answer.body.addresses.demo).toEqual([{ version: 4, addr: expect.stringMatching(/^10\.0\.0\./) }]);
    expect((await call('GET', '/ips/demo')).body).toEqual({ demo: answer.body.addresses.demo });
    expect((await call('GET', '/ips/elsewhere')).status).toBe(404);
    expect((await call('GET', '/ips/constructor')).status).toBe(404);
  });

  test('include floating ones', async () => {
    await cloud.cloud.db.write(async (session) => {
      const port = await session.findOne(ports, { device_id: id });
      const address = await session.findOne(portAddresses, { port_id: port?.id ?? '' });
      await session.insert(floatingIps, {
        id: `fip-${id.slice(0, 8)}`,
        project_id: 'demo-project',
        description: '',
        created_at: 1,
        updated_at: 1,
        revision: 1,
        floating_network_id: 'public',
        floating_port_id: `port-${id.slice(0, 8)}`,
        floating_ip_address: '203.0.113.5',
        port_id: port?.id ?? null,
        fixed_ip_address: address?.address ?? null,
        router_id: null,
        status: 'ACTIVE',
        dns_name: '',
        dns_domain: '',
      });
    });
    const shown = (await call('GET', '')).body.server.addresses.demo;
    expect(shown).toMatchObject([
      { 'OS-EXT-IPS:type': 'fixed' },
      { 'OS-EXT-IPS:type': 'floating', addr: '203.0.113.5' },
    ]);
    expect(shown[1]['OS-EXT-IPS-MAC:mac_addr']).toBe(shown[0]['OS-EXT-IPS-MAC:mac_addr']);
  });

  test('interfaces have their port’s ids, state and addresses, and a tag from 2.70 on', async () => {
    const list = (await call('GET', '/os-interface')).body.interfaceAttachments;
    expect(list).toEqual([
      {
        net_id: expect.any(String),
        port_id: expect.any(String),
        mac_addr: expect.stringMatching(/^fa:16:3e/),
        port_state: 'DOWN',
        fixed_ips: [{ ip_address: expect.any(String), subnet_id: expect.any(String) }],
      },
    ]);
    const one = await call('GET', `/os-interface/${list[0].port_id}`, { version: '2.70' });
    expect(one.body.interfaceAttachment).toEqual({ ...list[0], tag: null });
    expect((await call('GET', '/os-interface/nobody')).status).toBe(404);
  });

  test('there are no volumes', async () => {
    expect((await call('GET', '/os-volume_attachments')).body).toEqual({ volumeAttachments: [] });
  });
});

test('a second tenant finds none of it, a reader changes none of it', async () => {
  const reads = ['/metadata', '/metadata/role', '/tags', '/ips', '/ips/demo', '/os-interface', '/os-instance-actions'];
  for (const path of [...reads, '/tags/a', '/os-interface/x', '/os-instance-actions/x', '/os-volume_attachments'])
    expect([path, (await call('GET', path, { token: 'other', version: '2.60' })).status]).toEqual([path, 404]);
  for (const path of reads)
    expect([path, (await call('GET', path, { token: 'reader', version: '2.60' })).status]).toEqual([path, 200]);
  for (const [method, path, body] of [
    ['POST', '/metadata', { metadata: {} }],
    ['PUT', '/metadata', { metadata: {} }],
    ['PUT', '/metadata/a', { meta: { a: 'b' } }],
    ['DELETE', '/metadata/role'],
    ['PUT', '/tags', { tags: [] }],
    ['PUT', '/tags/a'],
    ['DELETE', '/tags'],
    ['DELETE', '/tags/a'],
    ['POST', '/os-interface', {}],
    ['DELETE', '/os-interface/x'],
  ] as const) {
    const options = { version: '2.60', ...(body ? { body } : {}) };
    expect([method, path, (await call(method, path, { ...options, token: 'reader' })).status]).toEqual([
      method,
      path,
      403,
    ]);
    expect([method, path, (await call(method, path, { ...options, token: 'other' })).status]).toEqual([
      method,
      path,
      404,
    ]);
  }
});

describe('instance actions', () => {
  const list = async (query = '', version = '2.1', token = 'demo') =>
    (await call('GET', `/os-instance-actions${query}`, { version, token })).body;
  const action = ['action', 'instance_uuid', 'message', 'project_id', 'request_id', 'start_time', 'user_id'];
  const event = ['event', 'finish_time', 'result', 'start_time'];

  test('are the newest first, with exactly their keys', async () => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    await call('POST', '/action', { body: { 'os-stop': null } });
    const { instanceActions } = await list();
    expect(instanceActions.map((one: { action: string }) => one.action)).toEqual(['stop', 'create']);
    expect(keys(instanceActions[0])).toEqual(action);
    expect(instanceActions[1]).toMatchObject({
      instance_uuid: id,
      message: null,
      project_id: 'demo-project',
      user_id: 'demo-user',
    });
    expect(instanceActions[0].start_time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
    expect(keys((await list('', '2.58')).instanceActions[0])).toEqual([...action, 'updated_at'].sort());
  });

  test('show events to administrators always, to owners from 2.51 on without what may name hosts', async () => {
    const [{ request_id }] = (await list()).instanceActions;
    const show = async (version: string, token = 'demo') =>
      (await call('GET', `/os-instance-actions/${request_id}`, { version, token })).body.instanceAction;
    expect(await show('2.50')).not.toHaveProperty('events');
    expect(keys((await show('2.51')).events[0])).toEqual(event);
    expect(keys((await show('2.62')).events[0])).toEqual([...event, 'hostId'].sort());
    expect(keys((await show('2.1', 'admin')).events[0])).toEqual([...event, 'traceback'].sort());
    const full = (await show('2.62', 'admin')).events[0];
    expect(keys(full)).toEqual([...event, 'host', 'hostId', 'traceback'].sort());
    expect(full).toMatchObject({ event: 'compute_spawn', result: 'Success', traceback: null, host: 'h1' });
    expect(await show('2.84')).toMatchObject({ events: [{ details: null }] });
    expect((await call('GET', '/os-instance-actions/req-nobody')).status).toBe(404);
  });

  test('say that they failed', async () => {
    const answer = await call('POST', '/action', { body: { 'os-stop': null } });
    const request_id = answer.headers.get('x-compute-request-id') ?? '';
    await cloud.cloud.db.write(async (session) => {
      const task = await session.findOne(tasks, { request_id });
      const when = { started_at: 1, ended_at: 2 };
      await session.insert(taskEvents, {
        task_id: task?.id ?? '',
        resource_id: id,
        step: 'apply',
        ...when,
        outcome: 'fail',
        message: 'the domain did not stop',
      });
    });
    const shown = (await call('GET', `/os-instance-actions/${request_id}`, { token: 'admin' })).body.instanceAction;
    expect(shown).toMatchObject({
      action: 'stop',
      message: 'Error',
      events: [{ result: 'Error', traceback: 'the domain did not stop' }],
    });
  });

  test('a delete during a create is recorded beside it', async () => {
    const body = { server: { name: 'short', flavorRef: 'small', imageRef: image } };
    id = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server.id;
    await call('DELETE', '');
    await call('DELETE', '');
    const names = (await list()).instanceActions.map((one: { action: string }) => one.action);
    expect(names.sort()).toEqual(['create', 'delete']);
  });

  test('page and filter from 2.58 on', async () => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    await call('POST', '/action', { body: { lock: null } });
    const first = await list('?limit=1', '2.58');
    expect(first.instanceActions.map((one: { action: string }) => one.action)).toEqual(['lock']);
    expect(first.links[0].rel).toBe('next');
    const next = new URL(first.links[0].href);
    expect((await list(next.search, '2.58')).instanceActions.map((one: { action: string }) => one.action)).toEqual([
      'create',
    ]);
    expect((await list('?limit=1', '2.57')).instanceActions).toHaveLength(2);
    expect((await list('?limit=0', '2.58')).instanceActions).toEqual([]);
    expect((await list('?changes-since=2100-01-01T00:00:00Z', '2.58')).instanceActions).toEqual([]);
    expect((await list('?changes-before=2000-01-01T00:00:00Z', '2.66')).instanceActions).toEqual([]);
    for (const query of [
      '?marker=req-nobody',
      '?colour=red',
      '?changes-since=soon',
      '?changes-before=2000-01-01T00:00:00Z',
    ])
      expect([query, (await call('GET', `/os-instance-actions${query}`, { version: '2.58' })).status]).toEqual([
        query,
        400,
      ]);
    const turned = '?changes-since=2020-01-02T00:00:00Z&changes-before=2020-01-01T00:00:00Z';
    expect((await call('GET', `/os-instance-actions${turned}`, { version: '2.66' })).status).toBe(400);
  });

  test('of deleted servers are shown from 2.21 on', async () => {
    await set({ deleted_at: 1, vm_state: 'deleted' });
    expect((await call('GET', '/os-instance-actions', { version: '2.20' })).status).toBe(404);
    expect((await list('', '2.21')).instanceActions).toHaveLength(1);
  });
});
