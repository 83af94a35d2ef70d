// Resource providers of the placement API are views of hosts: bodies at each microversion, filters, and who may see them.
import { aggregates, aggregateHosts } from '../../controller/src/db/entities/placement';
import { allocations, hosts } from '../../controller/src/db/entities/tasks';
import { placementService } from '../../controller/src/api/placement/routes';
import { hintsTold } from '../../controller/src/services/network/hints';
import { makeFlavor, makeHost, makeImage, makeNetwork, settle } from '../support/computeFixtures';
import { NOBODY } from '../support/placementScene';
import { startTestCloud, testCaller, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
/** Ids of hosts by name. */
const ids: Record<string, string> = {};
let server: string;
const FAST = '11111111-0000-4000-8000-000000000000';
const LAB = '22222222-0000-4000-8000-000000000000';

beforeAll(async () => {
  cloud = await startTestCloud();
  for (const name of ['h1', 'h2', 'h3']) await makeHost(cloud, name);
  await cloud.cloud.db.write(async (session) => {
    for (const host of await session.find(hosts)) ids[host.name] = host.id;
    await session.update(
      hosts,
      { name: 'h1' },
      { inventory: { vcpus: 4, memory_mib: 8192, traits: ['HW_CPU_X86_AVX'] } },
    );
    await session.update(hosts, { name: 'h2' }, { traits: ['CUSTOM_FAST'], used_vcpus: 15 });
    await session.update(hosts, { name: 'h3' }, { enabled: false });
    for (const [uuid, names] of [
      [FAST, ['h1', 'h2']],
      [LAB, ['h2']],
    ] as const) {
      const row = { uuid, name: uuid, metadata: {}, created_at: 0, updated_at: null };
      const aggregate = await session.insert(aggregates, row);
      for (const host of names) await session.insert(aggregateHosts, { aggregate, host });
    }
  });
  await makeNetwork(cloud, 'net');
  const body = { server: { name: 's', flavorRef: await makeFlavor(cloud, 'small'), imageRef: await makeImage(cloud) } };
  server = (await cloud.call('POST', '/compute/v2.1/servers', { body })).body.server.id;
  await settle(cloud, server, { host: 'h1' });
  await cloud.cloud.db.write(async (session) => {
    const claim = {
      server_id: server,
      host: 'h1',
      vcpus: 1,
      memory_mib: 128,
      disk_gib: 0,
      created_at: 1_790_000_000_000,
    };
    await session.insert(allocations, claim);
    await session.update(hosts, { name: 'h1' }, { used_vcpus: 1, used_memory_mib: 128, generation: 7 });
  });
});
afterAll(() => cloud.stop());

const at = (version: string) => ({ 'openstack-api-version': `placement ${version}` });
const get = (path: string, version = '1.39', token: string | null = 'admin'): Promise<Answer> =>
  cloud.call('GET', `/placement${path}`, { token, headers: at(version) });
/** Names of the hosts that a query finds. */
async function named(query: string, version = '1.39'): Promise<string[]> {
  const answer = await get(`/resource_providers?${query}`, version);
  if (answer.status !== 200) throw new Error(`${query}: ${JSON.stringify(answer.body)}`);
  return answer.body.resource_providers.map(({ name }: { name: string }) => name);
}

describe('resource providers', () => {
  test('have the keys and links of each microversion', async () => {
    const { resource_providers: all } = (await get('/resource_providers', '1.0')).body;
    expect(all).toHaveLength(3);
    const self = `/placement/resource_providers/${ids['h1'] ?? ''}`;
    const links = (rels: string[]) => rels.map((rel) => ({ rel, href: rel === 'self' ? self : `${self}/${rel}` }));
    expect(all[0]).toEqual({
      uuid: ids['h1'],
      name: 'h1',
      generation: 7,
      links: links(['self', 'inventories', 'usages']),
    });
    const show = async (version: string) => (await get(`/resource_providers/${ids['h1'] ?? ''}`, version)).body;
    expect(await show('1.0')).toEqual(all[0]);
    expect((await show('1.1')).links).toEqual(links(['self', 'inventories', 'usages', 'aggregates']));
    expect((await show('1.6')).links).toHaveLength(5);
    expect((await show('1.11')).links).toEqual(
      links(['self', 'inventories', 'usages', 'aggregates', 'traits', 'allocations']),
    );
    expect(await show('1.13')).not.toHaveProperty('root_provider_uuid');
    expect(await show('1.14')).toMatchObject({ parent_provider_uuid: null, root_provider_uuid: ids['h1'] });
  });

  test('say from 1.15 on since when they are so', async () => {
    for (const path of ['/resource_providers', `/resource_providers/${ids['h1'] ?? ''}`, '/traits', '/']) {
      const [before, after] = [await get(path, '1.14'), await get(path, '1.15')];
      expect([path, before.headers.get('cache-control'), before.headers.get('last-modified')]).toEqual([
        path,
        null,
        null,
      ]);
      expect([path, after.headers.get('cache-control')]).toEqual([path, 'no-cache']);
      expect(after.headers.get('last-modified')).toMatch(/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/);
    }
    const claims = await get(`/allocations/${server}`);
    expect(claims.headers.get('last-modified')).toBe('Mon, 21 Sep 2026 14:13:20 GMT');
  });

  test.each([
    ['', ['h1', 'h2', 'h3']],
    ['name=h2', ['h2']],
    ['name=none', []],
    ['uuid=H1', ['h1']],
    [`uuid=${NOBODY}`, []],
    ['in_tree=H3', ['h3']],
    ['in_tree=H3&name=h1', []],
    [`member_of=${FAST}`, ['h1', 'h2']],
    [`member_of=${NOBODY}`, []],
    [`member_of=in:${LAB},${NOBODY}`, ['h2']],
    [`member_of=${FAST}&member_of=${LAB}`, ['h2']],
    [`member_of=!${FAST}`, ['h3']],
    [`member_of=!in:${LAB},${NOBODY}`, ['h1', 'h3']],
    [`member_of=${FAST}&member_of=!${LAB}`, ['h1']],
    ['required=HW_CPU_X86_AVX', ['h1']],
    ['required=CUSTOM_FAST', ['h2']],
    ['required=COMPUTE_STATUS_DISABLED', ['h3']],
    ['required=!COMPUTE_STATUS_DISABLED', ['h1', 'h2']],
    ['required=!HW_CPU_X86_AVX,!COMPUTE_STATUS_DISABLED', ['h2']],
    ['required=in:HW_CPU_X86_AVX,CUSTOM_FAST', ['h1', 'h2']],
    ['required=in:HW_CPU_X86_AVX,CUSTOM_FAST&required=CUSTOM_FAST', ['h2']],
    ['resources=VCPU:2', ['h1', 'h3']],
    ['resources=VCPU:1,MEMORY_MB:8192', ['h2', 'h3']],
    ['resources=MEMORY_MB:100000', []],
    ['resources=VGPU:1', []],
  ])('are filtered by "%s"', async (query, names) => {
    await cloud.call('PUT', '/placement/traits/CUSTOM_FAST', { token: 'admin', headers: at('1.39') });
    expect(await named(query.replace(/=H(\d)/, (_all, digit: string) => `=${ids[`h${digit}`] ?? ''}`))).toEqual(names);
  });

  test.each([
    ['colour=red', '1.39'],
    ['uuid=none', '1.39'],
    ['in_tree=none', '1.39'],
    ['in_tree=11111111-0000-4000-8000-000000000000', '1.13'],
    [`member_of=${FAST}`, '1.2'],
    [`member_of=${FAST},${LAB}`, '1.39'],
    [`member_of=${FAST}&member_of=${LAB}`, '1.23'],
    [`member_of=!${FAST}`, '1.31'],
    ['member_of=in:', '1.39'],
    ['resources=VCPU:1', '1.3'],
    ['resources=', '1.39'],
    ['resources=VCPU', '1.39'],
    ['resources=VCPU:0', '1.39'],
    ['resources=VCPU:many', '1.39'],
    ['resources=VCPU:1,', '1.39'],
    ['resources=CUSTOM_NONE:1', '1.39'],
    ['required=HW_CPU_X86_AVX', '1.17'],
    ['required=!HW_CPU_X86_AVX', '1.21'],
    ['required=in:HW_CPU_X86_AVX', '1.38'],
    ['required=in:HW_CPU_X86_AVX,!HW_CPU_X86_AVX2', '1.39'],
    ['required=', '1.39'],
    ['required=!', '1.39'],
    ['required=HW_NONE', '1.39'],
    ['required=!CUSTOM_NONE', '1.39'],
  ])('refuse the query "%s" at %s', async (query, version) => {
    const answer = await get(`/resource_providers?${query}`, version);
    expect([answer.status, answer.body.errors[0].title]).toEqual([400, 'Bad Request']);
  });

  test('before 1.39 the last "required" counts', async () => {
    expect(await named('required=HW_CPU_X86_AVX&required=CUSTOM_FAST', '1.38')).toEqual(['h2']);
    expect(await named('required=HW_CPU_X86_AVX&required=CUSTOM_FAST', '1.39')).toEqual([]);
  });

  test('are listed with a number of statements that does not depend on their number', async () => {
    const count = async () => {
      await hintsTold(cloud.cloud);
      const before = cloud.statements.length;
      await named('resources=VCPU:1&required=CUSTOM_FAST');
      return cloud.statements.length - before;
    };
    const few = await count();
    await makeHost(cloud, 'h4');
    await makeHost(cloud, 'h5');
    expect(await count()).toBe(few);
    await cloud.cloud.db.write(async (session) => {
      for (const name of ['h4', 'h5']) await session.delete(hosts, { name });
    });
  });
});

describe('what a provider has', () => {
  const of = (part: string, version?: string) => get(`/resource_providers/${ids['h1'] ?? ''}/${part}`, version);

  test('inventories, all and one', async () => {
    const { body } = await of('inventories', '1.0');
    const inventory = { reserved: 0, min_unit: 1, max_unit: 2_147_483_647, step_size: 1, allocation_ratio: 1 };
    expect(body).toEqual({
      resource_provider_generation: 7,
      inventories: {
        VCPU: { ...inventory, total: 4, allocation_ratio: 4 },
        MEMORY_MB: { ...inventory, total: 8192 },
        DISK_GB: { ...inventory, total: 100 },
      },
    });
    expect((await of('inventories/VCPU')).body).toEqual({
      ...body.inventories.VCPU,
      resource_provider_generation: 7,
    });
    expect((await of('inventories/VGPU')).status).toBe(404);
    expect((await get(`/resource_providers/${NOBODY}/inventories`)).status).toBe(404);
  });

  test('usages', async () => {
    expect((await of('usages', '1.0')).body).toEqual({
      resource_provider_generation: 7,
      usages: { VCPU: 1, MEMORY_MB: 128, DISK_GB: 0 },
    });
  });

  test('allocations, with the generation of the consumer from 1.28 on', async () => {
    const resources = { VCPU: 1, MEMORY_MB: 128 };
    expect((await of('allocations', '1.0')).body).toEqual({
      allocations: { [server]: { resources } },
      resource_provider_generation: 7,
    });
    expect((await of('allocations', '1.28')).body.allocations).toEqual({
      [server]: { resources, consumer_generation: expect.any(Number) },
    });
  });

  test('aggregates from 1.1 on, with the generation from 1.19 on', async () => {
    expect((await of('aggregates', '1.0')).status).toBe(404);
    expect((await of('aggregates', '1.1')).body).toEqual({ aggregates: [FAST] });
    expect((await of('aggregates', '1.19')).body).toEqual({ aggregates: [FAST], resource_provider_generation: 7 });
  });

  test('traits from 1.6 on', async () => {
    expect((await of('traits', '1.5')).status).toBe(404);
    expect((await of('traits', '1.6')).body).toEqual({ traits: ['HW_CPU_X86_AVX'], resource_provider_generation: 7 });
    expect((await get(`/resource_providers/${ids['h3'] ?? ''}/traits`)).body.traits).toEqual([
      'COMPUTE_STATUS_DISABLED',
    ]);
  });
});

describe('consumers', () => {
  test('show what they claim: owner from 1.12, generation from 1.28, type from 1.38 on', async () => {
    const show = async (version: string) => (await get(`/allocations/${server}`, version)).body;
    const claims = { [ids['h1'] ?? '']: { generation: 7, resources: { VCPU: 1, MEMORY_MB: 128 } } };
    const owner = { project_id: 'demo-project', user_id: 'demo-user' };
    expect(await show('1.11')).toEqual({ allocations: claims });
    expect(await show('1.12')).toEqual({ allocations: claims, ...owner });
    expect(await show('1.28')).toEqual({ allocations: claims, ...owner, consumer_generation: expect.any(Number) });
    expect(await show('1.38')).toEqual({
      allocations: claims,
      ...owner,
      consumer_generation: expect.any(Number),
      consumer_type: 'INSTANCE',
    });
    expect((await get(`/allocations/${NOBODY}`)).body).toEqual({ allocations: {} });
  });

  test('are summed by project and user from 1.9 on, by type from 1.38 on', async () => {
    const resources = { VCPU: 1, MEMORY_MB: 128 };
    expect((await get('/usages?project_id=demo-project', '1.8')).status).toBe(404);
    expect((await get('/usages?project_id=demo-project', '1.9')).body).toEqual({ usages: resources });
    expect((await get('/usages?project_id=other-project', '1.9')).body).toEqual({ usages: {} });
    expect((await get('/usages?project_id=demo-project&user_id=demo-user', '1.9')).body.usages).toEqual(resources);
    expect((await get('/usages?project_id=demo-project&user_id=nobody', '1.9')).body.usages).toEqual({});
    const typed = async (query: string) => (await get(`/usages?project_id=demo-project${query}`)).body.usages;
    const counted = { ...resources, consumer_count: 1 };
    expect(await typed('')).toEqual({ INSTANCE: counted });
    expect(await typed('&consumer_type=INSTANCE')).toEqual({ INSTANCE: counted });
    expect(await typed('&consumer_type=all')).toEqual({ all: counted });
    expect(await typed('&consumer_type=MIGRATION')).toEqual({});
    expect(await typed('&user_id=nobody')).toEqual({});
  });

  test.each(['', '?user_id=u', '?project_id=', '?project_id=p&colour=red', '?project_id=p&consumer_type=odd'])(
    'usages refuse the query "%s"',
    async (query) => {
      expect((await get(`/usages${query}`)).status).toBe(400);
    },
  );

  test('usages know the type of a consumer from 1.38 on only', async () => {
    expect((await get('/usages?project_id=p&consumer_type=INSTANCE', '1.37')).status).toBe(400);
  });
});

describe('who may', () => {
  const routes = placementService.routes.filter(({ open }) => open !== true);
  const pathOf = (path: string): string => path.replace(/:\w+/g, NOBODY);

  test.each(routes.map(({ method, path }) => [method, path] as const))(
    '%s %s is not for members',
    async (method, path) => {
      for (const token of ['demo', 'reader', 'domain']) {
        const query = path === '/usages' ? '?project_id=other-project' : '';
        const answer = await cloud.call(method, `/placement${pathOf(path)}${query}`, { token, headers: at('1.39') });
        expect([token, answer.status]).toEqual([token, 403]);
        expect(answer.body.errors[0]).toMatchObject({ status: 403, title: 'Forbidden' });
      }
    },
  );

  test.each([
    ['readers of the system read', ['reader'], false],
    ['the role service may do all', ['service'], true],
  ])('%s', (_what, roles, writes) => {
    const caller = testCaller('caller', roles, { projectId: null, systemScope: roles.includes('reader') });
    for (const { method, path, policy = 'placement:usages' } of routes)
      expect([method, path, cloud.cloud.policy.allows(caller, policy)]).toEqual([
        method,
        path,
        writes || method === 'GET',
      ]);
  });

  test('members see what their own project uses, administrators of the system everything', async () => {
    for (const token of ['demo', 'reader', 'system'])
      expect((await get('/usages?project_id=demo-project', '1.39', token)).status).toBe(200);
    expect((await get('/resource_providers', '1.39', 'system')).status).toBe(200);
  });
});
