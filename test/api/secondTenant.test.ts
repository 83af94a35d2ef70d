// Generated from the route tables of compute and image: what one project owns answers another exactly as what does not exist.
// Network (networkIsolation.test.ts) and identity (identityPolicy.test.ts) have tests of their own kind.
import { randomUUID } from 'node:crypto';
import { computeService } from '../../controller/src/api/compute/routes';
import { cumuletService } from '../../controller/src/api/cumulet/routes';
import { imageService } from '../../controller/src/api/image/routes';
import type { Route } from '../../controller/src/api/route';
import { makeFlavor, makeImage, makeNetwork, settle, makeHost } from '../support/computeFixtures';
import { activeImage } from '../support/images';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
/** What demo owns, by the collection in the path. */
const owned = new Map<string, string>();
/** Names below the owned things that do exist. */
const parts = new Map<string, string>();
const VERSION = 'openstack-api-version';

beforeAll(async () => {
  cloud = await startTestCloud();
  const must = async (path: string, body: object, version = '2.79'): Promise<Answer['body']> => {
    const answer = await cloud.call('POST', path, { body, headers: { [VERSION]: `compute ${version}` } });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  await makeHost(cloud, 'h1');
  await makeFlavor(cloud, 'small');
  const network = await makeNetwork(cloud, 'net');
  const { server } = await must('/compute/v2.1/servers', {
    server: {
      name: 'mine',
      imageRef: await makeImage(cloud),
      flavorRef: 'small',
      networks: [{ uuid: network }],
      metadata: { known: 'value' },
      tags: ['known'],
    },
  });
  await settle(cloud, server.id);
  owned.set('servers', server.id);
  const keypair = { keypair: { name: 'mine', type: 'ssh' } };
  owned.set('os-keypairs', (await must('/compute/v2.1/os-keypairs', keypair)).keypair.name);
  const group = { security_group: { name: 'mine', description: '' } };
  const { security_group } = await must('/compute/v2.1/os-security-groups', group, '2.1');
  owned.set('os-security-groups', security_group.id);
  const rule = { parent_group_id: security_group.id, ip_protocol: 'tcp', from_port: 1, to_port: 2, cidr: '0.0.0.0/0' };
  const made = await must('/compute/v2.1/os-security-group-rules', { security_group_rule: rule }, '2.1');
  owned.set('os-security-group-rules', made.security_group_rule.id);
  const together = { server_group: { name: 'mine', policy: 'anti-affinity' } };
  owned.set('os-server-groups', (await must('/compute/v2.1/os-server-groups', together)).server_group.id);
  const image = await activeImage(cloud, { visibility: 'private' });
  owned.set('images', image.id);
  const ports = await cloud.call('GET', `/network/v2.0/ports?device_id=${server.id}`);
  const actions = await cloud.call('GET', `/compute/v2.1/servers/${server.id}/os-instance-actions`);
  parts.set('port', ports.body.ports[0].id);
  parts.set('request', actions.body.instanceActions[0].request_id);
  for (const [name, value] of Object.entries({
    key: 'known',
    tag: 'known',
    network: 'net',
    member: 'other-project',
    store: 'file',
  }))
    parts.set(name, value);
});
afterAll(() => cloud.stop());

/** A body that every check of form passes, by the end of the path. */
function bodyOf({ method, path }: Route): unknown {
  if (method === 'GET') return undefined;
  if (method === 'PATCH') return [{ op: 'replace', path: '/name', value: 'theirs' }];
  const bodies: [RegExp, unknown][] = [
    [/servers\/:id$/, { server: { name: 'theirs' } }],
    [/servers\/:id\/action$/, { 'os-stop': null }],
    [/migrations\/:migration\/action$/, { force_complete: null }],
    [/metadata$/, { metadata: { a: 'b' } }],
    [/metadata\/:key$/, { meta: { known: 'theirs' } }],
    [/\/tags$/, { tags: ['theirs'] }],
    [/os-interface$/, { interfaceAttachment: {} }],
    [/remote-consoles$/, { remote_console: { protocol: 'vnc', type: 'novnc' } }],
    [/os-security-groups\/:id$/, { security_group: { name: 'theirs', description: '' } }],
    [/import$/, { method: { name: 'glance-direct' } }],
    [/members$/, { member: 'other-project' }],
    [/members\/:member$/, { status: 'accepted' }],
    [/(file|stage)$/, 'bytes'],
  ];
  return bodies.find(([end]) => end.test(path))?.[1];
}

/** The collection that a route's id is of; an image is named by its store, too. */
const collectionOf = (path: string): string => {
  const word = /([^/]+)\/:(?:id|name)\b/.exec(path)?.[1] ?? '';
  return word === ':store' ? 'images' : word;
};
const COLLECTIONS = [
  'servers',
  'os-keypairs',
  'os-security-groups',
  'os-security-group-rules',
  'os-server-groups',
  'images',
];

/** `/v2` of compute is `/v2.1` under another name. */
const routes = [computeService, imageService, cumuletService].flatMap((service) =>
  service.routes
    .filter(({ path }) => COLLECTIONS.includes(collectionOf(path)))
    .filter(({ path }) => service.name !== 'compute' || path.startsWith('/v2.1/'))
    .map((route) => ({ service, route, what: `${route.method} ${service.prefixes[0] ?? ''}${route.path}` })),
);

async function ask(token: string, { service, route }: (typeof routes)[number], id: string): Promise<Answer> {
  const path = route.path
    .replace(/:(id|name)\b/, id)
    .replace(/:(\w+)/g, (_all, name: string) => parts.get(name) ?? `no-${name}`);
  const body = bodyOf(route);
  const type = route.method === 'PATCH' ? 'application/openstack-images-v2.1-json-patch' : 'application/octet-stream';
  const raw = route.rawBody === true || route.method === 'PATCH';
  const answer = await cloud.call(route.method, `${service.prefixes[0] ?? ''}${path}`, {
    token,
    body: raw && typeof body !== 'string' ? JSON.stringify(body) : body,
    headers: {
      [VERSION]: `compute ${route.until === undefined ? '2.79' : '2.1'}`,
      ...(raw ? { 'content-type': type } : {}),
    },
  });
  return {
    ...answer,
    body: JSON.stringify(answer.body)
      .replaceAll(id, 'ID')
      .replaceAll(/req-[-0-9a-f]+/g, 'REQUEST'),
  };
}

test.each(routes.map((one) => [one.what, one] as const))('%s of another project does not exist', async (_what, one) => {
  const id = owned.get(collectionOf(one.route.path)) ?? '';
  const [foreign, unknown] = [await ask('other', one, id), await ask('other', one, randomUUID())];
  expect([foreign.status, foreign.body]).toEqual([unknown.status, unknown.body]);
  expect(foreign.status).toBe(404);
});

test('the owner still finds all of it', async () => {
  for (const [collection, id] of owned) {
    if (collection === 'os-security-group-rules') continue;
    const path = collection === 'images' ? `/image/v2/images/${id}` : `/compute/v2.1/${collection}/${id}`;
    const answer = await cloud.call('GET', path);
    expect([path, answer.status]).toEqual([path, 200]);
    expect(JSON.stringify(answer.body)).not.toContain('theirs');
  }
});
