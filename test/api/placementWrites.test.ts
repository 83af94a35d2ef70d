// What administrators change through the placement API: traits and classes of their own, and what the scheduler obeys of a host.
import { randomUUID } from 'node:crypto';
import { createMemoryBus, type Registration } from '@cumulet/common';
import { agents, allocations, hosts } from '../../controller/src/db/entities/tasks';
import { makeFlavor, makeHost } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
let id: string;
const NOBODY = '00000000-0000-4000-8000-000000000000';

beforeAll(async () => {
  cloud = await startTestCloud({ bus: createMemoryBus() });
});
afterAll(() => cloud.stop());
beforeEach(async () => {
  await makeHost(cloud, 'h1');
  id = (await cloud.cloud.db.read((session) => session.findOne(hosts, { name: 'h1' })))?.id ?? '';
});
afterEach(() =>
  cloud.cloud.db.write(async (session) => {
    for (const name of ['h1', 'h2']) {
      await session.delete(hosts, { name });
      await session.delete(agents, { host: name });
      await session.delete(allocations, { host: name });
    }
  }),
);

const call = (method: string, path: string, body?: unknown, version = '1.39'): Promise<Answer> =>
  cloud.call(method, `/placement${path}`, {
    token: 'admin',
    headers: { 'openstack-api-version': `placement ${version}` },
    ...(body === undefined ? {} : { body }),
  });
const status = async (...request: Parameters<typeof call>): Promise<number> => (await call(...request)).status;
const generation = async (): Promise<number> => (await call('GET', `/resource_providers/${id}`)).body.generation;
/** The reasons that the scheduler gives for a flavor, by host. */
async function explain(flavor: string): Promise<Record<string, string | null>> {
  const answer = await cloud.call('POST', '/cumulet/v1/placement', { token: 'admin', body: { flavor } });
  return Object.fromEntries(
    answer.body.hosts.map((one: { host: string; reason: string | null }) => [one.host, one.reason]),
  );
}
/** A flavor that no other test has; its id. */
const flavor = async (more: object = {}, specs?: Record<string, string>): Promise<string> => {
  const name = await makeFlavor(cloud, randomUUID(), more);
  const body = { extra_specs: specs };
  if (specs) await cloud.call('POST', `/compute/v2.1/flavors/${name}/os-extra_specs`, { token: 'admin', body });
  return name;
};

describe('traits', () => {
  test('of their own are made once, listed, and deleted', async () => {
    expect(await status('PUT', '/traits/CUSTOM_RACK_1', undefined, '1.5')).toBe(404);
    const made = await call('PUT', '/traits/CUSTOM_RACK_1', undefined, '1.6');
    expect([made.status, made.headers.get('location'), made.body]).toEqual([
      201,
      `${cloud.url}/placement/traits/CUSTOM_RACK_1`,
      '',
    ]);
    expect(await status('PUT', '/traits/CUSTOM_RACK_1')).toBe(204);
    expect(await status('GET', '/traits/CUSTOM_RACK_1')).toBe(204);
    expect((await call('GET', '/traits?name=startswith:CUSTOM_R')).body).toEqual({ traits: ['CUSTOM_RACK_1'] });
    expect((await call('GET', '/traits?name=in:CUSTOM_RACK_1,HW_CPU_X86_AVX2,NONE')).body.traits).toEqual([
      'CUSTOM_RACK_1',
      'HW_CPU_X86_AVX2',
    ]);
    expect((await call('GET', '/traits')).body.traits).toHaveLength(346);
    expect(await status('DELETE', '/traits/CUSTOM_RACK_1')).toBe(204);
    expect(await status('DELETE', '/traits/CUSTOM_RACK_1')).toBe(404);
    expect(await status('GET', '/traits/CUSTOM_RACK_1')).toBe(404);
  });

  test.each(['CUSTOM_', 'CUSTOM_a', 'HW_CPU_X86_AVX2', 'RACK', 'CUSTOM-X', `CUSTOM_${'A'.repeat(249)}`])(
    'can not be called %s',
    async (name) => {
      expect(await status('PUT', `/traits/${name}`)).toBe(400);
    },
  );

  test.each(['name=CUSTOM', 'name=like:CUSTOM', 'associated=maybe', 'colour=red'])(
    'refuse the query "%s"',
    async (query) => {
      expect(await status('GET', `/traits?${query}`)).toBe(400);
    },
  );

  test('that several make at once are made once', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => status('PUT', '/traits/CUSTOM_ONCE')));
    expect(answers.sort()).toEqual([201, 204, 204]);
    expect(await status('DELETE', '/traits/CUSTOM_ONCE')).toBe(204);
  });

  test('that are standard can be shown, not deleted', async () => {
    expect(await status('GET', '/traits/HW_CPU_X86_AVX2')).toBe(204);
    expect(await status('DELETE', '/traits/HW_CPU_X86_AVX2')).toBe(400);
  });
});

describe('traits of a host', () => {
  const set = (traits: string[], known: number, version?: string) =>
    call('PUT', `/resource_providers/${id}/traits`, { traits, resource_provider_generation: known }, version);
  beforeEach(() => call('PUT', '/traits/CUSTOM_FAST'));

  test('are replaced as a whole, and count its generation up', async () => {
    const before = await generation();
    const answer = await set(['CUSTOM_FAST', 'STORAGE_DISK_SSD'], before, '1.6');
    expect([answer.status, answer.body]).toEqual([
      200,
      { traits: ['CUSTOM_FAST', 'STORAGE_DISK_SSD'], resource_provider_generation: before + 1 },
    ]);
    expect((await set(['STORAGE_DISK_SSD'], before + 1)).body.traits).toEqual(['STORAGE_DISK_SSD']);
    expect((await call('GET', '/traits?associated=true')).body.traits).toEqual(['STORAGE_DISK_SSD']);
    expect((await call('GET', '/traits?associated=false&name=startswith:CUSTOM_')).body.traits).toEqual([
      'CUSTOM_FAST',
    ]);
    expect(await status('DELETE', `/resource_providers/${id}/traits`)).toBe(204);
    expect((await call('GET', `/resource_providers/${id}/traits`)).body).toEqual({
      traits: [],
      resource_provider_generation: before + 3,
    });
  });

  test('are refused when the host has changed meanwhile', async () => {
    const answer = await set(['CUSTOM_FAST'], (await generation()) + 1);
    expect([answer.status, answer.body.errors[0].code]).toEqual([409, 'placement.concurrent_update']);
    expect((await call('GET', `/resource_providers/${id}/traits`)).body.traits).toEqual([]);
  });

  test('of two that know the same only one is written', async () => {
    const known = await generation();
    const answers = await Promise.all([set(['CUSTOM_FAST'], known), set(['STORAGE_DISK_SSD'], known)]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
    expect(await generation()).toBe(known + 1);
  });

  test('must be known, and can not say that a host is disabled', async () => {
    const known = await generation();
    for (const name of ['CUSTOM_NONE', 'HW_NONE', 'COMPUTE_STATUS_DISABLED'])
      expect([name, (await set([name], known)).status]).toEqual([name, 400]);
    for (const body of [{}, { traits: ['X'] }, { traits: 'X', resource_provider_generation: 1 }, { traits: [''] }])
      expect(await status('PUT', `/resource_providers/${id}/traits`, body)).toBe(400);
    expect(
      await status('PUT', `/resource_providers/${NOBODY}/traits`, { traits: [], resource_provider_generation: 1 }),
    ).toBe(404);
    expect(await status('DELETE', `/resource_providers/${NOBODY}/traits`)).toBe(404);
  });

  test('that its agent found stay, and come back in every answer', async () => {
    const inventory = { vcpus: 16, memory_mib: 8192, traits: ['HW_CPU_X86_AVX2'] };
    await cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { inventory, enabled: false }));
    const answer = await set(['CUSTOM_FAST', 'HW_CPU_X86_AVX2', 'COMPUTE_STATUS_DISABLED'], await generation());
    expect(answer.body.traits).toEqual(['COMPUTE_STATUS_DISABLED', 'CUSTOM_FAST', 'HW_CPU_X86_AVX2']);
    await cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { enabled: true }));
    expect((await set([], await generation())).body.traits).toEqual(['HW_CPU_X86_AVX2']);
  });

  test('keep a trait from being deleted', async () => {
    await set(['CUSTOM_FAST'], await generation());
    const answer = await call('DELETE', '/traits/CUSTOM_FAST');
    expect([answer.status, answer.body.errors[0].detail]).toEqual([
      409,
      'The trait CUSTOM_FAST is in use: the host h1 has it.',
    ]);
  });

  test('are given or the trait is deleted, never both', async () => {
    for (let round = 0; round < 5; round++) {
      await call('PUT', '/traits/CUSTOM_RACE');
      const known = await generation();
      const [given, deleted] = await Promise.all([set(['CUSTOM_RACE'], known), call('DELETE', '/traits/CUSTOM_RACE')]);
      expect([[200, 409].join(), [400, 204].join()]).toContain([given.status, deleted.status].join());
      await call('DELETE', `/resource_providers/${id}/traits`);
    }
  });

  test('are obeyed by the scheduler', async () => {
    await makeHost(cloud, 'h2');
    const fast = await flavor({}, { 'trait:CUSTOM_FAST': 'required' });
    const slow = await flavor({}, { 'trait:CUSTOM_FAST': 'forbidden' });
    expect(await explain(fast)).toEqual({ h1: 'lacks trait CUSTOM_FAST', h2: 'lacks trait CUSTOM_FAST' });
    await set(['CUSTOM_FAST'], await generation());
    expect(await explain(fast)).toEqual({ h1: null, h2: 'lacks trait CUSTOM_FAST' });
    expect(await explain(slow)).toEqual({ h1: 'has the forbidden trait CUSTOM_FAST', h2: null });
  });
});

describe('inventories', () => {
  const path = (name = ''): string => `/resource_providers/${id}/inventories${name}`;
  const all = async () => (await call('GET', path())).body;
  const amend = async (changes: Record<string, object>, version?: string): Promise<Answer> => {
    const now = await all();
    for (const [name, change] of Object.entries(changes)) Object.assign(now.inventories[name], change);
    return call('PUT', path(), now, version);
  };

  test('take another ratio and a reserve, and the scheduler obeys both', async () => {
    const large = await flavor({ vcpus: 20 });
    const much = await flavor({ ram: 8000 });
    expect(await explain(large)).toEqual({ h1: 'not enough vCPUs: 20 asked, 16 free' });
    const before = await generation();
    const answer = await amend({ VCPU: { allocation_ratio: 2 }, MEMORY_MB: { reserved: 1024 } });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      resource_provider_generation: before + 1,
      inventories: { VCPU: { total: 16, allocation_ratio: 2 }, MEMORY_MB: { total: 8192, reserved: 1024 } },
    });
    expect(await all()).toEqual(answer.body);
    expect(await explain(large)).toEqual({ h1: null });
    expect(await explain(much)).toEqual({ h1: 'not enough memory: 8000 MiB asked, 7168 MiB free' });
  });

  test('give out portions only as they are told', async () => {
    await amend({ VCPU: { min_unit: 2, max_unit: 8, step_size: 2 } });
    expect(await explain(await flavor({ vcpus: 1 }))).toEqual({ h1: 'vCPUs: at least 2 a server, 1 asked' });
    expect(await explain(await flavor({ vcpus: 3 }))).toEqual({ h1: 'vCPUs: only multiples of 2, 3 asked' });
    expect(await explain(await flavor({ vcpus: 10 }))).toEqual({ h1: 'vCPUs: at most 8 a server, 10 asked' });
    const found = async (vcpus: number) =>
      (await call('GET', `/resource_providers?resources=VCPU:${vcpus}`)).body.resource_providers.length;
    expect([await found(1), await found(2), await found(3), await found(10)]).toEqual([0, 1, 0, 0]);
  });

  test('keep their settings when the agents register again', async () => {
    await amend({ VCPU: { allocation_ratio: 2, reserved: 4 }, DISK_GB: { reserved: 90 } });
    const register = (role: Registration['role'], inventory: Record<string, unknown>) =>
      cloud.controller.agentApi.register({ host: 'h1', role, inventory });
    await register('compute', { vcpus: 8, memory_mib: 4096 });
    await register('storage', { disk_gib: 200.7 });
    expect((await all()).inventories).toMatchObject({
      VCPU: { total: 8, reserved: 4, allocation_ratio: 2 },
      MEMORY_MB: { total: 4096, reserved: 0, allocation_ratio: 1 },
      DISK_GB: { total: 200, reserved: 90, allocation_ratio: 1 },
    });
    const host = await cloud.cloud.db.read((session) => session.findOne(hosts, { id }));
    expect(host).toMatchObject({ cap_vcpus: 8, cap_memory_mib: 4096, cap_disk_gib: 110 });
    const known = await generation();
    await register('compute', { vcpus: 8, memory_mib: 4096 });
    expect(await generation()).toBe(known);
    await register('compute', { vcpus: 8, memory_mib: 4096, traits: ['HW_CPU_X86_AVX2'] });
    expect(await generation()).toBe(known + 1);
  });

  test('one by one', async () => {
    const known = await generation();
    const body = { total: 16, allocation_ratio: 4.5, resource_provider_generation: known };
    const answer = await call('PUT', path('/VCPU'), body);
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        total: 16,
        allocation_ratio: 4.5,
        reserved: 0,
        min_unit: 1,
        max_unit: 2147483647,
        step_size: 1,
        resource_provider_generation: known + 1,
      },
    ]);
    expect(await status('PUT', path('/VCPU'), body)).toBe(409);
    expect((await all()).inventories.MEMORY_MB.allocation_ratio).toBe(1);
  });

  test('may be reserved as a whole from 1.26 on', async () => {
    expect((await amend({ VCPU: { reserved: 16 } }, '1.25')).status).toBe(400);
    expect((await amend({ VCPU: { reserved: 17 } }, '1.26')).status).toBe(400);
    expect((await amend({ VCPU: { reserved: 16 } }, '1.26')).status).toBe(200);
    expect(await explain(await flavor())).toEqual({ h1: 'not enough vCPUs: 1 asked, 0 free' });
  });

  test('are what the agents say: no other totals, no other classes', async () => {
    for (const [changes, words] of [
      [{ VCPU: { total: 17 } }, "Unable to set a total of 17 VCPU: the host's agents found 16."],
    ] as const) {
      const answer = await amend(changes);
      expect([answer.status, answer.body.errors[0].detail]).toEqual([403, expect.stringContaining(words)]);
    }
    const known = await generation();
    const set = (inventories: object) => call('PUT', path(), { inventories, resource_provider_generation: known });
    const { inventories } = await all();
    expect((await set({ ...inventories, VGPU: { total: 1 } })).status).toBe(403);
    const fewer = await set({ VCPU: { total: 16 } });
    expect([fewer.status, fewer.body.errors[0].detail]).toEqual([
      403,
      'Unable to delete the inventory of MEMORY_MB and DISK_GB: the host has it, as its agents say. Name it too.',
    ]);
    expect(await status('PUT', path('/VGPU'), { total: 1, resource_provider_generation: known })).toBe(403);
    expect(await status('POST', path(), { total: 1, resource_class: 'VGPU' })).toBe(403);
    expect(await status('DELETE', path('/VCPU'))).toBe(403);
    expect(await status('DELETE', path())).toBe(403);
    const early = await call('DELETE', path(), undefined, '1.4');
    expect([early.status, early.headers.get('allow')]).toEqual([405, 'GET, POST, PUT']);
    expect(await generation()).toBe(known);
  });

  test.each([
    { total: 0 },
    { total: 16, reserved: -1 },
    { total: 16, min_unit: 0 },
    { total: 16, step_size: 1.5 },
    { total: 16, allocation_ratio: 'much' },
    { total: 16, colour: 'red' },
    { reserved: 1 },
  ])('refuse %j', async (wrong) => {
    const resource_provider_generation = await generation();
    expect(await status('PUT', path('/VCPU'), { ...wrong, resource_provider_generation })).toBe(400);
    expect(await status('PUT', path(), { inventories: { VCPU: wrong }, resource_provider_generation })).toBe(400);
    expect(await status('POST', path(), { ...wrong, resource_class: 'VCPU' })).toBe(400);
  });

  test('of a host that is not there do not exist', async () => {
    const body = { inventories: {}, resource_provider_generation: 1 };
    const nowhere = `/resource_providers/${NOBODY}/inventories`;
    expect(await status('PUT', nowhere, body)).toBe(404);
    expect(await status('DELETE', nowhere)).toBe(404);
    expect(await status('POST', nowhere, { total: 1, resource_class: 'VCPU' })).toBe(404);
  });
});

describe('providers', () => {
  test('are hosts, so nobody makes or renames one', async () => {
    const made = await call('POST', '/resource_providers', { name: 'mine', uuid: NOBODY });
    expect([made.status, made.body.errors[0].detail]).toEqual([
      403,
      'Unable to create resource provider "mine": every host of the cloud is one, from when its agents register. There are no others.',
    ]);
    expect(await status('POST', '/resource_providers', { name: 'm', parent_provider_uuid: NOBODY }, '1.13')).toBe(400);
    expect(await status('POST', '/resource_providers', { name: 'm', uuid: 'none' })).toBe(400);
    const same = await call('PUT', `/resource_providers/${id}`, { name: 'h1', parent_provider_uuid: null });
    expect([same.status, same.body.name]).toEqual([200, 'h1']);
    expect(await status('PUT', `/resource_providers/${id}`, { name: 'h2' })).toBe(403);
    expect(await status('PUT', `/resource_providers/${id}`, { name: 'h1', parent_provider_uuid: NOBODY })).toBe(400);
    expect(await status('PUT', `/resource_providers/${id}`, { name: 'h1', parent_provider_uuid: null }, '1.13')).toBe(
      400,
    );
    expect(await status('PUT', `/resource_providers/${NOBODY}`, { name: 'h1' })).toBe(404);
  });

  test('are forgotten when nothing is left on them', async () => {
    const claim = { server_id: NOBODY, host: 'h1', vcpus: 1, memory_mib: 1, disk_gib: 1, created_at: 0 };
    await cloud.cloud.db.write((session) => session.insert(allocations, claim));
    const used = await call('DELETE', `/resource_providers/${id}`);
    expect([used.status, used.body.errors[0].code]).toEqual([409, 'placement.resource_provider.inuse']);
    await cloud.cloud.db.write((session) => session.delete(allocations, { host: 'h1' }));
    expect(await status('DELETE', `/resource_providers/${id}`)).toBe(204);
    expect(await status('DELETE', `/resource_providers/${id}`)).toBe(404);
  });
});

describe('aggregates of a host', () => {
  const make = async (name: string, zone?: string): Promise<string> => {
    const body = { aggregate: { name, ...(zone === undefined ? {} : { availability_zone: zone }) } };
    const headers = { 'openstack-api-version': 'compute 2.41' };
    return (await cloud.call('POST', '/compute/v2.1/os-aggregates', { token: 'admin', body, headers })).body.aggregate
      .uuid;
  };
  const path = (): string => `/resource_providers/${id}/aggregates`;

  test('are those of the compute API, replaced as a whole', async () => {
    const [one, other, lab] = [await make('one'), await make('other'), await make('in-lab', 'lab')];
    const known = await generation();
    expect((await call('PUT', path(), [one, lab], '1.18')).body).toEqual({ aggregates: [one, lab] });
    expect(await generation()).toBe(known);
    const host = await cloud.cloud.db.read((session) => session.findOne(hosts, { id }));
    expect(host?.availability_zone).toBe('lab');
    const body = { aggregates: [other], resource_provider_generation: known };
    expect((await call('PUT', path(), body)).body).toEqual({
      aggregates: [other],
      resource_provider_generation: known + 1,
    });
    const conflict = await call('PUT', path(), body);
    expect([conflict.status, conflict.body.errors[0].code]).toEqual([409, 'placement.concurrent_update']);
    const list = (await cloud.call('GET', '/compute/v2.1/os-aggregates', { token: 'admin' })).body.aggregates;
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
      `${cloud.url}/placement/resource_classes/CUSTOM_GOLD`,
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
  await cloud.cloud.db.write((session) => session.insert(allocations, claim));
  expect(await status('DELETE', `/allocations/${NOBODY}`)).toBe(403);
  expect(await status('POST', '/reshaper', { inventories: {}, allocations: {} })).toBe(403);
  expect(await status('POST', '/reshaper', {})).toBe(400);
  expect(await status('POST', '/reshaper', { inventories: {}, allocations: {} }, '1.29')).toBe(404);
});
