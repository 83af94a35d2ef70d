// Status codes to the number: Terraform's client refuses any that its call does not list.
import { makeFlavor, makeImage, settle } from '../../support/computeFixtures';
import { startIdentity, type IdentityCloud } from '../../support/identity';
import { activeImage, createImage, upload } from '../../support/images';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let identity: IdentityCloud;
let image: string;
const { network, subnet, port, router, group, external, call: neutron } = networkCalls(() => cloud);
const compute = (method: string, path: string, body?: unknown, version = '2.1', token = 'demo') =>
  cloud.call(method, `/compute/v2.1${path}`, { token, body, headers: { 'x-openstack-nova-api-version': version } });
const server = async (): Promise<string> => {
  const body = { server: { name: 'x', flavorRef: 'small', imageRef: image, networks: 'none' } };
  const { id } = (await compute('POST', '/servers', body, '2.37')).body.server;
  await settle(cloud, id as string, { host: 'h1' });
  return id as string;
};
/** Status, and whether there is a body. */
const short = (answer: Answer): [number, boolean] => [answer.status, answer.body !== ''];
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrlX9nYuLz8Xk3FVfV7iDUyVCkdnoTgDSqxVqPoQH2D test';

beforeAll(async () => {
  [cloud, identity] = await Promise.all([startTestCloud(), startIdentity()]);
  image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
});
afterAll(() => Promise.all([cloud.stop(), identity.stop()]));

describe('compute', () => {
  test('a server: POST 202, DELETE 204 without a body', async () => {
    const body = { server: { name: 'x', flavorRef: 'small', imageRef: image } };
    const made = await compute('POST', '/servers', body);
    expect(made.status).toBe(202);
    expect(short(await compute('DELETE', `/servers/${made.body.server.id as string}`))).toEqual([204, false]);
  });

  test.each([
    [{ lock: null }],
    [{ unlock: null }],
    [{ 'os-stop': null }],
    [{ reboot: { type: 'SOFT' } }],
    [{ pause: null }],
    [{ suspend: null }],
    [{ forceDelete: null }],
  ])('the action %j: 202 with an empty body', async (action) => {
    expect(short(await compute('POST', `/servers/${await server()}/action`, action))).toEqual([202, false]);
  });

  test('rebuild: 202 with the server', async () => {
    const answer = await compute('POST', `/servers/${await server()}/action`, { rebuild: { imageRef: image } });
    expect([answer.status, Object.keys(answer.body)]).toEqual([202, ['server']]);
  });

  test('metadata 200 and 204, tags 201 for a new one, 204 for one that is there', async () => {
    const at = `/servers/${await server()}`;
    const metadata = { metadata: { a: '1' } };
    expect(short(await compute('POST', `${at}/metadata`, metadata))).toEqual([200, true]);
    expect(short(await compute('PUT', `${at}/metadata`, metadata))).toEqual([200, true]);
    expect(short(await compute('PUT', `${at}/metadata/a`, { meta: { a: '2' } }))).toEqual([200, true]);
    expect(short(await compute('DELETE', `${at}/metadata/a`))).toEqual([204, false]);
    const tag = (method: string, path: string, body?: object) => compute(method, `${at}/tags${path}`, body, '2.26');
    const added = await tag('PUT', '/blue');
    expect(short(added)).toEqual([201, false]);
    expect(added.headers.get('location')).toBe(`${cloud.url}/compute/v2.1${at}/tags/blue`);
    expect(short(await tag('PUT', '/blue'))).toEqual([204, false]);
    expect(short(await tag('GET', '/blue'))).toEqual([204, false]);
    expect(short(await tag('PUT', '', { tags: ['green'] }))).toEqual([200, true]);
    expect(short(await tag('DELETE', '/green'))).toEqual([204, false]);
    expect(short(await tag('DELETE', ''))).toEqual([204, false]);
  });

  test('a key pair: POST 200 and DELETE 202, from 2.2 on 201 and 204', async () => {
    for (const [version, post, remove] of [
      ['2.1', 200, 202],
      ['2.2', 201, 204],
    ] as const) {
      const keypair = { name: 'key', public_key: KEY };
      expect(short(await compute('POST', '/os-keypairs', { keypair }, version))).toEqual([post, true]);
      expect(short(await compute('DELETE', '/os-keypairs/key', undefined, version))).toEqual([remove, false]);
    }
  });

  test('a flavor: POST 200, DELETE 202; extra specs POST, PUT and DELETE 200; access 200', async () => {
    const admin = (method: string, path: string, body?: unknown) => compute(method, path, body, '2.1', 'admin');
    const flavor = { name: 'f', id: 'f', ram: 1, vcpus: 1, disk: 0, 'os-flavor-access:is_public': false };
    expect(short(await admin('POST', '/flavors', { flavor }))).toEqual([200, true]);
    const specs = '/flavors/f/os-extra_specs';
    expect(short(await admin('POST', specs, { extra_specs: { 'hw:a': '1' } }))).toEqual([200, true]);
    expect(short(await admin('PUT', `${specs}/hw:a`, { 'hw:a': '2' }))).toEqual([200, true]);
    expect(short(await admin('DELETE', `${specs}/hw:a`))).toEqual([200, false]);
    for (const verb of ['addTenantAccess', 'removeTenantAccess'])
      expect(short(await admin('POST', '/flavors/f/action', { [verb]: { tenant: 'demo-project' } }))).toEqual([
        200,
        true,
      ]);
    expect(short(await admin('DELETE', '/flavors/f'))).toEqual([202, false]);
  });

  test('quotas: PUT 200, DELETE 202', async () => {
    const at = '/os-quota-sets/some-project';
    expect(short(await compute('PUT', at, { quota_set: { cores: 3 } }, '2.1', 'admin'))).toEqual([200, true]);
    expect(short(await compute('DELETE', at, undefined, '2.1', 'admin'))).toEqual([202, false]);
  });
});

describe('identity', () => {
  test.each([
    ['projects', 'project', { name: 'one' }],
    ['users', 'user', { name: 'one' }],
    ['groups', 'group', { name: 'one' }],
    ['roles', 'role', { name: 'one' }],
    ['domains', 'domain', { name: 'one', enabled: false }],
    ['regions', 'region', { id: 'one' }],
    ['services', 'service', { type: 'one' }],
  ])('%s: POST 201, PATCH 200, DELETE 204', async (path, member, values) => {
    const made = await identity.call('POST', `/${path}`, { [member]: values });
    expect(made.status).toBe(201);
    const at = `/${path}/${made.body[member].id as string}`;
    expect(short(await identity.call('PATCH', at, { [member]: { description: 'd' } }))).toEqual([200, true]);
    expect(short(await identity.call('DELETE', at))).toEqual([204, false]);
  });

  test('grants: PUT, HEAD and DELETE 204', async () => {
    const [project, person] = [await identity.project('grants'), await identity.person('granted')];
    const at = `/projects/${project}/users/${person.id}/roles/${identity.roles['member'] ?? ''}`;
    for (const method of ['PUT', 'HEAD', 'DELETE'])
      expect([method, ...short(await identity.call(method, at))]).toEqual([method, 204, false]);
    expect((await identity.call('HEAD', at)).status).toBe(404);
  });

  test('own password 204; an enabled domain is not deleted: 403', async () => {
    const person = await identity.person('changer');
    const body = { user: { original_password: person.password, password: 'another' } };
    expect(short(await identity.call('POST', `/users/${person.id}/password`, body))).toEqual([204, false]);
    const domain = await identity.domain('enabled');
    expect((await identity.call('DELETE', `/domains/${domain}`)).status).toBe(403);
  });

  test('a token: POST 201, GET and HEAD 200 with X-Subject-Token, DELETE 204; Vary is X-Auth-Token on all, errors too', async () => {
    const person = await identity.person('holder');
    const issued = await identity.login({ id: person.id }, person.password);
    const token = issued.headers.get('x-subject-token') ?? '';
    const subject = { 'x-subject-token': token };
    const [shown, head, gone, again] = [
      await identity.call('GET', '/auth/tokens', undefined, identity.admin, subject),
      await identity.call('HEAD', '/auth/tokens', undefined, identity.admin, subject),
      await identity.call('DELETE', '/auth/tokens', undefined, identity.admin, subject),
      await identity.call('GET', '/auth/tokens', undefined, identity.admin, subject),
    ];
    expect([issued, shown, head, gone, again].map(short)).toEqual([
      [201, true],
      [200, true],
      [200, false],
      [204, false],
      [404, true],
    ]);
    for (const answer of [issued, shown, head]) expect(answer.headers.get('x-subject-token')).toBe(token);
    for (const answer of [issued, shown, head, gone, again]) expect(answer.headers.get('vary')).toBe('X-Auth-Token');
  });
});

describe('network', () => {
  test('POST 201, PUT 200, DELETE 204 for every noun of a tenant', async () => {
    const { network: outside } = await external();
    const inside = await network();
    const range = await subnet(inside.id as string);
    const made: [string, string, string][] = [
      ['ports', 'port', (await port(inside.id as string)).id],
      ['routers', 'router', (await router()).id],
      ['security-groups', 'security_group', (await group()).id],
      ['subnets', 'subnet', range.id],
      ['networks', 'network', inside.id],
    ];
    const floating = await neutron('POST', '/floatingips', { floatingip: { floating_network_id: outside.id } });
    expect(floating.status).toBe(201);
    made.push(['floatingips', 'floatingip', floating.body.floatingip.id]);
    for (const [path, member, id] of made) {
      const changed = await neutron('PUT', `/${path}/${id}`, { [member]: { description: 'd' } });
      expect([path, ...short(changed)]).toEqual([path, 200, true]);
      expect([path, ...short(await neutron('DELETE', `/${path}/${id}`))]).toEqual([path, 204, false]);
    }
  });

  test('add and remove of a router interface: 200 with the port, the subnet and the project', async () => {
    const [way, inside] = [await router(), await network()];
    const range = await subnet(inside.id as string, { cidr: '10.9.0.0/24' });
    for (const verb of ['add', 'remove']) {
      const answer = await neutron('PUT', `/routers/${way.id as string}/${verb}_router_interface`, {
        subnet_id: range.id,
      });
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({
        id: way.id,
        subnet_id: range.id,
        subnet_ids: [range.id],
        port_id: expect.any(String),
        network_id: inside.id,
        tenant_id: 'demo-project',
        project_id: 'demo-project',
        tags: [],
      });
    }
  });

  test('a tag: PUT 201, all tags: PUT 200; several networks in one POST: the plural key, all or none', async () => {
    const { id } = await network();
    expect(short(await neutron('PUT', `/networks/${id as string}/tags/blue`))).toEqual([201, expect.any(Boolean)]);
    expect(short(await neutron('PUT', `/networks/${id as string}/tags`, { tags: ['b'] }))).toEqual([200, true]);
    const both = await neutron('POST', '/networks', { networks: [{ name: 'b1' }, { name: 'b2' }] });
    expect(both).toMatchObject({ status: 201, body: { networks: [{ name: 'b1' }, { name: 'b2' }] } });
    const bad = await neutron('POST', '/networks', { networks: [{ name: 'b3' }, { name: 'b4', mtu: 'wide' }] });
    expect(bad.status).toBe(400);
    expect((await neutron('GET', '/networks?name=b3')).body.networks).toEqual([]);
  });
});

describe('image', () => {
  test('POST 201 with Location, PATCH 200, PUT file 204, GET file 200 and 206, DELETE 204', async () => {
    const made = await cloud.call('POST', '/image/v2/images', {
      body: { name: 'x', disk_format: 'raw', container_format: 'bare' },
    });
    const at = `/image/v2/images/${made.body.id as string}`;
    expect([made.status, made.headers.get('location')]).toEqual([201, cloud.url + at]);
    expect(short(await cloud.call('GET', `${at}/file`))).toEqual([204, false]);
    expect(short(await upload(cloud, made.body.id as string, '0123456789'))).toEqual([204, false]);
    const change = {
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
      body: '[{"op": "replace", "path": "/name", "value": "y"}]',
    };
    expect(short(await cloud.call('PATCH', at, change))).toEqual([200, true]);
    expect(short(await cloud.call('GET', `${at}/file`))).toEqual([200, true]);
    const part = await cloud.call('GET', `${at}/file`, { headers: { range: 'bytes=2-4' } });
    expect([part.status, part.body, part.headers.get('content-range')]).toEqual([206, '234', 'bytes 2-4/10']);
    expect(short(await cloud.call('DELETE', at))).toEqual([204, false]);
  });

  test('stage 204 and import 202; members 200 and 204; tags and activation 204', async () => {
    const staged = await createImage(cloud);
    const bytes = { body: 'bytes', headers: { 'content-type': 'application/octet-stream' } };
    expect(short(await cloud.call('PUT', `/image/v2/images/${staged.id as string}/stage`, bytes))).toEqual([
      204,
      false,
    ]);
    const body = { method: { name: 'glance-direct' } };
    const imported = await cloud.call('POST', `/image/v2/images/${staged.id as string}/import`, { body });
    expect(imported.status).toBe(202);
    const { id } = await activeImage(cloud);
    const call = (method: string, path: string, more: object = {}) =>
      cloud.call(method, `/image/v2/images/${id as string}${path}`, more);
    expect((await call('POST', '/members', { body: { member: 'other-project' } })).status).toBe(200);
    const accepted = { token: 'other', body: { status: 'accepted' } };
    expect((await call('PUT', '/members/other-project', accepted)).status).toBe(200);
    expect(short(await call('DELETE', '/members/other-project'))).toEqual([204, false]);
    for (const method of ['PUT', 'DELETE']) expect(short(await call(method, '/tags/blue'))).toEqual([204, false]);
    for (const verb of ['deactivate', 'reactivate'])
      expect(short(await call('POST', `/actions/${verb}`, { token: 'admin' }))).toEqual([204, false]);
  });
});
