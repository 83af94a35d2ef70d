// Errors in the shape of each service, since clients and Terraform look into them, and what a stranger is told.
import { makeFlavor, makeImage, makeNetwork } from '../../support/computeFixtures';
import { startIdentity, type IdentityCloud } from '../../support/identity';
import { createImage, startImageCloud, upload } from '../../support/images';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../../support/testCloud';

let cloud: TestCloud;
let identity: IdentityCloud;
let image: string;
const { network, subnet, port, router, external, make, call: neutron } = networkCalls(() => cloud);
const UNKNOWN = '11111111-2222-4333-8444-555555555555';
const compute = (method: string, path: string, body?: unknown, version = '2.1', token: string | null = 'demo') =>
  cloud.call(method, `/compute/v2.1${path}`, { token, body, headers: { 'x-openstack-nova-api-version': version } });

beforeAll(async () => {
  [cloud, identity] = await Promise.all([startTestCloud(), startIdentity({ config: { lockout_attempts: 3 } })]);
  image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
});
afterAll(() => Promise.all([cloud.stop(), identity.stop()]));

describe('compute', () => {
  const create = (server: object, version = '2.37') =>
    compute(
      'POST',
      '/servers',
      { server: { name: 'x', flavorRef: 'small', imageRef: image, networks: 'none', ...server } },
      version,
    );

  test.each([
    ['badRequest', 400, () => create({ flavorRef: '' })],
    ['forbidden', 403, () => compute('GET', '/os-services')],
    ['itemNotFound', 404, () => compute('GET', `/servers/${UNKNOWN}`)],
    ['badMethod', 405, () => compute('PATCH', '/servers', {})],
    ['computeFault', 406, () => compute('GET', '/servers', undefined, '2.999')],
    [
      'conflictingRequest',
      409,
      () => compute('POST', '/flavors', { flavor: { name: 'small', ram: 1, vcpus: 1, disk: 0 } }, '2.1', 'admin'),
    ],
    ['overLimit', 413, () => create({ user_data: 'x'.repeat(200_000) })],
    [
      'badMediaType',
      415,
      () => cloud.call('POST', '/compute/v2.1/servers', { body: 'x', headers: { 'content-type': 'text/plain' } }),
    ],
    ['notImplemented', 501, () => compute('POST', '/os-keypairs', { keypair: { name: 'x', type: 'x509' } }, '2.2')],
  ] as [string, number, () => Promise<Answer>][])(
    'one key %s for %i with code and message, the request id under both names',
    async (key, status, request) => {
      const answer = await request();
      expect(answer.status).toBe(status);
      expect(answer.body).toEqual({ [key]: { code: status, message: expect.stringMatching(/./) } });
      const id = answer.headers.get('x-compute-request-id');
      expect(id).toMatch(/^req-[0-9a-f-]{36}$/);
      expect(answer.headers.get('x-openstack-request-id')).toBe(id);
    },
  );
});

test('401 is the same everywhere and says where tokens are had', async () => {
  for (const [path, token] of [
    '/compute/v2.1/servers',
    '/network/v2.0/networks',
    '/image/v2/images',
    '/identity/v3/users',
  ].flatMap(
    (one) =>
      [
        [one, null],
        [one, 'forged'],
      ] as const,
  )) {
    const target = path.startsWith('/identity') ? identity.test : cloud;
    const answer = await target.call('GET', path, { token });
    expect([path, answer.status]).toEqual([path, 401]);
    expect(answer.body).toEqual({ error: { code: 401, title: 'Unauthorized', message: expect.stringMatching(/./) } });
    expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${target.url}/identity"`);
  }
});

test('a wrong password, an unknown, a disabled and a locked user read the same', async () => {
  const [plain, disabled, locked] = [
    await identity.person('plain'),
    await identity.person('disabled', { enabled: false }),
    await identity.person('locked'),
  ];
  for (let tries = 0; tries < 6; tries++) await identity.login({ id: locked.id }, 'wrong');
  const answers = [
    await identity.login({ id: plain.id }, 'wrong'),
    await identity.login({ name: 'nobody', domain: { id: 'default' } }, 'wrong'),
    await identity.login({ id: disabled.id }, disabled.password),
    await identity.login({ id: locked.id }, locked.password),
  ];
  for (const answer of answers) expect([answer.status, answer.body]).toEqual([401, answers[0]?.body]);
});

test('identity: error with code, title and message', async () => {
  const answer = await identity.call('GET', '/projects/demo');
  expect(answer.status).toBe(404);
  expect(answer.body).toEqual({ error: { code: 404, title: 'Not Found', message: expect.stringContaining('demo') } });
});

describe('network', () => {
  const problem = async (answer: Promise<Answer>): Promise<[number, string]> => {
    const { status, body } = await answer;
    expect(Object.keys(body)).toEqual(['NeutronError']);
    expect(Object.keys(body.NeutronError).sort()).toEqual(['detail', 'message', 'type']);
    expect(typeof body.NeutronError.detail).toBe('string');
    return [status, body.NeutronError.type];
  };

  test('NeutronError has type, message and detail, and the types that clients look at', async () => {
    const inside = await network();
    const range = await subnet(inside.id as string);
    const guest = await port(inside.id as string);
    const { ip_address } = guest.fixed_ips[0];
    const { network: outside } = await external();
    const quota = (value: object) => neutron('PUT', '/quotas/demo-project', { quota: value }, 'admin');
    const post = (path: string, member: string, values: object) => neutron('POST', path, { [member]: values });
    expect(await problem(neutron('DELETE', `/networks/${inside.id as string}`))).toEqual([409, 'NetworkInUse']);
    expect(await problem(neutron('DELETE', `/subnets/${range.id as string}`))).toEqual([409, 'SubnetInUse']);
    expect(await problem(neutron('GET', `/ports/${UNKNOWN}`))).toEqual([404, 'PortNotFound']);
    expect(await problem(neutron('GET', `/networks/${UNKNOWN}`))).toEqual([404, 'NetworkNotFound']);
    expect(await problem(neutron('GET', `/routers/${UNKNOWN}`))).toEqual([404, 'RouterNotFound']);
    expect(await problem(neutron('GET', `/floatingips/${UNKNOWN}`))).toEqual([404, 'FloatingIPNotFound']);
    expect(await problem(neutron('GET', `/security-groups/${UNKNOWN}`))).toEqual([404, 'SecurityGroupNotFound']);
    const taken = { network_id: inside.id, fixed_ips: [{ ip_address }] };
    expect(await problem(post('/ports', 'port', taken))).toEqual([409, 'IpAddressInUse']);
    await quota({ network: 0 });
    expect(await problem(post('/networks', 'network', {}))).toEqual([409, 'OverQuota']);
    await quota({ network: -1 });
    expect((await post('/networks', 'network', {})).status).toBe(201);

    // A port without a way to the outside: the client goes on to the next port only after this 404.
    const floating = await make('/floatingips', 'floatingip', { floating_network_id: outside.id });
    const at = `/floatingips/${floating.id as string}`;
    expect(await problem(neutron('PUT', at, { floatingip: { port_id: guest.id } }))).toEqual([
      404,
      'ExternalGatewayForFloatingIPNotFound',
    ]);
    const way = await router({ external_gateway_info: { network_id: outside.id } });
    await neutron('PUT', `/routers/${way.id as string}/add_router_interface`, { subnet_id: range.id });
    expect((await neutron('PUT', at, { floatingip: { port_id: guest.id } })).status).toBe(200);
  });
});

test('image: code, title and message in JSON, and no page for those who want JSON', async () => {
  for (const accept of ['application/json', '*/*', '']) {
    const answer = await cloud.call('GET', `/image/v2/images/${UNKNOWN}`, { headers: { accept } });
    expect(answer.headers.get('content-type')).toMatch(/json/);
    expect(answer.body).toEqual({
      code: '404 Not Found',
      title: 'Not Found',
      message: expect.stringContaining(UNKNOWN),
    });
  }
});

test('over quota: 403 from compute, 409 from network, 413 from image', async () => {
  const limits = (quota_set: object) => compute('PUT', '/os-quota-sets/demo-project', { quota_set }, '2.1', 'admin');
  await limits({ instances: 0 });
  const body = { server: { name: 'x', flavorRef: 'small', imageRef: image, networks: 'none' } };
  const refused = await compute('POST', '/servers', body, '2.37');
  expect(refused.body).toEqual({ forbidden: { code: 403, message: expect.stringContaining('Quota exceeded') } });
  await limits({ instances: -1 });
  expect((await compute('POST', '/servers', body, '2.37')).status).toBe(202);
  await neutron('PUT', '/quotas/other-project', { quota: { network: 0 } }, 'admin');
  expect((await neutron('POST', '/networks', { network: {} }, 'other')).status).toBe(409);
  const small = await startImageCloud({ max_images: 1 });
  try {
    const made = await createImage(small);
    expect((await small.call('POST', '/image/v2/images', { body: {} })).status).toBe(413);
    expect((await upload(small, made.id as string, 'x')).status).toBe(204);
  } finally {
    await small.stop();
  }
});

describe('a stranger', () => {
  test('finds no foreign server, network or image: 404', async () => {
    await makeNetwork(cloud, 'mine');
    const mine = (await network({}, 'demo')).id as string;
    const { id } = await createImage(cloud);
    const body = { server: { name: 'x', flavorRef: 'small', imageRef: image, networks: 'none' } };
    const server = (await compute('POST', '/servers', body, '2.37')).body.server.id as string;
    for (const path of [
      `/compute/v2.1/servers/${server}`,
      `/network/v2.0/networks/${mine}`,
      `/image/v2/images/${id as string}`,
    ])
      for (const method of ['GET', 'DELETE'])
        expect([method, path, (await cloud.call(method, path, { token: 'other' })).status]).toEqual([
          method,
          path,
          404,
        ]);
  });

  test('is told the same 403 by identity for a foreign id and for one that does not exist', async () => {
    const [project, person] = [await identity.project('foreign'), await identity.person('stranger')];
    const own = await identity.project('own');
    await identity.grant('member', `projects/${own}`, `users/${person.id}`);
    const token = await identity.token(person, { project: { id: own } });
    const answers = await Promise.all(
      [project, 'f'.repeat(32)].map((id) => identity.call('GET', `/projects/${id}`, undefined, token)),
    );
    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
    expect(answers[0]?.body).toEqual(answers[1]?.body);
  });

  test('may see but not change a public image and a shared network: 403', async () => {
    const shared = await network({ shared: true }, 'admin');
    const seen = `/network/v2.0/networks/${shared.id as string}`;
    expect((await cloud.call('GET', seen)).status).toBe(200);
    expect((await cloud.call('PUT', seen, { body: { network: { name: 'x' } } })).status).toBe(403);
    expect((await cloud.call('DELETE', seen)).status).toBe(403);
    expect((await cloud.call('GET', `/image/v2/images/${image}`)).status).toBe(200);
    expect((await cloud.call('DELETE', `/image/v2/images/${image}`)).status).toBe(403);
  });
});
