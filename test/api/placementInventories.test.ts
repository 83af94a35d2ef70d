// Inventories of hosts, as administrators change them, and what the scheduler obeys of them.
import type { Registration } from '@cumulet/common';
import { hosts } from '../../controller/src/db/entities/tasks';
import { NOBODY, placementScene } from '../support/placementScene';
import type { Answer } from '../support/testCloud';

const scene = placementScene();
const { call, status, generation, explain, flavor } = scene;

describe('inventories', () => {
  const path = (name = ''): string => `/resource_providers/${scene.id}/inventories${name}`;
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
      scene.cloud.controller.agentApi.register({ host: 'h1', role, inventory });
    await register('compute', { vcpus: 8, memory_mib: 4096 });
    await register('storage', { disk_gib: 200.7 });
    expect((await all()).inventories).toMatchObject({
      VCPU: { total: 8, reserved: 4, allocation_ratio: 2 },
      MEMORY_MB: { total: 4096, reserved: 0, allocation_ratio: 1 },
      DISK_GB: { total: 200, reserved: 90, allocation_ratio: 1 },
    });
    const host = await scene.cloud.cloud.db.read((session) => session.findOne(hosts, { id: scene.id }));
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
