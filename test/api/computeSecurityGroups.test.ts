// The security-group proxy of compute, as clients use it at 2.1, in front of the network service's own groups.
import { makeFlavor, makeImage, makeNetwork } from '../support/computeFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
beforeAll(async () => void (cloud = await startTestCloud()));
afterAll(() => cloud.stop());

const GROUPS = '/compute/v2.1/os-security-groups';
const RULES = '/compute/v2.1/os-security-group-rules';
const at = (version: string) => ({ 'x-openstack-nova-api-version': version });
const call = (method: string, path: string, body?: object, token = 'demo', version = '2.1'): Promise<Answer> =>
  cloud.call(method, path, { token, headers: at(version), ...(body ? { body } : {}) });
const make = async (name: string, token = 'demo'): Promise<{ id: string }> =>
  (await call('POST', GROUPS, { security_group: { name, description: 'words' } }, token)).body.security_group;
const ruleOf = (parent_group_id: string, more: object = {}) => ({
  security_group_rule: { parent_group_id, ip_protocol: 'tcp', from_port: 22, to_port: 22, ...more },
});

test('the default group is there from the first list on, with its rules from itself', async () => {
  const { security_groups: groups } = (await call('GET', GROUPS)).body;
  expect(groups.map((group: { name: string }) => group.name)).toEqual(['default']);
  expect(Object.keys(groups[0]).sort()).toEqual(['description', 'id', 'name', 'rules', 'tenant_id']);
  expect(groups[0].rules).toHaveLength(2);
  expect(groups[0].rules[0]).toMatchObject({
    ip_protocol: null,
    from_port: null,
    to_port: null,
    ip_range: {},
    group: { name: 'default', tenant_id: 'demo-project' },
  });
});

test('a group is made, shown, changed and removed', async () => {
  const group = await make('mine');
  expect(group).toEqual({ id: group.id, name: 'mine', description: 'words', tenant_id: 'demo-project', rules: [] });
  expect((await call('GET', `${GROUPS}/${group.id}`)).body).toEqual({ security_group: group });
  const body = { security_group: { name: 'renamed', description: 'other' } };
  expect((await call('PUT', `${GROUPS}/${group.id}`, body)).body.security_group).toMatchObject(body.security_group);
  expect((await call('DELETE', `${GROUPS}/${group.id}`)).status).toBe(202);
  expect((await call('GET', `${GROUPS}/${group.id}`)).body.itemNotFound.code).toBe(404);
});

test('rules come and go, with a range or a group', async () => {
  const group = await make('ruled');
  const made = await call('POST', RULES, ruleOf(group.id, { cidr: '10.0.0.0/24' }));
  expect([made.status, made.body.security_group_rule]).toEqual([
    200,
    {
      id: expect.any(String),
      parent_group_id: group.id,
      ip_protocol: 'tcp',
      from_port: 22,
      to_port: 22,
      group: {},
      ip_range: { cidr: '10.0.0.0/24' },
    },
  ]);
  const open = await call('POST', RULES, ruleOf(group.id, { ip_protocol: 'icmp', from_port: '-1', to_port: '-1' }));
  expect(open.body.security_group_rule).toMatchObject({ from_port: -1, to_port: -1, ip_range: { cidr: '0.0.0.0/0' } });
  const six = await call('POST', RULES, ruleOf(group.id, { cidr: 'fd00::/64' }));
  expect(six.body.security_group_rule.ip_range).toEqual({ cidr: 'fd00::/64' });
  const grouped = await call('POST', RULES, {
    security_group_rule: { parent_group_id: group.id, group_id: group.id, ip_protocol: 'udp' },
  });
  expect(grouped.body.security_group_rule).toMatchObject({
    group: { name: 'ruled' },
    ip_range: {},
    from_port: 1,
    to_port: 65535,
  });
  expect((await call('GET', `${GROUPS}/${group.id}`)).body.security_group.rules).toHaveLength(4);
  expect((await call('DELETE', `${RULES}/${made.body.security_group_rule.id}`)).status).toBe(202);
  expect((await call('DELETE', `${RULES}/${made.body.security_group_rule.id}`)).status).toBe(404);
});

test('what can’t be is a bad request', async () => {
  const group = await make('strict');
  await call('POST', RULES, ruleOf(group.id));
  for (const body of [
    ruleOf(group.id),
    ruleOf(group.id, { ip_protocol: 'tcp', from_port: 30, to_port: 20 }),
    ruleOf(group.id, { from_port: 70000, to_port: 70000 }),
    ruleOf(group.id, { cidr: '10.0.0.0/0' }),
    ruleOf(group.id, { cidr: 'here' }),
    { security_group_rule: { parent_group_id: group.id } },
    { security_group_rule: { parent_group_id: group.id, colour: 'red' } },
    { security_group_rule: {} },
  ])
    expect([body, (await call('POST', RULES, body)).body.badRequest?.code]).toEqual([body, 400]);
  expect((await call('POST', RULES, ruleOf('00000000-0000-0000-0000-000000000000'))).status).toBe(404);
  expect((await call('GET', `${GROUPS}/default`)).body.badRequest.message).toBe('Security group id should be uuid');
  for (const body of [{}, { security_group: { name: 'x' } }, { security_group: { name: '', description: '' } }])
    expect((await call('POST', GROUPS, body)).status).toBe(400);
  expect((await call('POST', GROUPS, { security_group: { name: 'default', description: '' } })).status).toBe(400);
  const [base] = (await call('GET', GROUPS)).body.security_groups;
  expect((await call('DELETE', `${GROUPS}/${base.id}`)).status).toBe(400);
});

test('a second tenant finds nothing of the first, a reader changes nothing', async () => {
  const group = await make('owned');
  const { id } = (await call('POST', RULES, ruleOf(group.id))).body.security_group_rule;
  const body = { security_group: { name: 'x', description: 'x' } };
  for (const [method, path, sent] of [
    ['GET', `${GROUPS}/${group.id}`],
    ['PUT', `${GROUPS}/${group.id}`, body],
    ['DELETE', `${GROUPS}/${group.id}`],
    ['POST', RULES, ruleOf(group.id, { from_port: 80, to_port: 80 })],
    ['DELETE', `${RULES}/${id}`],
  ] as const) {
    expect([method, (await call(method, path, sent, 'other')).status]).toEqual([method, 404]);
    if (method !== 'GET') expect([method, (await call(method, path, sent, 'reader')).status]).toEqual([method, 403]);
  }
  const theirs = (await call('GET', GROUPS, undefined, 'other')).body.security_groups;
  expect(theirs.map((one: { name: string }) => one.name)).toEqual(['default']);
  const all = (await call('GET', `${GROUPS}?all_tenants=1`, undefined, 'admin')).body.security_groups;
  expect(all.some((one: { name: string }) => one.name === 'owned')).toBe(true);
  expect((await call('GET', `${GROUPS}?limit=1&offset=1`)).body.security_groups).toHaveLength(1);
});

test('the proxy is gone from 2.36 on', async () => {
  expect((await call('GET', GROUPS, undefined, 'demo', '2.35')).status).toBe(200);
  for (const [method, path] of [
    ['GET', GROUPS],
    ['POST', GROUPS],
    ['POST', RULES],
    ['GET', `${GROUPS}/x`],
  ] as const)
    expect((await call(method, path, method === 'POST' ? {} : undefined, 'demo', '2.36')).status).toBe(404);
});

test('a server’s groups are listed in full at any microversion', async () => {
  const image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
  await makeNetwork(cloud, 'demo');
  const group = await make('for-server');
  const server = { name: 's', flavorRef: 'small', imageRef: image, security_groups: [{ name: group.id }] };
  const { id } = (await call('POST', '/compute/v2.1/servers', { server })).body.server;
  const path = `/compute/v2.1/servers/${id as string}/os-security-groups`;
  for (const version of ['2.1', '2.79'])
    expect((await call('GET', path, undefined, 'demo', version)).body).toEqual({ security_groups: [group] });
  expect((await call('GET', path, undefined, 'other')).status).toBe(404);
  expect((await call('DELETE', `${GROUPS}/${group.id}`)).body.badRequest.message).toContain('in use');
});
