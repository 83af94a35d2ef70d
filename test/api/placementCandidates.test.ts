// Allocation candidates of the placement API: forms at each microversion, groups, and what the queries may not say.
import { customTraits } from '../../controller/src/db/entities/placement';
import { hosts } from '../../controller/src/db/entities/tasks';
import { makeHost } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const ids: Record<string, string> = {};

beforeAll(async () => {
  cloud = await startTestCloud();
  for (const name of ['h1', 'h2']) await makeHost(cloud, name);
  await cloud.cloud.db.write(async (session) => {
    for (const host of await session.find(hosts)) ids[host.name] = host.id;
    await session.insert(customTraits, { name: 'CUSTOM_FAST', created_at: 0 });
    await session.update(hosts, { name: 'h2' }, { traits: ['CUSTOM_FAST'], used_vcpus: 12, cap_memory_mib: 8192.9 });
  });
});
afterAll(() => cloud.stop());

const get = (query: string, version = '1.39'): Promise<Answer> =>
  cloud.call('GET', `/placement/allocation_candidates?${query}`, {
    token: 'admin',
    headers: { 'openstack-api-version': `placement ${version}` },
  });
/** Names of the hosts that a query finds; `h1` in it stands for its id. */
async function named(query: string, version?: string): Promise<string[]> {
  const asked = query.replaceAll(/=(h\d)/g, (_all, name: string) => `=${ids[name] ?? ''}`);
  const { status, body } = await get(asked, version);
  if (status !== 200) throw new Error(`${query}: ${JSON.stringify(body)}`);
  const names = new Map(Object.entries(ids).map(([name, id]) => [id, name]));
  expect(body.allocation_requests).toHaveLength(Object.keys(body.provider_summaries).length);
  return Object.keys(body.provider_summaries).map((id) => names.get(id) ?? id);
}

const ASKED = 'resources=VCPU:8,MEMORY_MB:512';
const resources = { VCPU: 8, MEMORY_MB: 512 };

test('do not exist before 1.10', async () => {
  expect((await get(ASKED, '1.9')).status).toBe(404);
});

test.each([
  ['1.10', 'a list of allocations', () => [{ resource_provider: { uuid: ids['h1'] }, resources }], {}],
  ['1.12', 'allocations by provider', () => ({ [ids['h1'] ?? '']: { resources } }), {}],
  ['1.34', 'mappings', () => ({ [ids['h1'] ?? '']: { resources } }), { mappings: () => ({ '': [ids['h1']] }) }],
] as const)('at %s have %s', async (version, _what, allocations, more) => {
  const expected = Object.fromEntries(Object.entries(more).map(([key, value]) => [key, value()]));
  expect((await get(ASKED, version)).body.allocation_requests).toEqual([{ allocations: allocations(), ...expected }]);
});

test.each([
  ['1.16', {}],
  ['1.17', { traits: [] }],
  ['1.29', { traits: [], parent_provider_uuid: null, root_provider_uuid: true }],
])('at %s summaries have the keys of then', async (version, more) => {
  const all = { VCPU: { capacity: 16, used: 0 }, MEMORY_MB: { capacity: 8192, used: 0 } };
  const { provider_summaries: summaries } = (await get(ASKED, version)).body;
  const disk = version === '1.29' ? { DISK_GB: { capacity: 100, used: 0 } } : {};
  expect(summaries).toEqual({
    [ids['h1'] ?? '']: {
      resources: { ...all, ...disk },
      ...more,
      ...('root_provider_uuid' in more ? { root_provider_uuid: ids['h1'] } : {}),
    },
  });
});

test('show whole units of capacity, and what is used', async () => {
  const { provider_summaries: summaries } = (await get('resources=VCPU:4')).body;
  expect(summaries[ids['h2'] ?? '']).toMatchObject({
    resources: { VCPU: { capacity: 16, used: 12 }, MEMORY_MB: { capacity: 8192, used: 0 } },
    traits: ['CUSTOM_FAST'],
  });
});

test.each([
  ['resources=VCPU:4', ['h1', 'h2']],
  ['resources=VCPU:5', ['h1']],
  ['resources=VCPU:17', []],
  ['resources=VGPU:1', []],
  ['resources=VCPU:1&limit=1', ['h1']],
  ['resources=VCPU:1&required=CUSTOM_FAST', ['h2']],
  ['resources=VCPU:1&required=!CUSTOM_FAST', ['h1']],
  ['resources=VCPU:1&required=in:CUSTOM_FAST,HW_CPU_X86_AVX', ['h2']],
  ['resources=VCPU:1&root_required=CUSTOM_FAST', ['h2']],
  ['resources=VCPU:1&root_required=!CUSTOM_FAST', ['h1']],
  ['resources=VCPU:1&in_tree=h2', ['h2']],
  ['resources=VCPU:1&member_of=00000000-0000-4000-8000-000000000000', []],
  // Groups with a suffix are all satisfied by the one provider of a tree, so together.
  ['resources=VCPU:2&resources1=VCPU:2', ['h1', 'h2']],
  ['resources=VCPU:2&resources1=VCPU:3', ['h1']],
  ['resources1=VCPU:1&resources2=VCPU:1&group_policy=none', ['h1', 'h2']],
  ['resources1=VCPU:1&resources2=VCPU:1&group_policy=isolate', []],
  ['resources1=VCPU:1&group_policy=isolate', ['h1', 'h2']],
  ['resources_A-b=VCPU:1&required_A-b=CUSTOM_FAST', ['h2']],
  ['resources_A=VCPU:1&required_B=CUSTOM_FAST&same_subtree=_A,_B&group_policy=none', ['h2']],
])('%s', async (query, names) => {
  expect(await named(query)).toEqual(names);
});

test('amounts of groups are summed, and each group is mapped', async () => {
  const { allocation_requests: requests } = (
    await get('resources=VCPU:2,DISK_GB:3&resources_B=VCPU:1&in_tree_B=h1'.replace('h1', ids['h1'] ?? ''))
  ).body;
  expect(requests).toEqual([
    {
      allocations: { [ids['h1'] ?? '']: { resources: { VCPU: 3, DISK_GB: 3 } } },
      mappings: { '': [ids['h1']], _B: [ids['h1']] },
    },
  ]);
});

test('the largest portion holds for the sum, too', async () => {
  const inventory_settings = {
    VCPU: { allocation_ratio: 1, reserved: 0, min_unit: 1, max_unit: 3, step_size: 1 },
  };
  await cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { inventory_settings }));
  expect(await named('resources=VCPU:3')).toEqual(['h1', 'h2']);
  expect(await named('resources=VCPU:2&resources1=VCPU:2')).toEqual(['h2']);
  await cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { inventory_settings: {} }));
});

test.each([
  ['', '1.39', 'placement.query.missing_value'],
  ['colour=red&resources=VCPU:1', '1.39', 'placement.undefined_code'],
  ['resources=', '1.39', 'placement.undefined_code'],
  ['resources=CUSTOM_NONE:1', '1.39', 'placement.undefined_code'],
  ['resources=VCPU:1&required=CUSTOM_NONE', '1.39', 'placement.undefined_code'],
  ['resources=VCPU:1&required=CUSTOM_FAST,!CUSTOM_FAST', '1.39', 'placement.query.bad_value'],
  ['resources=VCPU:1&root_required=CUSTOM_FAST,!CUSTOM_FAST', '1.39', 'placement.query.bad_value'],
  ['resources=VCPU:1&root_required=in:CUSTOM_FAST', '1.39', 'placement.undefined_code'],
  ['resources=VCPU:1&root_required=CUSTOM_FAST&root_required=CUSTOM_FAST', '1.39', 'placement.query.duplicate_key'],
  ['resources=VCPU:1&root_required=CUSTOM_FAST', '1.34', 'placement.undefined_code'],
  ['resources=VCPU:1&in_tree=none', '1.39', 'placement.undefined_code'],
  ['resources=VCPU:1&in_tree=00000000-0000-4000-8000-000000000000', '1.30', 'placement.undefined_code'],
  ['resources=VCPU:1&limit=0', '1.39', 'placement.undefined_code'],
  ['resources=VCPU:1&group_policy=some', '1.39', 'placement.undefined_code'],
  ['resources1=VCPU:1&resources2=VCPU:1', '1.39', 'placement.undefined_code'],
  ['resources_A=VCPU:1', '1.32', 'placement.undefined_code'],
  ['resources1=VCPU:1', '1.24', 'placement.undefined_code'],
  ['resources=VCPU:1&required1=CUSTOM_FAST', '1.39', 'placement.query.bad_value'],
  ['resources=VCPU:1&required1=CUSTOM_FAST&same_subtree=1,2', '1.39', 'placement.query.bad_value'],
  ['resources=VCPU:1&same_subtree=,1', '1.39', 'placement.query.bad_value'],
  ['resources=VCPU:1&same_subtree=1', '1.35', 'placement.undefined_code'],
  ['resources=VCPU:1&required=CUSTOM_FAST', '1.16', undefined],
  ['resources=VCPU:1&limit=1', '1.15', undefined],
  ['resources=VCPU:1&member_of=00000000-0000-4000-8000-000000000000', '1.20', undefined],
])('refuse "%s" at %s', async (query, version, code) => {
  const answer = await get(query, version);
  expect([answer.status, answer.body.errors[0].code]).toEqual([400, code]);
});
