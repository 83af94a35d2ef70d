// Who may do what with whose image: private, shared, community and public ones, members and their answers, foreign tenants.
import { activeImage, createImage, patch, startImageCloud, upload } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startImageCloud({ max_members: 2 });
});
afterAll(() => cloud.stop());

const call = (method: string, id: string, more: string, token: string, body?: unknown) =>
  cloud.call(method, `/image/v2/images/${id}${more}`, { token, ...(body === undefined ? {} : { body }) });
const change = [{ op: 'add', path: '/note', value: 'mine' }];

/** Statuses of everything a caller may try on an image. */
async function attempts(id: string, token: string): Promise<Record<string, number>> {
  return {
    show: (await call('GET', id, '', token)).status,
    download: (await call('GET', id, '/file', token)).status,
    patch: (await patch(cloud, id, change, token)).status,
    tag: (await call('PUT', id, '/tags/t', token)).status,
    untag: (await call('DELETE', id, '/tags/none', token)).status,
    upload: (await upload(cloud, id, 'x', token)).status,
    stage: (
      await cloud.call('PUT', `/image/v2/images/${id}/stage`, {
        token,
        body: 'x',
        headers: { 'content-type': 'application/octet-stream' },
      })
    ).status,
    import: (await call('POST', id, '/import', token, { method: { name: 'glance-direct' } })).status,
    deactivate: (await call('POST', id, '/actions/deactivate', token)).status,
    reactivate: (await call('POST', id, '/actions/reactivate', token)).status,
    share: (await call('POST', id, '/members', token, { member: 'x' })).status,
    members: (await call('GET', id, '/members', token)).status,
    member: (await call('GET', id, '/members/demo-project', token)).status,
    answer: (await call('PUT', id, '/members/demo-project', token, { status: 'accepted' })).status,
    unshare: (await call('DELETE', id, '/members/demo-project', token)).status,
    tasks: (await call('GET', id, '/tasks', token)).status,
    delete: (await call('DELETE', id, '', token)).status,
  };
}

const all = (status: number): Record<string, number> =>
  Object.fromEntries(
    'show download patch tag untag upload stage import deactivate reactivate share members member answer unshare tasks delete'
      .split(' ')
      .map((name) => [name, status]),
  );

test.each(['private', 'shared'])("another tenant's %s image does not exist, whatever is tried", async (visibility) => {
  const { id } = await activeImage(cloud, { visibility });
  expect(await attempts(id, 'other')).toEqual(all(404));
  expect((await call('GET', id, '', 'demo')).body).toMatchObject({ status: 'active', tags: [] });
});

test.each(['community', 'public'])("another tenant's %s image can be used but not changed", async (visibility) => {
  const { id } = await activeImage(cloud, { visibility }, visibility === 'public' ? 'admin' : 'demo');
  expect(await attempts(id, 'other')).toEqual({
    ...all(403),
    show: 200,
    download: 200,
    tasks: 200,
    member: 404,
    import: 409,
  });
});

test('a reader sees the images of its project and changes nothing', async () => {
  const { id } = await activeImage(cloud);
  expect(await attempts(id, 'reader')).toEqual({
    ...all(403),
    show: 200,
    members: 200,
    member: 404,
    answer: 404,
    tasks: 200,
    import: 409,
  });
});

test('an administrator may do everything', async () => {
  const { id } = await activeImage(cloud);
  const statuses = await attempts(id, 'admin');
  expect(statuses).toMatchObject({ show: 200, download: 200, patch: 200, tag: 204, deactivate: 204, delete: 204 });
});

test('only administrators publish; communities are for everybody', async () => {
  const { id } = await createImage(cloud);
  const set = (value: string, token: string) =>
    patch(cloud, id, [{ op: 'replace', path: '/visibility', value }], token);
  expect((await set('public', 'demo')).status).toBe(403);
  expect((await set('community', 'demo')).body.visibility).toBe('community');
  expect((await set('public', 'admin')).body.visibility).toBe('public');
  expect((await set('private', 'demo')).body.visibility).toBe('private');
});

describe('members', () => {
  test('the owner shares, the member answers, both see their part', async () => {
    const { id } = await activeImage(cloud);
    const added = await call('POST', id, '/members', 'demo', { member: 'other-project' });
    expect(added.status).toBe(200);
    expect(added.body).toEqual({
      image_id: id,
      member_id: 'other-project',
      status: 'pending',
      created_at: expect.stringMatching(/Z$/) as string,
      updated_at: expect.stringMatching(/Z$/) as string,
      schema: '/v2/schemas/member',
    });
    await call('POST', id, '/members', 'demo', { member: 'third-project' });
    const seen = async (token: string): Promise<string[]> =>
      (await call('GET', id, '/members', token)).body.members.map((one: { member_id: string }) => one.member_id);
    expect(await seen('demo')).toEqual(['other-project', 'third-project']);
    expect(await seen('other')).toEqual(['other-project']);
    expect((await call('GET', id, '/members', 'demo')).body.schema).toBe('/v2/schemas/members');
    expect((await call('GET', id, '', 'other')).status).toBe(200);
    expect((await call('GET', id, '/file', 'other')).body).toBe('some bytes');
    const answer = await call('PUT', id, '/members/other-project', 'other', { status: 'accepted' });
    expect(answer.body).toMatchObject({ status: 'accepted', member_id: 'other-project' });
    expect((await call('GET', id, '/members/other-project', 'demo')).body.status).toBe('accepted');
    expect((await call('GET', id, '/members/third-project', 'other')).status).toBe(404);
    expect((await call('PUT', id, '/members/third-project', 'other', { status: 'accepted' })).status).toBe(404);
  });

  test('a member may not change the image nor whom it is shared with', async () => {
    const { id } = await activeImage(cloud);
    await call('POST', id, '/members', 'demo', { member: 'other-project' });
    expect(await attempts(id, 'other')).toEqual({
      ...all(403),
      show: 200,
      download: 200,
      members: 200,
      member: 404,
      answer: 404,
      tasks: 200,
      import: 409,
    });
    expect((await call('DELETE', id, '/members/other-project', 'other')).status).toBe(403);
  });

  test('the owner may not answer for a member, an administrator may', async () => {
    const { id } = await createImage(cloud);
    await call('POST', id, '/members', 'demo', { member: 'other-project' });
    expect((await call('PUT', id, '/members/other-project', 'demo', { status: 'accepted' })).status).toBe(403);
    expect((await call('PUT', id, '/members/other-project', 'admin', { status: 'rejected' })).body.status).toBe(
      'rejected',
    );
  });

  test('without its membership a project does not know the image', async () => {
    const { id } = await createImage(cloud);
    await call('POST', id, '/members', 'demo', { member: 'other-project' });
    expect((await call('DELETE', id, '/members/other-project', 'demo')).status).toBe(204);
    expect((await call('DELETE', id, '/members/other-project', 'demo')).status).toBe(404);
    expect((await call('GET', id, '', 'other')).status).toBe(404);
  });

  test('an image that is private again is hidden from its members', async () => {
    const { id } = await createImage(cloud);
    await call('POST', id, '/members', 'demo', { member: 'other-project' });
    await patch(cloud, id, [{ op: 'replace', path: '/visibility', value: 'private' }]);
    expect((await call('GET', id, '', 'other')).status).toBe(404);
    expect((await call('POST', id, '/members', 'demo', { member: 'x' })).status).toBe(403);
    expect((await call('GET', id, '/members', 'demo')).status).toBe(403);
    expect((await call('GET', id, '/members/other-project', 'demo')).status).toBe(404);
    expect((await call('PUT', id, '/members/other-project', 'demo', { status: 'accepted' })).status).toBe(403);
    expect((await call('DELETE', id, '/members/other-project', 'demo')).status).toBe(403);
  });

  test.each([
    ['POST', '/members', undefined, 400],
    ['POST', '/members', [], 400],
    ['POST', '/members', {}, 400],
    ['POST', '/members', { member: '' }, 400],
    ['POST', '/members', { member: 7 }, 400],
    ['POST', '/members', { member: 'x'.repeat(256) }, 400],
    ['POST', '/members', { member: 'other-project' }, 409],
    ['PUT', '/members/other-project', undefined, 400],
    ['PUT', '/members/other-project', {}, 400],
    ['PUT', '/members/other-project', { status: null }, 400],
    ['PUT', '/members/other-project', { status: 'maybe' }, 400],
  ])('%s %s %j is refused', async (method, more, body, status) => {
    const { id } = await createImage(cloud);
    await call('POST', id, '/members', 'demo', { member: 'other-project' });
    expect((await call(method, id, more, method === 'PUT' ? 'other' : 'demo', body)).status).toBe(status);
  });

  test('there is a limit of members', async () => {
    const { id } = await createImage(cloud);
    for (const member of ['one', 'two']) {
      expect((await call('POST', id, '/members', 'demo', { member })).status).toBe(200);
    }
    const refused = await call('POST', id, '/members', 'demo', { member: 'three' });
    expect(refused.status).toBe(413);
    expect(refused.body.message).toContain('Maximum: 2');
  });
});
