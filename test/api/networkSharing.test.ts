// RBAC policies and subnet pools over HTTP: what is shared with whom, and what sharing can't be taken back.
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port, router, group, make } = networkCalls(() => cloud);
type Refusal = { status: number; body: { NeutronError?: { type: string } } };
const problem = (answer: Refusal) => [answer.status, answer.body.NeutronError?.type];

beforeEach(async () => {
  cloud = await startTestCloud();
});
afterEach(() => cloud.stop());

const share = (values: object, token = 'demo') =>
  call(
    'POST',
    '/rbac-policies',
    { rbac_policy: { object_type: 'network', action: 'access_as_shared', target_tenant: 'other-project', ...values } },
    token,
  );

test('a network is shared with one project and taken back when unused', async () => {
  const net = await network();
  await subnet(net.id);
  const answer = await share({ object_id: net.id });
  expect(answer.status).toBe(201);
  const policy = answer.body.rbac_policy;
  expect(policy).toEqual({
    id: expect.any(String),
    object_type: 'network',
    object_id: net.id,
    action: 'access_as_shared',
    target_tenant: 'other-project',
    project_id: 'demo-project',
    tenant_id: 'demo-project',
  });
  expect((await call('GET', `/networks/${net.id}`, undefined, 'other')).body.network.shared).toBe(true);
  expect((await call('GET', `/networks/${net.id}`)).body.network.shared).toBe(false);
  expect((await call('GET', '/networks?shared=True', undefined, 'other')).body.networks).toHaveLength(1);
  expect((await call('GET', '/subnets', undefined, 'other')).body.subnets).toHaveLength(1);
  const guest = await port(net.id, {}, 'other');
  expect(problem(await share({ object_id: net.id }))).toEqual([409, 'DuplicateRbacPolicy']);
  const path = `/rbac-policies/${policy.id}`;
  expect(problem(await call('DELETE', path))).toEqual([409, 'RbacPolicyInUse']);
  expect(problem(await call('PUT', path, { rbac_policy: { target_tenant: 'third' } }))).toEqual([
    409,
    'RbacPolicyInUse',
  ]);
  await call('DELETE', `/ports/${guest.id}`, undefined, 'other');
  expect((await call('PUT', path, { rbac_policy: { target_tenant: 'third' } })).body.rbac_policy.target_tenant).toBe(
    'third',
  );
  expect((await call('PUT', path, { rbac_policy: { target_tenant: 'third' } })).status).toBe(200);
  expect((await call('GET', `/networks/${net.id}`, undefined, 'other')).status).toBe(404);
  await share({ object_id: net.id });
  expect(problem(await call('PUT', path, { rbac_policy: { target_tenant: 'other-project' } }))).toEqual([
    409,
    'DuplicateRbacPolicy',
  ]);
  expect(
    (await call('GET', '/rbac-policies?target_tenant=third&sort_key=id&sort_dir=asc')).body.rbac_policies,
  ).toHaveLength(1);
  expect((await call('DELETE', path)).status).toBe(204);
  expect(problem(await call('GET', path))).toEqual([404, 'RbacPolicyNotFound']);
});

test('only administrators share with everybody or make networks external', async () => {
  const net = await network();
  expect(problem(await share({ object_id: net.id, target_tenant: '*' }))).toEqual([403, 'PolicyNotAuthorized']);
  expect(problem(await share({ object_id: net.id, action: 'access_as_external' }))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  const policy = (await share({ object_id: net.id })).body.rbac_policy;
  expect(problem(await call('PUT', `/rbac-policies/${policy.id}`, { rbac_policy: { target_tenant: '*' } }))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
});

test('a network is external for one project as long as a policy says so', async () => {
  const net = await network({}, 'admin');
  await subnet(net.id, {}, 'admin');
  const policy = (
    await share({ object_id: net.id, action: 'access_as_external', target_tenant: 'demo-project' }, 'admin')
  ).body.rbac_policy;
  expect((await call('GET', `/networks/${net.id}`)).body.network).toMatchObject({
    'router:external': true,
    shared: false,
  });
  const gate = await router({ external_gateway_info: { network_id: net.id } });
  expect(problem(await call('DELETE', `/rbac-policies/${policy.id}`, undefined, 'admin'))).toEqual([
    409,
    'RbacPolicyInUse',
  ]);
  await call('DELETE', `/routers/${gate.id}`);
  expect((await call('DELETE', `/rbac-policies/${policy.id}`, undefined, 'admin')).status).toBe(204);
  expect((await call('GET', `/networks/${net.id}`, undefined, 'admin')).body.network['router:external']).toBe(false);
});

test('a shared security group is used but not changed', async () => {
  const web = await group({ name: 'web' });
  const policy = (await share({ object_type: 'security_group', object_id: web.id })).body.rbac_policy;
  expect((await call('GET', '/security-groups?shared=True', undefined, 'other')).body.security_groups).toMatchObject([
    { id: web.id, shared: true },
  ]);
  expect((await call('GET', '/security-groups?shared=False', undefined, 'other')).body.security_groups).toMatchObject([
    { name: 'default' },
  ]);
  expect(
    (await call('GET', '/security-groups?shared=False&shared=True', undefined, 'other')).body.security_groups,
  ).toHaveLength(2);
  for (const { id } of web.security_group_rules) await call('DELETE', `/security-group-rules/${id}`);
  expect(
    (await call('GET', '/security-groups?shared=False&name=web', undefined, 'system')).body.security_groups,
  ).toEqual([expect.objectContaining({ id: web.id, shared: false, security_group_rules: [] })]);
  const net = await network({}, 'other');
  const guest = await port(net.id, { security_groups: [web.id] }, 'other');
  expect(problem(await call('PUT', `/security-groups/${web.id}`, { security_group: { name: 'x' } }, 'other'))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  const rule = { security_group_id: web.id, direction: 'ingress' };
  expect(problem(await call('POST', '/security-group-rules', { security_group_rule: rule }, 'other'))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  expect(problem(await call('DELETE', `/rbac-policies/${policy.id}`))).toEqual([409, 'RbacPolicyInUse']);
  await call('DELETE', `/ports/${guest.id}`, undefined, 'other');
  expect((await call('DELETE', `/rbac-policies/${policy.id}`)).status).toBe(204);
});

test('a policy names an object of the caller and an action that its type knows', async () => {
  const net = await network();
  const foreign = await network({}, 'other');
  const shared = await network({ shared: true }, 'admin');
  expect(problem(await share({ object_id: foreign.id }))).toEqual([404, 'NetworkNotFound']);
  expect(problem(await share({ object_id: shared.id }))).toEqual([403, 'PolicyNotAuthorized']);
  expect(problem(await share({ object_id: net.id, object_type: 'router' }))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await share({ object_id: net.id, action: 'access_as_king' }))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await share({ object_id: 'x' }))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await share({ object_type: 'security_group', object_id: net.id }))).toEqual([
    404,
    'SecurityGroupNotFound',
  ]);
  await call('PUT', '/quotas/demo-project', { quota: { rbac_policy: 0 } }, 'admin');
  expect(problem(await share({ object_id: net.id }))).toEqual([409, 'OverQuota']);
});

const pool = (values: object, token = 'demo') =>
  call('POST', '/subnetpools', { subnetpool: { name: 'p', prefixes: ['10.0.0.0/16'], ...values } }, token);

test('a new pool joins its prefixes and has every attribute', async () => {
  const made = (await pool({ prefixes: ['10.0.128.0/17', '10.0.0.0/17', '10.0.5.0/24', '192.0.2.0/24'] })).body
    .subnetpool;
  expect(made).toEqual({
    id: expect.any(String),
    name: 'p',
    description: '',
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    prefixes: ['10.0.0.0/16', '192.0.2.0/24'],
    ip_version: 4,
    default_quota: null,
    default_prefixlen: 8,
    min_prefixlen: 8,
    max_prefixlen: 32,
    shared: false,
    is_default: false,
    tags: [],
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision_number: 0,
  });
  expect((await pool({ prefixes: ['fd00::/48'] })).body.subnetpool).toMatchObject({
    ip_version: 6,
    default_prefixlen: 64,
    min_prefixlen: 64,
    max_prefixlen: 128,
  });
  const changed = await call('PUT', `/subnetpools/${made.id}`, {
    subnetpool: {
      name: 'q',
      description: 'd',
      prefixes: ['10.0.0.0/15', '192.0.2.0/24'],
      min_prefixlen: 16,
      max_prefixlen: 30,
      default_prefixlen: 24,
      default_quota: 5,
    },
  });
  expect(changed.body.subnetpool).toMatchObject({
    name: 'q',
    prefixes: ['10.0.0.0/15', '192.0.2.0/24'],
    min_prefixlen: 16,
    max_prefixlen: 30,
    default_prefixlen: 24,
    default_quota: 5,
  });
  expect((await call('GET', '/subnetpools?ip_version=4&default_prefixlen=24')).body.subnetpools).toHaveLength(1);
  expect((await call('DELETE', `/subnetpools/${made.id}`)).status).toBe(204);
  expect(problem(await call('GET', `/subnetpools/${made.id}`))).toEqual([404, 'SubnetPoolNotFound']);
});

test.each([
  [{ name: ' ' }, 400, 'HTTPBadRequest'],
  [{ prefixes: [] }, 400, 'EmptySubnetPoolPrefixList'],
  [{ prefixes: ['x'] }, 400, 'HTTPBadRequest'],
  [{ prefixes: ['10.0.0.0/16', 'fd00::/48'] }, 400, 'PrefixVersionMismatch'],
  [{ max_prefixlen: 33 }, 400, 'IllegalSubnetPoolPrefixBounds'],
  [{ min_prefixlen: 25, max_prefixlen: 24 }, 400, 'IllegalSubnetPoolPrefixBounds'],
  [{ min_prefixlen: 20, default_prefixlen: 18 }, 400, 'IllegalSubnetPoolPrefixBounds'],
  [{ max_prefixlen: 24, default_prefixlen: 25 }, 400, 'IllegalSubnetPoolPrefixBounds'],
  [{ prefixes: ['fd00::/48'], min_prefixlen: 0 }, 400, 'UnsupportedMinSubnetPoolPrefix'],
  [{ shared: true }, 403, 'PolicyNotAuthorized'],
  [{ is_default: true }, 403, 'PolicyNotAuthorized'],
])('a pool with %j is refused', async (values, status, type) => {
  expect(problem(await pool(values))).toEqual([status, type]);
});

test('one pool per version is the default', async () => {
  const first = (await pool({ is_default: true }, 'admin')).body.subnetpool;
  expect(problem(await pool({ is_default: true }, 'admin'))).toEqual([400, 'InvalidInput']);
  expect((await pool({ is_default: true, prefixes: ['fd00::/48'] }, 'admin')).status).toBe(201);
  const second = (await pool({}, 'admin')).body.subnetpool;
  const promote = () => call('PUT', `/subnetpools/${second.id}`, { subnetpool: { is_default: true } }, 'admin');
  expect(problem(await promote())).toEqual([400, 'InvalidInput']);
  await call('PUT', `/subnetpools/${first.id}`, { subnetpool: { is_default: false } }, 'admin');
  expect((await promote()).status).toBe(200);
});

test('prefixes are added and taken away, but not from under subnets', async () => {
  const made = (await pool({ default_prefixlen: 24 })).body.subnetpool;
  const change = (verb: string, prefixes: unknown, token = 'demo') =>
    call('PUT', `/subnetpools/${made.id}/${verb}`, { prefixes }, token);
  expect((await change('add_prefixes', ['10.1.0.0/16'])).body).toEqual({ prefixes: ['10.0.0.0/15'] });
  expect((await change('remove_prefixes', ['10.1.0.0/17'])).body).toEqual({
    prefixes: ['10.0.0.0/16', '10.1.128.0/17'],
  });
  const net = await network();
  await make('/subnets', 'subnet', { network_id: net.id, ip_version: 4, subnetpool_id: made.id });
  expect(problem(await change('remove_prefixes', ['10.0.0.0/24']))).toEqual([400, 'IllegalSubnetPoolPrefixUpdate']);
  expect(problem(await call('PUT', `/subnetpools/${made.id}`, { subnetpool: { prefixes: ['10.0.0.0/24'] } }))).toEqual([
    400,
    'IllegalSubnetPoolPrefixUpdate',
  ]);
  expect(problem(await call('PUT', `/subnetpools/${made.id}`, { subnetpool: { prefixes: ['fd00::/48'] } }))).toEqual([
    400,
    'PrefixVersionMismatch',
  ]);
  expect(problem(await change('add_prefixes', ['x']))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await change('add_prefixes', [], 'other'))).toEqual([404, 'SubnetPoolNotFound']);
  expect(problem(await change('add_prefixes', [], 'reader'))).toEqual([403, 'PolicyNotAuthorized']);
  expect((await call('PUT', `/subnetpools/${made.id}/add_prefixes`)).status).toBe(400);
  const empty = (await pool({})).body.subnetpool;
  expect(problem(await call('PUT', `/subnetpools/${empty.id}/remove_prefixes`, { prefixes: ['10.0.0.0/8'] }))).toEqual([
    400,
    'EmptySubnetPoolPrefixList',
  ]);
});

test('a shared pool serves every project and is changed by none but its owner', async () => {
  const shared = (await pool({ shared: true }, 'admin')).body.subnetpool;
  expect((await call('GET', `/subnetpools/${shared.id}`)).body.subnetpool.shared).toBe(true);
  expect(problem(await call('PUT', `/subnetpools/${shared.id}`, { subnetpool: { name: 'x' } }))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  expect(problem(await call('DELETE', `/subnetpools/${shared.id}`))).toEqual([403, 'PolicyNotAuthorized']);
  const mine = (await pool({})).body.subnetpool;
  expect(problem(await call('GET', `/subnetpools/${mine.id}`, undefined, 'other'))).toEqual([
    404,
    'SubnetPoolNotFound',
  ]);
});
