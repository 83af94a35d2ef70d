// Traits of their own and of hosts, as administrators change them, and what the scheduler obeys of them.
import { hosts } from '../../controller/src/db/entities/tasks';
import { makeHost } from '../support/computeFixtures';
import { NOBODY, placementScene } from '../support/placementScene';

const scene = placementScene();
const { call, status, generation, explain, flavor } = scene;

describe('traits', () => {
  test('of their own are made once, listed, and deleted', async () => {
    expect(await status('PUT', '/traits/CUSTOM_RACK_1', undefined, '1.5')).toBe(404);
    const made = await call('PUT', '/traits/CUSTOM_RACK_1', undefined, '1.6');
    expect([made.status, made.headers.get('location'), made.body]).toEqual([
      201,
      `${scene.cloud.url}/placement/traits/CUSTOM_RACK_1`,
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
    call('PUT', `/resource_providers/${scene.id}/traits`, { traits, resource_provider_generation: known }, version);
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
    expect(await status('DELETE', `/resource_providers/${scene.id}/traits`)).toBe(204);
    expect((await call('GET', `/resource_providers/${scene.id}/traits`)).body).toEqual({
      traits: [],
      resource_provider_generation: before + 3,
    });
  });

  test('are refused when the host has changed meanwhile', async () => {
    const answer = await set(['CUSTOM_FAST'], (await generation()) + 1);
    expect([answer.status, answer.body.errors[0].code]).toEqual([409, 'placement.concurrent_update']);
    expect((await call('GET', `/resource_providers/${scene.id}/traits`)).body.traits).toEqual([]);
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
      expect(await status('PUT', `/resource_providers/${scene.id}/traits`, body)).toBe(400);
    expect(
      await status('PUT', `/resource_providers/${NOBODY}/traits`, { traits: [], resource_provider_generation: 1 }),
    ).toBe(404);
    expect(await status('DELETE', `/resource_providers/${NOBODY}/traits`)).toBe(404);
  });

  test('that its agent found stay, and come back in every answer', async () => {
    const inventory = { vcpus: 16, memory_mib: 8192, traits: ['HW_CPU_X86_AVX2'] };
    await scene.cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { inventory, enabled: false }));
    const answer = await set(['CUSTOM_FAST', 'HW_CPU_X86_AVX2', 'COMPUTE_STATUS_DISABLED'], await generation());
    expect(answer.body.traits).toEqual(['COMPUTE_STATUS_DISABLED', 'CUSTOM_FAST', 'HW_CPU_X86_AVX2']);
    await scene.cloud.cloud.db.write((session) => session.update(hosts, { name: 'h1' }, { enabled: true }));
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
      await call('DELETE', `/resource_providers/${scene.id}/traits`);
    }
  });

  test('are obeyed by the scheduler', async () => {
    await makeHost(scene.cloud, 'h2');
    const fast = await flavor({}, { 'trait:CUSTOM_FAST': 'required' });
    const slow = await flavor({}, { 'trait:CUSTOM_FAST': 'forbidden' });
    expect(await explain(fast)).toEqual({ h1: 'lacks trait CUSTOM_FAST', h2: 'lacks trait CUSTOM_FAST' });
    await set(['CUSTOM_FAST'], await generation());
    expect(await explain(fast)).toEqual({ h1: null, h2: 'lacks trait CUSTOM_FAST' });
    expect(await explain(slow)).toEqual({ h1: 'has the forbidden trait CUSTOM_FAST', h2: null });
  });
});
