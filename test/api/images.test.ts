// Image records over HTTP: versions, create, show, change, delete, tags, activation, schemas and discovery.
import { activeImage, createImage, patch, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud({ max_properties: 4, max_tags: 3 });
});
afterAll(() => cloud.stop());

const UNKNOWN = '6f1a2b3c-0000-4000-8000-000000000000';
const path = (id: string, more = ''): string => `/image/v2/images/${id}${more}`;
const show = async (id: string, token = 'demo') => (await cloud.call('GET', path(id), { token })).body;

describe('versions', () => {
  test.each(['/image', '/image/'])('%s lists every minor version without a token', async (url) => {
    const answer = await cloud.call('GET', url, { token: null });
    expect(answer.status).toBe(300);
    const { versions } = answer.body;
    expect(versions[0]).toEqual({
      id: 'v2.15',
      status: 'CURRENT',
      links: [{ rel: 'self', href: `${cloud.url}/image/v2/` }],
    });
    expect(versions.slice(1).every((one: { status: string }) => one.status === 'SUPPORTED')).toBe(true);
    expect(versions.at(-1).id).toBe('v2.0');
  });

  test('/image/versions is the same document with 200', async () => {
    expect((await cloud.call('GET', '/image/versions', { token: null })).status).toBe(200);
  });

  test('/image/v2 has no document', async () => {
    expect((await cloud.call('GET', '/image/v2/')).status).toBe(404);
  });
});

describe('create', () => {
  test('answers 201 with every attribute and the headers of discovery', async () => {
    const answer = await cloud.call('POST', '/image/v2/images', {
      body: {
        name: 'debian',
        disk_format: 'qcow2',
        container_format: 'bare',
        min_disk: 2,
        min_ram: 256,
        tags: ['b', 'a', 'a'],
        os_distro: 'debian',
        'owner_specified.openstack.md5': '',
      },
    });
    expect(answer.status).toBe(201);
    const { id } = answer.body;
    expect(answer.headers.get('location')).toBe(`${cloud.url}/image/v2/images/${id}`);
    expect(answer.headers.get('openstack-image-import-methods')).toBe('glance-direct');
    expect(answer.headers.get('openstack-image-store-ids')).toBe('file');
    expect(answer.headers.get('x-openstack-request-id')).toMatch(/^req-/);
    expect(answer.body).toEqual({
      id,
      name: 'debian',
      status: 'queued',
      visibility: 'shared',
      os_hidden: false,
      protected: false,
      owner: 'demo-project',
      container_format: 'bare',
      disk_format: 'qcow2',
      min_disk: 2,
      min_ram: 256,
      size: null,
      virtual_size: null,
      checksum: null,
      os_hash_algo: null,
      os_hash_value: null,
      tags: ['a', 'b'],
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
      updated_at: answer.body.created_at,
      self: `/v2/images/${id}`,
      file: `/v2/images/${id}/file`,
      schema: '/v2/schemas/image',
      os_distro: 'debian',
      'owner_specified.openstack.md5': '',
    });
    expect(await show(id)).toEqual(answer.body);
  });

  test('an empty body is an image without anything', async () => {
    const answer = await cloud.call('POST', '/image/v2/images', { body: {} });
    expect(answer.body).toMatchObject({ name: null, disk_format: null, container_format: null });
  });

  test('a chosen id is used once and never again, not even after a delete', async () => {
    const id = '11111111-2222-4333-8444-555555555555';
    await createImage(cloud, { id });
    expect((await cloud.call('POST', '/image/v2/images', { body: { id } })).status).toBe(409);
    expect((await cloud.call('DELETE', path(id))).status).toBe(204);
    const again = await cloud.call('POST', '/image/v2/images', { body: { id }, token: 'other' });
    expect(again.status).toBe(409);
    expect(again.body.message).toContain('already exists');
  });

  test.each([
    ['no body', undefined, 400],
    ['a list', [], 400],
    ['a text', '"x"', 400],
    ['malformed JSON', '{', 400],
    ['a bad id', { id: 'x' }, 400],
    ['a name that is a number', { name: 1 }, 400],
    ['a long name', { name: 'x'.repeat(256) }, 400],
    ['an unknown disk format', { disk_format: 'zip' }, 400],
    ['an unknown container format', { container_format: 'zip' }, 400],
    ['an unknown visibility', { visibility: 'secret' }, 400],
    ['a property that is no text', { os_version: 12 }, 400],
    ['a property that is null', { os_version: null }, 400],
    ['a long property name', { ['x'.repeat(256)]: 'a' }, 400],
    ['a text for a flag', { protected: 'true' }, 400],
    ['a negative minimum', { min_ram: -1 }, 400],
    ['a minimum beyond 32 bits', { min_disk: 2 ** 31 }, 400],
    ['tags that are no list', { tags: 'a' }, 400],
    ['a long tag', { tags: ['x'.repeat(256)] }, 400],
    ['a read-only link', { self: '/x' }, 403],
    ['a store', { stores: 'file' }, 403],
    ['a read-only attribute', { status: 'active' }, 403],
    ['a checksum', { checksum: 'a' }, 403],
    ['a reserved name', { location: 'x' }, 403],
    ['a reserved namespace', { os_glance_import_task: 'x' }, 403],
    ['locations', { locations: [] }, 403],
    ['another owner', { owner: 'other-project' }, 403],
    ['a public image by a member', { visibility: 'public' }, 403],
    ['too many properties', { a: '', b: '', c: '', d: '', e: '' }, 413],
    ['too many tags', { tags: ['a', 'b', 'c', 'd'] }, 413],
  ])('%s is refused', async (_name, body, status) => {
    const answer = await cloud.call('POST', '/image/v2/images', {
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({
      code: expect.stringContaining(`${status} `) as string,
      title: expect.any(String) as string,
      message: expect.stringMatching(/./) as string,
    });
  });

  test('an administrator may create for others and publish', async () => {
    const image = await createImage(cloud, { owner: 'other-project', visibility: 'public' }, 'admin');
    expect(image).toMatchObject({ owner: 'other-project', visibility: 'public' });
  });

  test('a reader may not create; nobody may without a token', async () => {
    expect((await cloud.call('POST', '/image/v2/images', { body: {}, token: 'reader' })).status).toBe(403);
    const answer = await cloud.call('POST', '/image/v2/images', { body: {}, token: null });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${cloud.url}/identity"`);
    expect(answer.body.error).toMatchObject({ code: 401, title: 'Unauthorized' });
  });
});

test.each([UNKNOWN, 'tiny', 'not a uuid'])('%s is no image: 404 everywhere', async (id) => {
  const url = path(encodeURIComponent(id));
  for (const [method, more] of [
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/file'],
    ['GET', '/members'],
    ['GET', '/tasks'],
    ['PUT', '/tags/a'],
    ['DELETE', '/tags/a'],
    ['POST', '/actions/deactivate'],
    ['POST', '/actions/reactivate'],
  ] as const) {
    const answer = await cloud.call(method, url + more);
    expect([method, more, answer.status]).toEqual([method, more, 404]);
    expect(answer.body).toMatchObject({ code: '404 Not Found', title: 'Not Found' });
  }
  expect((await patch(cloud, encodeURIComponent(id), [{ op: 'add', path: '/a', value: 'b' }])).status).toBe(404);
});

test('a method that a path does not have is 405 with those it has', async () => {
  const answer = await cloud.call('PUT', '/image/v2/images');
  expect(answer.status).toBe(405);
  expect(answer.headers.get('allow')).toBe('POST, GET');
});

describe('JSON patch', () => {
  test('add, replace and remove work on attributes, properties and tags, in order', async () => {
    const { id } = await createImage(cloud, { os_distro: 'debian', tags: ['old'] });
    const answer = await patch(cloud, id, [
      { op: 'replace', path: '/name', value: 'new name' },
      { op: 'add', path: '/min_ram', value: 512 },
      { op: 'replace', path: '/os_hidden', value: true },
      { op: 'replace', path: '/visibility', value: 'private' },
      { op: 'replace', path: '/disk_format', value: 'qcow2' },
      { op: 'add', path: '/a~1b~0c', value: 'pointer' },
      { op: 'replace', path: '/os_distro', value: 'alpine' },
      { op: 'add', path: '/gone', value: 'x' },
      { op: 'remove', path: '/gone' },
      { op: 'replace', path: '/tags', value: ['y', 'x', 'y'] },
    ]);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      name: 'new name',
      min_ram: 512,
      os_hidden: true,
      visibility: 'private',
      disk_format: 'qcow2',
      'a/b~c': 'pointer',
      os_distro: 'alpine',
      tags: ['x', 'y'],
    });
    expect(answer.body).not.toHaveProperty('gone');
    expect(await show(id)).toEqual(answer.body);
  });

  test('the oldest format is understood, and refuses to add what is there', async () => {
    const { id } = await createImage(cloud);
    expect((await patch(cloud, id, [{ add: '/a', value: 'b' }], 'demo', '2.0')).body).toMatchObject({ a: 'b' });
    expect((await patch(cloud, id, [{ add: '/a', value: 'c' }], 'demo', '2.0')).status).toBe(409);
    expect((await patch(cloud, id, [{ replace: '/a', value: 'c' }], 'demo', '2.0')).body).toMatchObject({ a: 'c' });
    expect((await patch(cloud, id, [{ remove: '/a' }], 'demo', '2.0')).body).not.toHaveProperty('a');
    expect((await patch(cloud, id, [{ add: '/a', remove: '/b', value: '' }], 'demo', '2.0')).status).toBe(400);
    expect((await patch(cloud, id, [{ path: '/a' }], 'demo', '2.0')).status).toBe(400);
  });

  test('no operations change nothing', async () => {
    const image = await createImage(cloud);
    expect((await patch(cloud, image.id, [])).body).toEqual(image);
  });

  test('one refused operation refuses all of them', async () => {
    const { id } = await createImage(cloud, { name: 'before' });
    const answer = await patch(cloud, id, [
      { op: 'replace', path: '/name', value: 'after' },
      { op: 'remove', path: '/missing' },
    ]);
    expect(answer.status).toBe(409);
    expect((await show(id)).name).toBe('before');
  });

  test.each([
    ['an object', {}, 400],
    ['a list of texts', ['x'], 400],
    ['no op', [{ path: '/a', value: 'b' }], 400],
    ['an unknown op', [{ op: 'copy', path: '/a', value: 'b' }], 400],
    ['no path', [{ op: 'add', value: 'b' }], 400],
    ['no value', [{ op: 'add', path: '/a' }], 400],
    ['a path that is a number', [{ op: 'add', path: 1, value: 'b' }], 400],
    ['a path without its slash', [{ op: 'add', path: 'a', value: 'b' }], 400],
    ['an empty path', [{ op: 'add', path: '/', value: 'b' }], 400],
    ['a double slash', [{ op: 'add', path: '/a//b', value: 'b' }], 400],
    ['a slash at the end', [{ op: 'add', path: '/a/', value: 'b' }], 400],
    ['a bad escape', [{ op: 'add', path: '/a~2', value: 'b' }], 400],
    ['a deep path', [{ op: 'add', path: '/a/b', value: 'b' }], 400],
    ['an element of the tags', [{ op: 'add', path: '/tags/-', value: 'b' }], 400],
    ['a long property name', [{ op: 'add', path: `/${'x'.repeat(256)}`, value: 'b' }], 400],
    ['a property that is no text', [{ op: 'add', path: '/a', value: 1 }], 400],
    ['a wrong type', [{ op: 'replace', path: '/min_ram', value: 'much' }], 400],
    ['a negative minimum', [{ op: 'replace', path: '/min_disk', value: -1 }], 400],
    ['a read-only attribute', [{ op: 'replace', path: '/status', value: 'active' }], 403],
    ['the id', [{ op: 'replace', path: '/id', value: UNKNOWN }], 403],
    ['the checksum', [{ op: 'remove', path: '/checksum' }], 403],
    ['a link', [{ op: 'replace', path: '/file', value: '/x' }], 403],
    ['a reserved name', [{ op: 'add', path: '/deleted', value: 'x' }], 403],
    ['a reserved namespace', [{ op: 'add', path: '/os_glance_x', value: 'x' }], 403],
    ['the locations', [{ op: 'add', path: '/locations/-', value: {} }], 403],
    ['the removal of an attribute', [{ op: 'remove', path: '/name' }], 403],
    ['the removal of the tags', [{ op: 'remove', path: '/tags' }], 403],
    ['another owner', [{ op: 'replace', path: '/owner', value: 'other-project' }], 403],
    ['a publication by a member', [{ op: 'replace', path: '/visibility', value: 'public' }], 403],
    ['a missing property to replace', [{ op: 'replace', path: '/none', value: 'x' }], 409],
    ['a missing property to remove', [{ op: 'remove', path: '/none' }], 409],
    ['too many properties', ['a', 'b', 'c', 'd', 'e'].map((name) => ({ op: 'add', path: `/${name}`, value: '' })), 413],
    ['too many tags', [{ op: 'replace', path: '/tags', value: ['a', 'b', 'c', 'd'] }], 413],
  ])('%s is refused', async (_name, operations, status) => {
    const { id } = await createImage(cloud);
    expect((await patch(cloud, id, operations)).status).toBe(status);
  });

  test('without a body it is refused', async () => {
    const { id } = await createImage(cloud);
    const answer = await cloud.call('PATCH', path(id), {
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    });
    expect(answer.status).toBe(400);
  });

  test('another content type is 415 and says which are accepted', async () => {
    const { id } = await createImage(cloud);
    const answer = await cloud.call('PATCH', path(id), { body: [] });
    expect(answer.status).toBe(415);
    expect(answer.headers.get('accept-patch')).toContain('application/openstack-images-v2.1-json-patch');
  });

  test('formats can be changed only while there is no data', async () => {
    const { id } = await activeImage(cloud);
    expect((await patch(cloud, id, [{ op: 'replace', path: '/disk_format', value: 'iso' }])).status).toBe(403);
  });

  test('an administrator gives an image another owner', async () => {
    const { id } = await createImage(cloud);
    const change = [{ op: 'replace', path: '/owner', value: 'other-project' }];
    expect((await patch(cloud, id, change, 'admin')).body.owner).toBe('other-project');
    expect((await cloud.call('GET', path(id))).status).toBe(404);
  });

  test('an empty Accept header is no obstacle', async () => {
    const { id } = await createImage(cloud);
    const answer = await cloud.call('PATCH', path(id), {
      body: '[{"op": "add", "path": "/a", "value": "b"}]',
      headers: { accept: '', 'content-type': 'application/openstack-images-v2.1-json-patch' },
    });
    expect(answer.status).toBe(200);
  });
});

describe('delete', () => {
  test('a protected image stays until it is not protected', async () => {
    const { id } = await createImage(cloud, { protected: true });
    const refused = await cloud.call('DELETE', path(id));
    expect(refused.status).toBe(403);
    expect(refused.body.message).toContain('is protected and cannot be deleted');
    await patch(cloud, id, [{ op: 'replace', path: '/protected', value: false }]);
    expect((await cloud.call('DELETE', path(id))).status).toBe(204);
    expect((await cloud.call('GET', path(id))).status).toBe(404);
    expect((await cloud.call('DELETE', path(id))).status).toBe(404);
  });

  test('a reader may not delete', async () => {
    const { id } = await createImage(cloud);
    expect((await cloud.call('DELETE', path(id), { token: 'reader' })).status).toBe(403);
  });
});

describe('tags', () => {
  test('are added once and removed', async () => {
    const { id } = await createImage(cloud);
    const tag = path(id, `/tags/${encodeURIComponent('a/b ü')}`);
    expect((await cloud.call('PUT', tag)).status).toBe(204);
    expect((await cloud.call('PUT', tag)).status).toBe(204);
    expect((await show(id)).tags).toEqual(['a/b ü']);
    expect((await cloud.call('DELETE', tag)).status).toBe(204);
    expect((await cloud.call('DELETE', tag)).status).toBe(404);
  });

  test('have limits in length and number', async () => {
    const { id } = await createImage(cloud, { tags: ['1', '2', '3'] });
    expect((await cloud.call('PUT', path(id, `/tags/${'x'.repeat(256)}`))).status).toBe(400);
    expect((await cloud.call('PUT', path(id, '/tags/4'))).status).toBe(413);
    expect((await cloud.call('PUT', path(id, '/tags/4'), { token: 'reader' })).status).toBe(403);
  });
});

describe('deactivation', () => {
  test('forbids the download to all but administrators until it is undone', async () => {
    const { id } = await activeImage(cloud);
    const act = (name: string, token = 'demo') => cloud.call('POST', path(id, `/actions/${name}`), { token });
    expect((await act('deactivate')).status).toBe(204);
    expect((await act('deactivate')).status).toBe(204);
    expect((await show(id)).status).toBe('deactivated');
    expect((await cloud.call('GET', path(id, '/file'))).status).toBe(403);
    expect((await cloud.call('GET', path(id, '/file'), { token: 'admin' })).body).toBe('some bytes');
    expect((await upload(cloud, id, 'other bytes')).status).toBe(409);
    expect((await act('reactivate')).status).toBe(204);
    expect((await act('reactivate')).status).toBe(204);
    expect((await cloud.call('GET', path(id, '/file'))).body).toBe('some bytes');
  });

  test('needs data and the right to it', async () => {
    const { id } = await createImage(cloud);
    expect((await cloud.call('POST', path(id, '/actions/deactivate'))).status).toBe(403);
    expect((await cloud.call('POST', path(id, '/actions/reactivate'))).status).toBe(403);
    expect((await cloud.call('POST', path(id, '/actions/deactivate'), { token: 'other' })).status).toBe(404);
    expect((await cloud.call('POST', path(id, '/actions/deactivate'), { token: 'reader' })).status).toBe(403);
  });
});

describe('schemas and discovery', () => {
  test('the image schema names every attribute and allows any text besides', async () => {
    const { body } = await cloud.call('GET', '/image/v2/schemas/image');
    expect(body.name).toBe('image');
    expect(body.additionalProperties).toEqual({ type: 'string' });
    const image = await activeImage(cloud);
    for (const key of Object.keys(image as object)) expect(body.properties).toHaveProperty([key]);
    expect(body.properties.disk_format.enum).toContain('qcow2');
  });

  test.each(['images', 'member', 'members'])('there is a schema of %s', async (name) => {
    const { body } = await cloud.call('GET', `/image/v2/schemas/${name}`);
    expect(body.name).toBe(name);
    expect(body.properties).toBeDefined();
  });

  test('import methods and stores are told', async () => {
    const info = await cloud.call('GET', '/image/v2/info/import');
    expect(info.body['import-methods'].value).toEqual(['glance-direct']);
    const { stores } = (await cloud.call('GET', '/image/v2/info/stores')).body;
    expect(stores).toEqual([{ id: 'file', description: expect.any(String) as string, default: 'true' }]);
    expect((await cloud.call('GET', '/image/v2/info/stores/detail')).status).toBe(403);
    const detail = await cloud.call('GET', '/image/v2/info/stores/detail', { token: 'admin' });
    expect(detail.body.stores[0]).toMatchObject({ id: 'file', type: 'file', properties: { chunk_size: 1_048_576 } });
  });

  test('data cannot be deleted from its only store', async () => {
    const { id } = await activeImage(cloud);
    const queued = await createImage(cloud);
    expect((await cloud.call('DELETE', `/image/v2/stores/file/${id}`)).status).toBe(403);
    expect((await cloud.call('DELETE', `/image/v2/stores/tape/${id}`)).status).toBe(409);
    expect((await cloud.call('DELETE', `/image/v2/stores/file/${queued.id}`)).status).toBe(409);
    expect((await cloud.call('DELETE', `/image/v2/stores/file/${UNKNOWN}`)).status).toBe(404);
  });
});
