// What else administrators change, or may not, through the placement API: providers, their aggregates, resource classes, allocations.
import { allocations, hosts } from '../../controller/src/db/entities/tasks';
import { NOBODY, placementScene } from '../support/placementScene';

const scene = placementScene();
const { call, status, generation } = scene;

describe('providers', () => {
  test('are hosts, so nobody makes or renames one', async () => {
    const made = await call('POST', '/resource_providers', { name: 'mine', uuid: NOBODY });
    expect([made.status, made.body.errors[0].detail]).toEqual([
      403,
      'Unable to create resource provider "mine": every host of the cloud is one, from when its agents register. There are no others.',
    ]);
    expect(await status('POST', '/resource_providers', { name: 'm', parent_provider_uuid: NOBODY }, '1.13')).toBe(400);
    expect(await status('POST', '/resource_providers', { name: 'm', uuid: 'none' })).toBe(400);
    const same = await call('PUT', `/resource_providers/${scene.id}`, { name: 'h1', parent_provider_uuid: null });
    expect([same.status, same.body.name]).toEqual([200, 'h1']);
    expect(await status('PUT', `/resource_providers/${scene.id}`, { name: 'h2' })).toBe(403);
    expect(await status('PUT', `/resource_providers/${scene.id}`, { name: 'h1', parent_provider_uuid: NOBODY })).toBe(
      400,
    );
    expect(
      await status('PUT', `/resource_providers/${scene.id}`, { name: 'h1', parent_provider_uuid: null }, '1.13'),
    ).toBe(400);
    expect(await status('PUT', `/resource_providers/${NOBODY}`, { name: 'h1' })).toBe(404);
  });

  test('are forgotten when nothing is left on them', async () => {
    const claim = { server_id: NOBODY, host: 'h1', vcpus: 1, memory_mib: 1, disk_gib: 1, created_at: 0 };
    await scene.cloud.cloud.db.write((session) => session.insert(allocations, claim));
    const used = await call('DELETE', `/resource_providers/${scene.id}`);
    expect([used.status, used.body.errors[0].code]).toEqual([409, 'placement.resource_provider.inuse']);
    await scene.cloud.cloud.db.write((session) => session.delete(allocations, { host: 'h1' }));
    expect(await status('DELETE', `/resource_providers/${scene.id}`)).toBe(204);
    expect(await status('DELETE', `/resource_providers/${scene.id}`)).toBe(404);
  });
});

describe('aggregates of a host', () => {
  const make = async (name: string, zone?: string): Promise<string> => {
    const body = { aggregate: { name, ...(zone === undefined ? {} : { availability_zone: zone }) } };
    const headers = { 'openstack-api-version': 'compute 2.41' };
    return (await scene.cloud.call('POST', '/compute/v2.1/os-aggregates', { token: 'admin', body, headers })).body
      .aggregate.uuid;
  };
  const path = (): string => `/resource_providers/${scene.id}/aggregates`;

  test('are those of the compute API, replaced as a whole', async () => {
    const [one, other, lab] = [await make('one'), await make('other'), await make('in-lab', 'lab')];
    const known = await generation();
    expect((await call('PUT', path(), [one, lab], '1.18')).body).toEqual({ aggregates: [one, lab] });
    expect(await generation()).toBe(known);
    const host = await scene.cloud.cloud.db.read((session) => session.findOne(hosts, { id: scene.id }));
    expect(host?.availability_zone).toBe('lab');
    const body = { aggregates: [other], resource_provider_generation: known };
    expect((await call('PUT', path(), body)).body).toEqual({
      aggregates: [other],
      resource_provider_generation: known + 1,
    });
    const conflict = await call('PUT', path(), body);
    expect([conflict.status, conflict.body.errors[0].code]).toEqual([409, 'placement.concurrent_update']);
    const list = (await scene.cloud.call('GET', '/compute/v2.1/os-aggregates', { token: 'admin' })).body.aggregates;
    expect(list.map((row: { hosts: string[] }) => row.hosts)).toEqual([[], ['h1'], []]);
    expect((await call('PUT', path(), { aggregates: [], resource_provider_generation: known + 1 })).status).toBe(200);
  });

  test('must exist', async () => {
    const body = { aggregates: [NOBODY], resource_provider_generation: await generation() };
    const answer = await call('PUT', path(), body);
    expect([answer.status, answer.body.errors[0].detail]).toEqual([
      400,
      `There is no aggregate ${NOBODY}. Aggregates are made by the compute API.`,
    ]);
    for (const wrong of [{}, ['none'], [NOBODY, NOBODY], { aggregates: [] }])
      expect([wrong, await status('PUT', path(), wrong, '1.18')]).toEqual([wrong, 400]);
    expect(await status('PUT', path(), [NOBODY])).toBe(400);
    expect(await status('PUT', path(), [NOBODY], '1.0')).toBe(404);
    expect(await status('PUT', `/resource_providers/${NOBODY}/aggregates`, [], '1.1')).toBe(404);
  });
});

describe('resource classes', () => {
  test('of their own are made, listed, renamed and deleted', async () => {
    expect(await status('GET', '/resource_classes', undefined, '1.1')).toBe(404);
    const made = await call('POST', '/resource_classes', { name: 'CUSTOM_GOLD' }, '1.2');
    expect([made.status, made.headers.get('location')]).toEqual([
      201,
      `${scene.cloud.url}/placement/resource_classes/CUSTOM_GOLD`,
    ]);
    expect(await status('POST', '/resource_classes', { name: 'CUSTOM_GOLD' })).toBe(409);
    const view = (name: string) => ({ name, links: [{ rel: 'self', href: `/placement/resource_classes/${name}` }] });
    const { resource_classes: all } = (await call('GET', '/resource_classes')).body;
    expect(all).toHaveLength(22);
    expect(all).toEqual(expect.arrayContaining([view('VCPU'), view('CUSTOM_GOLD')]));
    expect((await call('GET', '/resource_classes/CUSTOM_GOLD')).body).toEqual(view('CUSTOM_GOLD'));
    const renamed = await call('PUT', '/resource_classes/CUSTOM_GOLD', { name: 'CUSTOM_SILVER' }, '1.2');
    expect([renamed.status, renamed.body]).toEqual([200, view('CUSTOM_SILVER')]);
    expect(await status('PUT', '/resource_classes/CUSTOM_SILVER')).toBe(204);
    expect(await status('PUT', '/resource_classes/CUSTOM_GOLD')).toBe(201);
    expect(await status('PUT', '/resource_classes/CUSTOM_GOLD', { name: 'CUSTOM_SILVER' }, '1.6')).toBe(409);
    expect((await call('GET', '/resource_providers?resources=CUSTOM_GOLD:1')).body.resource_providers).toEqual([]);
    for (const name of ['CUSTOM_GOLD', 'CUSTOM_SILVER'])
      expect(await status('DELETE', `/resource_classes/${name}`)).toBe(204);
    expect(await status('DELETE', '/resource_classes/CUSTOM_GOLD')).toBe(404);
    expect(await status('GET', '/resource_classes/CUSTOM_GOLD')).toBe(404);
  });

  test('that are standard or called otherwise are refused', async () => {
    expect(await status('DELETE', '/resource_classes/VCPU')).toBe(400);
    expect(await status('PUT', '/resource_classes/VCPU')).toBe(400);
    expect(await status('PUT', '/resource_classes/VCPU', { name: 'CUSTOM_VCPU' }, '1.6')).toBe(400);
    expect(await status('PUT', '/resource_classes/CUSTOM_NONE', { name: 'CUSTOM_X' }, '1.6')).toBe(404);
    expect(await status('PUT', '/resource_classes/CUSTOM_NONE', undefined, '1.6')).toBe(400);
    for (const body of [{}, { name: 'GOLD' }, { name: 'CUSTOM_a' }, { name: 'CUSTOM_A', more: 1 }])
      expect(await status('POST', '/resource_classes', body)).toBe(400);
  });
});

test('allocations are made by servers only', async () => {
  const body = { allocations: {}, project_id: 'p', user_id: 'u', consumer_generation: null, consumer_type: 'X' };
  const answer = await call('PUT', `/allocations/${NOBODY}`, body);
  expect([answer.status, answer.body.errors[0].detail]).toEqual([
    403,
    `Unable to set the allocations of ${NOBODY}: allocations are made with servers and end with them. Create, resize, move or delete the server instead.`,
  ]);
  expect(await status('PUT', '/allocations/nobody', body)).toBe(400);
  expect(await status('PUT', `/allocations/${NOBODY}`, {})).toBe(400);
  expect(await status('POST', '/allocations', { [NOBODY]: body })).toBe(403);
  expect(await status('POST', '/allocations', {})).toBe(400);
  expect(await status('POST', '/allocations', { [NOBODY]: body }, '1.12')).toBe(404);
  expect(await status('DELETE', `/allocations/${NOBODY}`)).toBe(404);
  const claim = { server_id: NOBODY, host: 'h1', vcpus: 1, memory_mib: 1, disk_gib: 1, created_at: 0 };
  await scene.cloud.cloud.db.write((session) => session.insert(allocations, claim));
  expect(await status('DELETE', `/allocations/${NOBODY}`)).toBe(403);
  expect(await status('POST', '/reshaper', { inventories: {}, allocations: {} })).toBe(403);
  expect(await status('POST', '/reshaper', {})).toBe(400);
  expect(await status('POST', '/reshaper', { inventories: {}, allocations: {} }, '1.29')).toBe(404);
});
