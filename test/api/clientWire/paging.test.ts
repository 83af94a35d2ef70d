// Pages as clients follow them: the default sizes, the links and what a marker must be.
import { randomUUID } from 'node:crypto';
import { images } from '../../../controller/src/db/entities/image';
import { fillServers } from '../../bench/fill';
import { makeFlavor, makeImage, withoutQuota } from '../../support/computeFixtures';
import { startIdentity, type IdentityCloud } from '../../support/identity';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let identity: IdentityCloud;
const { network } = networkCalls(() => cloud);
const get = (path: string) => cloud.call('GET', path, { headers: { 'x-openstack-nova-api-version': '2.79' } });

beforeAll(async () => {
  [cloud, identity] = await Promise.all([startTestCloud(), startIdentity()]);
  for (let count = 0; count < 30; count++) await makeImage(cloud, { name: `image-${count % 3}`, size: count });
  const image = await makeImage(cloud, { visibility: 'private', owner: 'demo-project' });
  await makeFlavor(cloud, 'small');
  await withoutQuota(cloud);
  for (let count = 0; count < 5; count++) {
    await network({ name: `net-${count}` });
    await cloud.call('POST', '/compute/v2.1/servers', {
      headers: { 'x-openstack-nova-api-version': '2.37' },
      body: { server: { name: `server-${count}`, flavorRef: 'small', imageRef: image, networks: 'none' } },
    });
  }
});
afterAll(() => Promise.all([cloud.stop(), identity.stop()]));

test('a page of images has 25, and its links lack the service’s prefix', async () => {
  const page = (await get('/image/v2/images')).body;
  expect(page.images).toHaveLength(25);
  expect([page.first, page.schema]).toEqual(['/v2/images', '/v2/schemas/images']);
  expect(page.next).toBe(`/v2/images?marker=${page.images[24].id as string}`);
  const rest = (await get(`/image${page.next as string}`)).body;
  expect(rest.images).toHaveLength(6);
  expect(rest).not.toHaveProperty('next');
  const [one] = page.images;
  expect([one.self, one.file, one.schema]).toEqual([
    `/v2/images/${one.id as string}`,
    `/v2/images/${one.id as string}/file`,
    '/v2/schemas/image',
  ]);
});

test('a page of servers links absolutely to the next until one is short; an unknown marker is 400', async () => {
  expect((await get('/compute/v2.1/servers')).body).not.toHaveProperty('servers_links');
  const page = (await get('/compute/v2.1/servers?limit=3')).body;
  expect(page.servers).toHaveLength(3);
  const href = `${cloud.url}/compute/v2.1/servers?limit=3&marker=${page.servers[2].id as string}`;
  expect(page.servers_links).toEqual([{ rel: 'next', href }]);
  const last = (await get(href.slice(cloud.url.length))).body;
  expect(last.servers).toHaveLength(2);
  expect(last).not.toHaveProperty('servers_links');
  // The SDK asks once more, behind the last one, until a page is empty.
  const behind = await get(`/compute/v2.1/servers?limit=3&marker=${last.servers[1].id as string}`);
  expect([behind.status, behind.body.servers]).toEqual([200, []]);
  const unknown = await get('/compute/v2.1/servers?marker=11111111-2222-4333-8444-555555555555');
  expect(Object.keys(unknown.body)).toEqual(['badRequest']);
});

test('networks come whole without a limit, with one they have links to both sides', async () => {
  const whole = (await get('/network/v2.0/networks')).body;
  expect(whole.networks).toHaveLength(5);
  expect(whole).not.toHaveProperty('networks_links');
  const page = (await get('/network/v2.0/networks?limit=2&sort_key=name&sort_dir=asc')).body;
  expect(page.networks.map((one: { name: string }) => one.name)).toEqual(['net-0', 'net-1']);
  const next = page.networks_links.find(({ rel }: { rel: string }) => rel === 'next').href as string;
  expect(next).toContain(`${cloud.url}/network/v2.0/networks?`);
  const second = (await get(next.slice(cloud.url.length))).body;
  expect(second.networks.map((one: { name: string }) => one.name)).toEqual(['net-2', 'net-3']);
  expect(second.networks_links.map(({ rel }: { rel: string }) => rel).sort()).toEqual(['next', 'previous']);
});

test('identity lists are never paged unless asked for', async () => {
  for (let count = 0; count < 30; count++) await identity.project(`project-${count}`);
  const body = await identity.must(200, 'GET', '/projects');
  expect([body.projects.length, body.links.next]).toEqual([31, null]);
});

test('sorting: pairs of key and direction for servers and networks, for images also in one word', async () => {
  const names = async (path: string, member: string) =>
    (await get(path)).body[member].map((one: { name: string }) => one.name);
  const down = ['server-4', 'server-3', 'server-2', 'server-1', 'server-0'];
  const server = '/compute/v2.1/servers?sort_key=project_id&sort_dir=asc&sort_key=display_name&sort_dir=desc';
  expect(await names(server, 'servers')).toEqual(down);
  const nets = '/network/v2.0/networks?sort_key=status&sort_dir=asc&sort_key=name&sort_dir=desc';
  expect(await names(nets, 'networks')).toEqual(['net-4', 'net-3', 'net-2', 'net-1', 'net-0']);
  const sizes = async (query: string) =>
    (await get(`/image/v2/images?visibility=public&limit=12&${query}`)).body.images.map(
      (one: { name: string; size: number }) => `${one.name} ${one.size}`,
    );
  const byWord = await sizes('sort=name:asc,size:desc');
  expect(byWord.slice(0, 3)).toEqual(['image-0 27', 'image-0 24', 'image-0 21']);
  expect(byWord[10]).toBe('image-1 28');
  expect(await sizes('sort_key=name&sort_dir=asc&sort_key=size&sort_dir=desc')).toEqual(byWord);
});

test('more than a thousand servers: a thousand without a limit, and a link to the rest', async () => {
  await fillServers(cloud.cloud, 1003, randomUUID);
  const list = (path: string) => cloud.call('GET', path, { token: 'admin' });
  const page = (await list('/compute/v2.1/servers?all_tenants=1')).body;
  expect(page.servers).toHaveLength(1000);
  const href = `${cloud.url}/compute/v2.1/servers?all_tenants=1&marker=${page.servers[999].id as string}`;
  expect(page.servers_links).toEqual([{ rel: 'next', href }]);
  const rest = (await list(href.slice(cloud.url.length))).body;
  expect(rest).not.toHaveProperty('servers_links');
  const ids = [...page.servers, ...rest.servers].map((one: { id: string }) => one.id);
  expect([ids.length, new Set(ids).size]).toEqual([1003, 1003]);
});

test('more than a thousand images: a thousand at most, whatever the limit, and a link to the rest', async () => {
  const { db } = cloud.cloud;
  const [image] = await db.read((session) => session.find(images, { where: { visibility: 'public' }, limit: 1 }));
  if (!image) throw new Error('there is no public image');
  await db.write((session) =>
    session.insert(
      images,
      Array.from({ length: 1000 }, () => ({ ...image, id: randomUUID() })),
    ),
  );
  const page = (await get('/image/v2/images?limit=5000')).body;
  expect(page.images).toHaveLength(1000);
  const rest = (await get(`/image${page.next as string}`)).body;
  expect(rest).not.toHaveProperty('next');
  const ids = [...page.images, ...rest.images].map((one: { id: string }) => one.id);
  expect([ids.length, new Set(ids).size]).toEqual([1031, 1031]);
});
