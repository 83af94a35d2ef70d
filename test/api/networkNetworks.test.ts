// Networks over HTTP: bodies, rights, filters, sorting, pages, bulk, tags, revisions.
import { hintsTold } from '../../controller/src/services/network/hints';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port, external, router } = networkCalls(() => cloud);
const errorType = (answer: { body: { NeutronError?: { type: string } } }) => answer.body.NeutronError?.type;

beforeEach(async () => {
  cloud = await startTestCloud();
});
afterEach(() => cloud.stop());

const MEMBER_KEYS = [
  'admin_state_up',
  'availability_zone_hints',
  'availability_zones',
  'created_at',
  'description',
  'dns_domain',
  'id',
  'mtu',
  'name',
  'port_security_enabled',
  'project_id',
  'revision_number',
  'router:external',
  'shared',
  'status',
  'subnets',
  'tags',
  'tenant_id',
  'updated_at',
];

test('a new network has every attribute with its default, provider attributes only for administrators', async () => {
  const made = await network({ name: 'a' });
  expect(Object.keys(made).sort()).toEqual(MEMBER_KEYS);
  expect(made).toMatchObject({
    name: 'a',
    description: '',
    admin_state_up: true,
    status: 'ACTIVE',
    shared: false,
    'router:external': false,
    mtu: 1450,
    port_security_enabled: true,
    dns_domain: '',
    subnets: [],
    tags: [],
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    availability_zones: [],
    availability_zone_hints: [],
    revision_number: 1,
  });
  expect(made.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const seen = (await call('GET', `/networks/${made.id}`, undefined, 'admin')).body.network;
  expect(Object.keys(seen).sort()).toEqual(
    [...MEMBER_KEYS, 'provider:network_type', 'provider:physical_network', 'provider:segmentation_id'].sort(),
  );
  expect(seen).toMatchObject({ 'provider:network_type': 'vxlan', 'provider:physical_network': null });
  expect(seen['provider:segmentation_id']).toBeGreaterThan(0);
});

test.each([
  [{ network: { name: 5 } }, 'HTTPBadRequest'],
  [{ network: { colour: 'red' } }, 'HTTPBadRequest'],
  [{ network: { status: 'DOWN' } }, 'HTTPBadRequest'],
  [{ network: { id: 'x' } }, 'HTTPBadRequest'],
  [{ network: { admin_state_up: 'maybe' } }, 'HTTPBadRequest'],
  [{ network: { name: 'x'.repeat(256) } }, 'HTTPBadRequest'],
  [{ network: { mtu: 10 } }, 'InvalidInput'],
  [{ network: { mtu: 9000 } }, 'InvalidInput'],
  [{ network: { dns_domain: 'no-dot' } }, 'HTTPBadRequest'],
  [{ network: { dns_domain: 'bad_name.' } }, 'HTTPBadRequest'],
  [{ network: { tenant_id: 'a', project_id: 'b' } }, 'HTTPBadRequest'],
  [{ network: { tenant_id: 'other-project' } }, 'HTTPBadRequest'],
  [{ network: { tenant_id: 5 } }, 'HTTPBadRequest'],
  [{ network: [] }, 'HTTPBadRequest'],
  [{ subnet: {} }, 'HTTPBadRequest'],
  [{ network: {}, other: {} }, 'HTTPBadRequest'],
  [{ networks: [] }, 'HTTPBadRequest'],
  [{ networks: [5] }, 'HTTPBadRequest'],
  [5, 'HTTPBadRequest'],
  ['{', 'MalformedRequestBody'],
])('creating from %j is refused as %s', async (body, type) => {
  const answer = await call('POST', '/networks', body, 'demo', { 'content-type': 'application/json' });
  expect([answer.status, errorType(answer)]).toEqual([400, type]);
  expect(Object.keys(answer.body.NeutronError).sort()).toEqual(['detail', 'message', 'type']);
});

test('an unknown availability zone is 404', async () => {
  expect((await network({ availability_zone_hints: ['nova'] })).availability_zone_hints).toEqual(['nova']);
  const answer = await call('POST', '/networks', { network: { availability_zone_hints: ['moon'] } });
  expect([answer.status, errorType(answer)]).toEqual([404, 'AvailabilityZoneNotFound']);
});

test.each([{ shared: true }, { 'router:external': true }, { 'provider:network_type': 'flat' }])(
  'a member may not set %j',
  async (values) => {
    const answer = await call('POST', '/networks', { network: values });
    expect([answer.status, errorType(answer)]).toEqual([403, 'PolicyNotAuthorized']);
  },
);

test('a reader lists and shows but may not write', async () => {
  const made = await network();
  expect((await call('GET', `/networks/${made.id}`, undefined, 'reader')).status).toBe(200);
  expect((await call('POST', '/networks', { network: {} }, 'reader')).status).toBe(403);
  expect((await call('PUT', `/networks/${made.id}`, { network: { name: 'x' } }, 'reader')).status).toBe(403);
  expect((await call('DELETE', `/networks/${made.id}`, undefined, 'reader')).status).toBe(403);
});

test('a flat network takes its physical network, which no second one can have', async () => {
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'lan' };
  const made = await network(flat, 'admin');
  expect(made).toMatchObject({ ...flat, 'provider:segmentation_id': null, mtu: 1500 });
  const again = await call('POST', '/networks', { network: flat }, 'admin');
  expect([again.status, errorType(again)]).toEqual([409, 'FlatNetworkInUse']);
  await call('DELETE', `/networks/${made.id}`, undefined, 'admin');
  await network(flat, 'admin');
});

test.each([
  [{ 'provider:network_type': 'flat' }, 400, 'InvalidInput'],
  [{ 'provider:network_type': 'vlan', 'provider:physical_network': 'lan' }, 400, 'InvalidInput'],
  [
    { 'provider:network_type': 'flat', 'provider:physical_network': 'lan', 'provider:segmentation_id': 5 },
    400,
    'InvalidInput',
  ],
  [{ 'provider:network_type': 'vxlan', 'provider:physical_network': 'lan' }, 400, 'InvalidInput'],
  [{ 'provider:network_type': 'vxlan', 'provider:segmentation_id': 16_777_216 }, 400, 'InvalidInput'],
])('the administrator may not ask for %j', async (values, status, type) => {
  const answer = await call('POST', '/networks', { network: values }, 'admin');
  expect([answer.status, errorType(answer)]).toEqual([status, type]);
});

test('a named tunnel id is given out once', async () => {
  const values = { 'provider:network_type': 'vxlan', 'provider:segmentation_id': 77 };
  expect(await network(values, 'admin')).toMatchObject(values);
  expect(errorType(await call('POST', '/networks', { network: values }, 'admin'))).toBe('TunnelIdInUse');
});

test('an update changes what it names and counts the revision', async () => {
  const made = await network();
  const answer = await call('PUT', `/networks/${made.id}`, {
    network: {
      name: 'b',
      description: 'd',
      admin_state_up: 'False',
      mtu: 1400,
      dns_domain: 'Lab.',
      port_security_enabled: false,
    },
  });
  expect(answer.status).toBe(200);
  expect(answer.body.network).toMatchObject({
    name: 'b',
    description: 'd',
    admin_state_up: false,
    mtu: 1400,
    dns_domain: 'lab.',
    port_security_enabled: false,
    revision_number: 2,
  });
  expect((await call('GET', `/networks/${made.id}`)).body.network).toEqual(answer.body.network);
  const refused = await call('PUT', `/networks/${made.id}`, { network: { tenant_id: 'demo-project' } });
  expect([refused.status, errorType(refused)]).toEqual([400, 'HTTPBadRequest']);
  const provider = await call(
    'PUT',
    `/networks/${made.id}`,
    { network: { 'provider:network_type': 'vxlan' } },
    'admin',
  );
  expect(provider.status).toBe(400);
  expect((await call('PUT', `/networks/${made.id}`, { networks: [{}] })).status).toBe(400);
  const bare = await call('PUT', `/networks/${made.id}`, { network: { dns_domain: '' } });
  expect(bare.body.network).toMatchObject({ dns_domain: '', name: 'b' });
});

test('If-Match lets a change through only at the revision it names', async () => {
  const made = await network();
  const change = (match: string) =>
    call('PUT', `/networks/${made.id}`, { network: { name: 'c' } }, 'demo', { 'if-match': match });
  const late = await change('revision_number=7');
  expect([late.status, errorType(late)]).toEqual([412, 'RevisionNumberConstraintFailed']);
  expect((await change('revision_number=x')).status).toBe(400);
  expect((await change('"revision_number=1", "revision_number=2"')).status).toBe(400);
  expect((await change('revision_number=1')).status).toBe(200);
  expect((await change('"abc"')).status).toBe(200);
  expect(
    (await call('DELETE', `/networks/${made.id}`, undefined, 'demo', { 'if-match': 'revision_number=1' })).status,
  ).toBe(412);
});

test('lists filter exactly, by repeated keys, booleans in any spelling and fields', async () => {
  const one = await network({ name: 'one', admin_state_up: false });
  const two = await network({ name: 'two' });
  await network({ name: 'one' }, 'other');
  const names = async (query: string, token = 'demo') =>
    (await call('GET', `/networks?${query}`, undefined, token)).body.networks
      .map((row: { name: string }) => row.name)
      .sort();
  expect(await names('name=one')).toEqual(['one']);
  expect(await names('name=on')).toEqual([]);
  expect(await names('name=one&name=two')).toEqual(['one', 'two']);
  expect(await names(`id=${two.id}`)).toEqual(['two']);
  expect(await names('admin_state_up=False')).toEqual(['one']);
  expect(await names('admin_state_up=1')).toEqual(['two']);
  expect(await names('shared=True')).toEqual([]);
  expect(await names('shared=False')).toEqual(['one', 'two']);
  expect(await names('shared=False&shared=True')).toEqual(['one', 'two']);
  expect(await names('router:external=True')).toEqual([]);
  expect(await names('project_id=demo-project', 'admin')).toEqual(['one', 'two']);
  expect(await names('tenant_id=other-project', 'admin')).toEqual(['one']);
  expect(await names('tenant_id=other-project')).toEqual([]);
  expect(await names('revision_number=1')).toEqual(['one', 'two']);
  expect(await names('mtu=x')).toEqual([]);
  expect(await names('', 'admin')).toEqual(['one', 'one', 'two']);
  expect(await names('changed_since=2020-01-01T00:00:00')).toEqual(['one', 'two']);
  expect(await names('changed_since=2099-01-01T00:00:00Z')).toEqual([]);
  const fields = await call('GET', `/networks?fields=id&fields=name&name=one`);
  expect(fields.body).toEqual({ networks: [{ id: one.id, name: 'one' }] });
  expect((await call('GET', `/networks/${one.id}?fields=name`)).body).toEqual({ network: { name: 'one' } });
});

test.each([
  ['colour=red'],
  ['admin_state_up=maybe'],
  ['shared=maybe'],
  ['limit=-1'],
  ['limit=x'],
  ['sort_key=name'],
  ['sort_key=colour&sort_dir=asc'],
  ['sort_key=name&sort_dir=up'],
  ['changed_since=yesterday'],
])('the query %s is refused', async (query) => {
  const answer = await call('GET', `/networks?${query}`);
  expect(answer.status).toBe(400);
  expect(answer.body.NeutronError.message).not.toBe('');
});

test('pages forward and backward join to the sorted whole', async () => {
  for (const name of ['c', 'a', 'e', 'b', 'd']) await network({ name });
  const whole = (await call('GET', '/networks?sort_key=name&sort_dir=desc')).body;
  expect(whole.networks.map((row: { name: string }) => row.name)).toEqual(['e', 'd', 'c', 'b', 'a']);
  expect(whole.networks_links).toBeUndefined();
  let path = '/networks?sort_key=name&sort_dir=desc&limit=2';
  const seen: string[] = [];
  let last;
  for (let page = 0; page < 5; page++) {
    last = (await call('GET', path)).body;
    seen.push(...last.networks.map((row: { name: string }) => row.name));
    const next = last.networks_links.find((link: { rel: string }) => link.rel === 'next');
    if (!next) break;
    expect(next.href.startsWith(`${cloud.url}/network/v2.0/networks?`)).toBe(true);
    path = next.href.slice(`${cloud.url}/network/v2.0`.length);
  }
  expect(seen).toEqual(['e', 'd', 'c', 'b', 'a']);
  const previous = last.networks_links.find((link: { rel: string }) => link.rel === 'previous').href;
  const back = (await call('GET', previous.slice(`${cloud.url}/network/v2.0`.length))).body;
  expect(back.networks.map((row: { name: string }) => row.name)).toEqual(['c', 'b']);
  expect((await call('GET', '/networks?limit=2&marker=nowhere')).status).toBe(404);
  expect((await call('GET', '/networks?limit=0')).body.networks_links).toBeUndefined();
});

test('several networks in one body are all made or none', async () => {
  const made = await call('POST', '/networks', { networks: [{ name: 'x' }, { name: 'y' }] });
  expect(made.status).toBe(201);
  expect(made.body.networks.map((row: { name: string }) => row.name)).toEqual(['x', 'y']);
  expect((await call('POST', '/networks', { networks: [{ name: 'z' }, { mtu: 9000 }] })).status).toBe(400);
  expect((await call('GET', '/networks?name=z')).body.networks).toEqual([]);
});

test('a network shared with everybody is seen by others, who may not change it', async () => {
  const shared = await network({ shared: true, name: 'shared' }, 'admin');
  expect(shared.shared).toBe(true);
  expect((await call('GET', `/networks/${shared.id}`)).body.network.shared).toBe(true);
  const change = await call('PUT', `/networks/${shared.id}`, { network: { name: 'mine' } });
  expect([change.status, errorType(change)]).toEqual([403, 'PolicyNotAuthorized']);
  expect((await call('DELETE', `/networks/${shared.id}`)).status).toBe(403);
  await subnet(shared.id, {}, 'admin');
  expect(
    (await call('POST', '/subnets', { subnet: { network_id: shared.id, cidr: '10.9.0.0/24', ip_version: 4 } })).status,
  ).toBe(403);
  const guest = await port(shared.id);
  const unshare = () => call('PUT', `/networks/${shared.id}`, { network: { shared: false } }, 'admin');
  expect([(await unshare()).status, errorType(await unshare())]).toEqual([409, 'InvalidSharedSetting']);
  await call('DELETE', `/ports/${guest.id}`);
  expect((await unshare()).body.network.shared).toBe(false);
  expect((await call('GET', `/networks/${shared.id}`)).status).toBe(404);
  const again = await call('PUT', `/networks/${shared.id}`, { network: { shared: true } }, 'admin');
  expect(again.body.network.shared).toBe(true);
});

test('an external network is seen by everybody, its subnets and ports are not', async () => {
  const { network: outside, subnet: range } = await external();
  const seen = (await call('GET', '/networks?router:external=True')).body.networks;
  expect(seen).toMatchObject([{ id: outside.id, 'router:external': true, shared: false }]);
  expect((await call('GET', `/subnets/${range.id}`)).status).toBe(404);
  const gate = await router({ external_gateway_info: { network_id: outside.id } });
  const close = () => call('PUT', `/networks/${outside.id}`, { network: { 'router:external': false } }, 'admin');
  expect(errorType(await close())).toBe('ExternalNetworkInUse');
  await call('DELETE', `/routers/${gate.id}`);
  expect((await close()).body.network['router:external']).toBe(false);
  expect((await call('GET', `/networks/${outside.id}`)).status).toBe(404);
  const open = await call('PUT', `/networks/${outside.id}`, { network: { 'router:external': true } }, 'admin');
  expect(open.body.network['router:external']).toBe(true);
});

test('an unknown or foreign network is 404 NetworkNotFound for every method', async () => {
  const foreign = await network({}, 'other');
  for (const id of [foreign.id, 'demo', '00000000-0000-0000-0000-000000000000']) {
    for (const [method, body] of [['GET'], ['PUT', { network: { name: 'x' } }], ['DELETE']] as const) {
      const answer = await call(method, `/networks/${id}`, body);
      expect([answer.status, errorType(answer)]).toEqual([404, 'NetworkNotFound']);
    }
  }
  expect((await call('POST', `/networks/${foreign.id}`, {})).status).toBe(405);
  expect((await call('GET', '/nothing')).body.NeutronError.type).toBe('HTTPNotFound');
});

test('quota stops the network that is one too many and counts down on delete', async () => {
  await call('PUT', '/quotas/demo-project', { quota: { network: 1 } }, 'admin');
  const made = await network();
  const answer = await call('POST', '/networks', { network: {} });
  expect([answer.status, errorType(answer)]).toEqual([409, 'OverQuota']);
  expect(answer.body.NeutronError.message).toContain('network');
  await call('DELETE', `/networks/${made.id}`);
  await network();
});

test('the number of statements of a list does not depend on its length', async () => {
  const count = async () => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    await call('GET', '/networks');
    return cloud.statements.length - before;
  };
  await subnet((await network()).id);
  const few = await count();
  for (let at = 0; at < 5; at++) await subnet((await network({ name: `n${at}` })).id);
  expect(await count()).toBe(few);
});

test('an administrator may own a network for another project', async () => {
  const made = await network({ tenant_id: 'other-project' }, 'admin');
  expect((await call('GET', `/networks/${made.id}`, undefined, 'other')).body.network.project_id).toBe('other-project');
});
