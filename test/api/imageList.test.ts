// Lists of images over HTTP: every filter, sorting, paging, and a fixed number of queries.
import { imageFilters } from '../../controller/src/services/image/filters';
import { splitOperator, splitValues } from '../../controller/src/services/image/filterValue';
import { isoTime, timeConditions } from '../../controller/src/services/image/timeFilter';
import { activeImage, createImage, patch, startImageCloud } from '../support/images';
import type { TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const ids: Record<string, string> = {};

beforeAll(async () => {
  cloud = await startImageCloud();
  const make = async (name: string, image: Promise<{ id: string }>): Promise<void> => {
    ids[name] = (await image).id;
  };
  await make('a', activeImage(cloud, { name: 'a', min_ram: 64, tags: ['x'] }, 'demo', 'four'));
  await make('b', activeImage(cloud, { name: 'b', min_ram: 128, tags: ['x', 'y'] }, 'demo', 'six678'));
  await make('c', createImage(cloud, { name: 'c, or not', disk_format: 'qcow2', os_distro: 'debian', 'a:b': '1' }));
  await make('d', createImage(cloud, { name: 'd', protected: true, min_disk: 5, visibility: 'private' }));
  await make('hidden', createImage(cloud, { name: 'hidden', os_hidden: true }));
  await make('community', createImage(cloud, { name: 'community', visibility: 'community' }, 'other'));
  await make('public', createImage(cloud, { name: 'public', visibility: 'public' }, 'admin'));
  await make('foreign', createImage(cloud, { name: 'foreign', visibility: 'private' }, 'other'));
  for (const status of ['pending', 'accepted', 'rejected']) {
    await make(status, createImage(cloud, { name: status }, 'other'));
    const members = `/image/v2/images/${ids[status] ?? ''}/members`;
    await cloud.call('POST', members, { token: 'other', body: { member: 'demo-project' } });
    if (status !== 'pending') await cloud.call('PUT', `${members}/demo-project`, { body: { status } });
  }
});
afterAll(() => cloud.stop());

const names = async (query: string, token = 'demo'): Promise<string[]> => {
  const answer = await cloud.call('GET', `/image/v2/images?${query}`, { token });
  expect(answer.status).toBe(200);
  return answer.body.images.map((image: { name: string }) => image.name).sort();
};

const OWN = ['a', 'b', 'c, or not', 'd'];
const SEEN = [...OWN, 'accepted', 'public'].sort();

test.each([
  ['', SEEN],
  ['name=a', ['a']],
  ['name=A', []],
  ['name=nothing', []],
  ['name=in:a,b', ['a', 'b']],
  ['name=in:"c, or not",d', ['c, or not', 'd']],
  ['status=active', ['a', 'b']],
  ['status=in:active,saving', ['a', 'b']],
  ['status=in:queued', ['accepted', 'c, or not', 'd', 'public']],
  ['status=killed', []],
  ['disk_format=qcow2', ['c, or not']],
  ['disk_format=in:qcow2,iso', ['c, or not']],
  ['container_format=bare', SEEN],
  ['owner=demo-project', OWN],
  ['owner=other-project', ['accepted']],
  ['visibility=private', ['d']],
  ['visibility=public', ['public']],
  ['visibility=shared', ['a', 'accepted', 'b', 'c, or not']],
  ['visibility=community', ['community']],
  ['visibility=all', [...SEEN, 'community'].sort()],
  ['visibility=', SEEN],
  ['member_status=pending', [...OWN, 'pending', 'public'].sort()],
  ['member_status=rejected', [...OWN, 'public', 'rejected'].sort()],
  ['member_status=all', [...SEEN, 'pending', 'rejected'].sort()],
  ['member_status=pending&visibility=shared', ['a', 'b', 'c, or not', 'pending']],
  ['size_min=5', ['b']],
  ['size_max=5', ['a']],
  ['size_min=4&size_max=6', ['a', 'b']],
  ['size=4', ['a']],
  ['size=much', []],
  ['virtual_size_min=6', ['b']],
  ['min_ram_min=100', ['b']],
  ['min_ram=64', ['a']],
  ['min_disk=5', ['d']],
  ['tag=x', ['a', 'b']],
  ['tag=x&tag=y', ['b']],
  ['tag=z', []],
  ['protected=true', ['d']],
  ['protected=True', ['d']],
  ['protected=false', SEEN.filter((name) => name !== 'd')],
  ['os_hidden=true', ['hidden']],
  ['os_hidden=false', SEEN],
  ['created_at=gt:2020-01-01T00:00:00Z', SEEN],
  ['created_at=lt:2020-01-01T00:00:00Z', []],
  ['created_at=2020-01-01T00:00:00Z', []],
  ['updated_at=gte:2020-01-01', SEEN],
  ['updated_at=neq:2020-01-01T00:00:00%2B02:00', SEEN],
  ['os_distro=debian', ['c, or not']],
  ['os_distro=alpine', []],
  ['a:b=1', ['c, or not']],
  ['unknown_min=4', []],
  ['checksum=0', []],
])('?%s', async (query, expected) => {
  expect(await names(query)).toEqual(expected);
});

test('ids, checksums and exact times find their images', async () => {
  const a = (await cloud.call('GET', `/image/v2/images/${ids['a'] ?? ''}`)).body;
  expect(await names(`id=${a.id}`)).toEqual(['a']);
  expect(await names(`id=in:${a.id},${ids['b'] ?? ''}`)).toEqual(['a', 'b']);
  expect(await names(`checksum=${a.checksum}`)).toEqual(['a']);
  expect(await names(`os_hash_value=${a.os_hash_value}`)).toEqual(['a']);
  expect(await names(`os_hash_algo=sha512`)).toEqual(['a', 'b']);
  expect(await names(`created_at=${a.created_at}`)).toContain('a');
  expect(await names(`created_at=lte:${a.created_at}`)).toContain('a');
  expect(await names(`created_at=gt:${a.created_at}`)).not.toContain('a');
});

test('an administrator sees every image but the community ones of others', async () => {
  expect(await names('', 'admin')).toEqual([...OWN, 'accepted', 'foreign', 'pending', 'public', 'rejected'].sort());
  expect(await names('visibility=community', 'admin')).toEqual(['community']);
  expect(await names('owner=other-project&visibility=private', 'admin')).toEqual(['foreign']);
});

test('a reader of the project sees what its members see', async () => {
  expect(await names('', 'reader')).toEqual(SEEN);
});

test.each([
  'visibility=secret',
  'member_status=maybe',
  'protected=maybe',
  'os_hidden=maybe',
  'size_min=much',
  'status=like:a',
  'created_at=yesterday',
  'created_at=gt:yesterday',
  'created_at=about:2020-01-01',
  'changes-since=2020-01-01',
  'name=in:"open',
  'limit=x',
  'limit=-1',
  'limit=1.5',
  'sort=colour',
  'sort=name:up',
  'sort_key=colour',
  'sort_dir=up',
  'sort_key=name&sort_dir=asc&sort_dir=desc',
  'sort=name&sort_key=name',
  'marker=6f1a2b3c-0000-4000-8000-000000000000',
  'marker=x',
])('?%s is refused with 400', async (query) => {
  const answer = await cloud.call('GET', `/image/v2/images?${query}`);
  expect(answer.status).toBe(400);
  expect(answer.body.code).toBe('400 Bad Request');
});

test('a marker that the caller may not see is refused like an unknown one', async () => {
  expect((await cloud.call('GET', `/image/v2/images?marker=${ids['foreign'] ?? ''}`)).status).toBe(400);
});

const order = async (query: string): Promise<string[]> =>
  (await cloud.call('GET', `/image/v2/images?owner=demo-project&${query}`)).body.images.map(
    (image: { name: string }) => image.name,
  );

test.each([
  ['', ['d', 'c, or not', 'b', 'a']],
  ['sort=name:asc', ['a', 'b', 'c, or not', 'd']],
  ['sort=name', ['d', 'c, or not', 'b', 'a']],
  ['sort=status:asc,name:desc', ['b', 'a', 'd', 'c, or not']],
  ['sort= disk_format : asc , name : asc ', ['c, or not', 'a', 'b', 'd']],
  ['sort_key=name&sort_dir=asc', ['a', 'b', 'c, or not', 'd']],
  ['sort_dir=asc', ['a', 'b', 'c, or not', 'd']],
  ['sort_key=status&sort_key=name&sort_dir=desc', ['d', 'c, or not', 'b', 'a']],
  ['sort_key=status&sort_dir=asc&sort_key=name&sort_dir=desc', ['b', 'a', 'd', 'c, or not']],
  ['sort=size:desc', ['b', 'a', 'd', 'c, or not']],
])('?%s sorts', async (query, expected) => {
  expect(await order(query)).toEqual(expected);
});

test('pages join to the whole, following links without the service prefix', async () => {
  for (const sort of ['sort=name:asc', 'sort=size:desc', 'sort_key=status&sort_dir=asc', 'tag=x', '']) {
    const whole = await order(`${sort}&limit=100`);
    const seen: string[] = [];
    let next: string | undefined = `/v2/images?owner=demo-project&limit=1&${sort}`;
    const { first } = (await cloud.call('GET', `/image${next}`)).body;
    while (next) {
      const page: { status: number; body: { images: { name: string }[]; next?: string; first: string } } =
        await cloud.call('GET', `/image${next}`);
      expect(page.status).toBe(200);
      expect(page.body.first).toBe(first);
      seen.push(...page.body.images.map((image) => image.name));
      next = page.body.next;
    }
    expect(seen).toEqual(whole);
  }
});

test('the links of a list', async () => {
  const { body } = await cloud.call('GET', '/image/v2/images');
  expect(body).toMatchObject({ first: '/v2/images', schema: '/v2/schemas/images' });
  expect(body).not.toHaveProperty('next');
  const page = (await cloud.call('GET', '/image/v2/images?tag=x&tag=x&limit=1&name=in%3Aa,b')).body;
  expect(page.first).toBe('/v2/images?tag=x&tag=x&limit=1&name=in%3Aa%2Cb');
  expect(page.next).toBe(`${page.first}&marker=${page.images[0].id}`);
  expect((await cloud.call('GET', '/image/v2/images?limit=0')).body.images).toEqual([]);
});

test('a page has 25 images unless asked for, and any number costs the same queries', async () => {
  const many = await startImageCloud();
  try {
    for (let at = 0; at < 30; at++) await createImage(many, { name: `n${at}`, tags: ['t'], at: String(at) });
    const queries = async (query: string): Promise<[number, number]> => {
      const before = many.statements.length;
      const { images } = (await many.call('GET', `/image/v2/images?${query}`)).body;
      return [images.length, many.statements.length - before];
    };
    const [count, cost] = await queries('');
    expect(count).toBe(25);
    expect(await queries('limit=5000')).toEqual([30, cost]);
    expect(await queries('limit=1')).toEqual([1, cost]);
  } finally {
    await many.stop();
  }
});

test('a change of an image moves updated_at, not created_at', async () => {
  const { id, created_at } = await createImage(cloud, { name: 'later' }, 'other');
  const changed = await patch(cloud, id, [{ op: 'add', path: '/a', value: 'b' }], 'other');
  expect(changed.body.created_at).toBe(created_at);
  await cloud.call('DELETE', `/image/v2/images/${id as string}`, { token: 'other' });
});

describe('filter values', () => {
  test.each([
    ['a,b', ['a', 'b']],
    ['"a,b",c', ['a,b', 'c']],
    ['"a\\"b"', ['a"b']],
    ['a,,b', ['a', '', 'b']],
    ['', []],
    ['"x"', ['x']],
  ])('%s', (text, values) => {
    expect(splitValues(text)).toEqual(values);
  });

  test.each(['a"b"', '"a', '"a"b', 'a,b"c"'])('%s is refused', (text) => {
    expect(() => splitValues(text)).toThrow('Invalid filter value');
  });

  test('a time with colons is no operator', () => {
    expect(splitOperator('2020-01-01T00:00:00')).toEqual({ operator: 'eq', value: '2020-01-01T00:00:00' });
    expect(splitOperator('gt:2020-01-01T00:00:00')).toEqual({ operator: 'gt', value: '2020-01-01T00:00:00' });
  });

  test.each([
    ['2020-01-01T00:00:00Z', 1_577_836_800_000],
    ['2020-01-01T00:00:00.789Z', 1_577_836_800_000],
    ['2020-01-01T02:00:00+02:00', 1_577_836_800_000],
    ['2020-01-01T02:00:00+0200', 1_577_836_800_000],
    ['2020-01-01T02:00:00 02:00', 1_577_836_800_000],
    ['2020-01-01T00:00:00', 1_577_836_800_000],
    ['2020-01-01 00:00', 1_577_836_800_000],
    ['2020-01-01', 1_577_836_800_000],
    ['2020-13-01', undefined],
    ['soon', undefined],
  ])('the time %s', (text, milliseconds) => {
    expect(isoTime(text)).toBe(milliseconds);
  });

  test.each(['gt', 'gte', 'lt', 'lte', 'eq', 'neq'])('%s compares whole seconds', (operator) => {
    expect(timeConditions('created_at', operator, 1000)).not.toEqual([]);
  });

  test('the visibility is not a condition of its own', () => {
    expect(imageFilters(new Map([['visibility', 'public']]), []).visibility).toBe('public');
  });
});
