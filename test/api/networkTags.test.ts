// Tags of every resource that can have some, and the filters by tag. Other projects' resources do not exist here either.
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port, router, group, external, make } = networkCalls(() => cloud);

beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud.stop());

/** One of each resource with tags, owned by demo: path and id. */
async function oneOfEach(): Promise<[string, string][]> {
  const { network: outside } = await external();
  const net = await network();
  const range = await subnet(net.id);
  const pool = await make('/subnetpools', 'subnetpool', { name: 'p', prefixes: ['10.20.0.0/16'] });
  return [
    ['/networks', net.id],
    ['/subnets', range.id],
    ['/ports', (await port(net.id)).id],
    ['/routers', (await router()).id],
    ['/floatingips', (await make('/floatingips', 'floatingip', { floating_network_id: outside.id })).id],
    ['/security-groups', (await group()).id],
    ['/subnetpools', pool.id],
  ];
}

test('tags are set, added, looked up and removed on every resource, and never by another project', async () => {
  for (const [path, id] of await oneOfEach()) {
    const tags = `${path}/${id}/tags`;
    expect(await call('PUT', tags, { tags: ['b', 'a'] })).toMatchObject({ status: 200, body: { tags: ['a', 'b'] } });
    expect((await call('PUT', `${tags}/c`)).status).toBe(201);
    expect((await call('GET', tags)).body).toEqual({ tags: ['a', 'b', 'c'] });
    expect((await call('POST', tags, { tags: ['d'] })).body).toEqual({ tags: ['a', 'b', 'c', 'd'] });
    expect((await call('GET', `${tags}/b`)).status).toBe(204);
    expect((await call('DELETE', `${tags}/b`)).status).toBe(204);
    const missing = await call('GET', `${tags}/b`);
    expect([missing.status, missing.body.NeutronError.type]).toEqual([404, 'TagNotFound']);
    expect((await call('DELETE', `${tags}/b`)).status).toBe(404);
    const shown = Object.values((await call('GET', `${path}/${id}`)).body)[0] as {
      tags: string[];
      revision_number: number;
    };
    expect(shown.tags).toEqual(['a', 'c', 'd']);
    expect(shown.revision_number).toBeGreaterThan(1);

    const attempts = [
      ['GET', tags],
      ['GET', `${tags}/a`],
      ['PUT', tags, { tags: [] }],
      ['POST', tags, { tags: ['evil'] }],
      ['PUT', `${tags}/evil`],
      ['DELETE', `${tags}/a`],
      ['DELETE', tags],
    ] as const;
    for (const [method, target, body] of attempts)
      expect([method, target, (await call(method, target, body, 'other')).status]).toEqual([method, target, 404]);
    expect((await call('PUT', tags, { tags: [] }, 'reader')).status).toBe(403);
    expect((await call('GET', tags)).body).toEqual({ tags: ['a', 'c', 'd'] });
    expect((await call('DELETE', tags)).status).toBe(204);
    expect((await call('GET', tags)).body).toEqual({ tags: [] });
  }
});

test('a visible network of another project keeps its tags', async () => {
  const shared = await network({ shared: true }, 'admin');
  expect((await call('GET', `/networks/${shared.id}/tags`)).status).toBe(200);
  expect((await call('PUT', `/networks/${shared.id}/tags`, { tags: ['evil'] })).status).toBe(403);
});

test('bad tags are refused', async () => {
  const { id } = await network();
  const bodies = [
    {},
    5,
    { tags: 'a' },
    { tags: [5] },
    { tags: ['a', 'a'] },
    { tags: ['x'.repeat(256)] },
    { tags: Array.from({ length: 51 }, (_, at) => `t${at}`) },
  ];
  for (const body of bodies) expect((await call('PUT', `/networks/${id}/tags`, body)).status).toBe(400);
  expect((await call('PUT', `/networks/${id}/tags/${'x'.repeat(256)}`)).status).toBe(400);
});

test('the four tag filters combine tags as their names say', async () => {
  const names: Record<string, string[]> = { ta: ['red'], tb: ['red', 'blue'], tc: ['green'], td: [] };
  for (const [name, tags] of Object.entries(names)) {
    const { id } = await network({ name });
    await call('PUT', `/networks/${id}/tags`, { tags });
  }
  const found = async (query: string) =>
    (await call('GET', `/networks?${query}`)).body.networks
      .map((row: { name: string }) => row.name)
      .filter((name: string) => name in names)
      .sort();
  expect(await found('tags=red')).toEqual(['ta', 'tb']);
  expect(await found('tags=red,blue')).toEqual(['tb']);
  expect(await found('tags-any=red,green')).toEqual(['ta', 'tb', 'tc']);
  expect(await found('not-tags=red,blue')).toEqual(['ta', 'tc', 'td']);
  expect(await found('not-tags-any=red,green')).toEqual(['td']);
});

test('new ports bring tags in one body', async () => {
  const net = await network();
  const made = await call('POST', '/ports', {
    ports: [{ network_id: net.id, tags: ['x', 'y'] }, { network_id: net.id }],
  });
  expect(made.body.ports.map((row: { tags: string[] }) => row.tags)).toEqual([['x', 'y'], []]);
});
