// Security groups and rules over HTTP: the default group, duplicates, what makes a rule invalid.
import { hintsTold } from '../../controller/src/services/network/hints';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, group, network, subnet, port, make } = networkCalls(() => cloud);
type Refusal = { status: number; body: { NeutronError?: { type: string } } };
const problem = (answer: Refusal) => [answer.status, answer.body.NeutronError?.type];

beforeAll(async () => {
  cloud = await startTestCloud();
  for (const project of ['demo-project', 'admin-project'])
    await call('PUT', `/quotas/${project}`, { quota: { security_group: 100, security_group_rule: 1000 } }, 'admin');
});
afterAll(() => cloud.stop());

const rule = (groupId: string, values: object, token = 'demo') =>
  call(
    'POST',
    '/security-group-rules',
    { security_group_rule: { security_group_id: groupId, direction: 'ingress', ...values } },
    token,
  );

test('the default group is there on first use, with its four rules', async () => {
  const [only] = (await call('GET', '/security-groups?name=default')).body.security_groups;
  expect(only).toMatchObject({
    name: 'default',
    description: 'Default security group',
    stateful: true,
    shared: false,
    project_id: 'demo-project',
  });
  const short = only.security_group_rules
    .map(
      (one: Record<string, unknown>) =>
        `${String(one['direction'])} ${String(one['ethertype'])} ${one['remote_group_id'] === only.id ? 'self' : 'any'}`,
    )
    .sort();
  expect(short).toEqual(['egress IPv4 any', 'egress IPv6 any', 'ingress IPv4 self', 'ingress IPv6 self']);
  expect(problem(await call('DELETE', `/security-groups/${only.id}`))).toEqual([
    409,
    'SecurityGroupCannotRemoveDefault',
  ]);
  expect(problem(await call('PUT', `/security-groups/${only.id}`, { security_group: { name: 'x' } }))).toEqual([
    409,
    'SecurityGroupCannotUpdateDefault',
  ]);
  expect(
    (await call('PUT', `/security-groups/${only.id}`, { security_group: { description: 'mine' } })).body.security_group
      .description,
  ).toBe('mine');
  expect(problem(await call('POST', '/security-groups', { security_group: { name: 'Default' } }))).toEqual([
    409,
    'SecurityGroupDefaultAlreadyExists',
  ]);
});

test('an administrator may delete a default group, and it comes back on use', async () => {
  const [old] = (await call('GET', '/security-groups', undefined, 'other')).body.security_groups;
  expect((await call('DELETE', `/security-groups/${old.id}`, undefined, 'admin')).status).toBe(204);
  const [fresh] = (await call('GET', '/security-groups', undefined, 'other')).body.security_groups;
  expect(fresh.id).not.toBe(old.id);
});

test('a new group has two egress rules and every attribute', async () => {
  const made = await group({ name: 'web', description: 'd' });
  expect(Object.keys(made).sort()).toEqual(
    [
      'created_at',
      'description',
      'id',
      'name',
      'project_id',
      'revision_number',
      'security_group_rules',
      'shared',
      'stateful',
      'tags',
      'tenant_id',
      'updated_at',
    ].sort(),
  );
  expect(made.security_group_rules).toHaveLength(2);
  expect(made.security_group_rules.find((one: { ethertype: string }) => one.ethertype === 'IPv4')).toEqual({
    id: expect.any(String),
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    security_group_id: made.id,
    direction: 'egress',
    ethertype: 'IPv4',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    normalized_cidr: null,
    remote_group_id: null,
    remote_address_group_id: null,
    description: '',
    created_at: expect.any(String),
    updated_at: expect.any(String),
    revision_number: 0,
  });
  expect(problem(await call('PUT', `/security-groups/${made.id}`, { security_group: { name: 'default' } }))).toEqual([
    409,
    'SecurityGroupDefaultAlreadyExists',
  ]);
  const changed = await call('PUT', `/security-groups/${made.id}`, { security_group: { name: 'w', stateful: false } });
  expect(changed.body.security_group).toMatchObject({ name: 'w', stateful: false, revision_number: 2 });
});

test('a group with ports stays as stateful as it is', async () => {
  const made = await group();
  const net = await network();
  await subnet(net.id);
  await port(net.id, { security_groups: [made.id] });
  expect(problem(await call('PUT', `/security-groups/${made.id}`, { security_group: { stateful: false } }))).toEqual([
    409,
    'SecurityGroupInUse',
  ]);
  expect((await call('GET', '/security-groups?stateful=true&name=group')).body.security_groups).not.toEqual([]);
});

test('a rule comes back as it was read, and no second one means the same', async () => {
  const made = await group();
  const ssh = {
    protocol: 'TCP',
    port_range_min: 22,
    port_range_max: '22',
    remote_ip_prefix: '0.0.0.0/0',
    description: 'ssh',
  };
  const answer = await rule(made.id, ssh);
  expect(answer.status).toBe(201);
  expect(answer.body.security_group_rule).toMatchObject({
    protocol: 'tcp',
    ethertype: 'IPv4',
    port_range_min: 22,
    port_range_max: 22,
    remote_ip_prefix: '0.0.0.0/0',
    normalized_cidr: '0.0.0.0/0',
    description: 'ssh',
  });
  const { id } = answer.body.security_group_rule;
  const again = await rule(made.id, { ...ssh, remote_ip_prefix: null, ethertype: 'ipv4' });
  expect(problem(again)).toEqual([409, 'SecurityGroupRuleExists']);
  expect(again.body.NeutronError.message).toContain(id);
  expect((await call('GET', `/security-groups/${made.id}`)).body.security_group.revision_number).toBe(2);
  const lone = await rule(made.id, { remote_ip_prefix: '192.0.2.7' });
  expect(lone.body.security_group_rule).toMatchObject({
    remote_ip_prefix: '192.0.2.7/32',
    normalized_cidr: '192.0.2.7/32',
  });
  const odd = await rule(made.id, { remote_ip_prefix: '192.0.2.7/24' });
  expect(odd.body.security_group_rule).toMatchObject({
    remote_ip_prefix: '192.0.2.7/24',
    normalized_cidr: '192.0.2.0/24',
  });
  const renamed = await call('PUT', `/security-group-rules/${id}`, { security_group_rule: { description: 'new' } });
  expect(renamed.body.security_group_rule.description).toBe('new');
  expect(
    (await call('PUT', `/security-group-rules/${id}`, { security_group_rule: { direction: 'egress' } })).status,
  ).toBe(400);
  const found = (await call('GET', `/security-group-rules?security_group_id=${made.id}&protocol=tcp&port_range_min=22`))
    .body.security_group_rules;
  expect(found.map((one: { id: string }) => one.id)).toEqual([id]);
  expect((await call('DELETE', `/security-group-rules/${id}`)).status).toBe(204);
  expect(problem(await call('GET', `/security-group-rules/${id}`))).toEqual([404, 'SecurityGroupRuleNotFound']);
});

const tcp = { protocol: 'tcp' };
test.each([
  [{ direction: 'sideways' }, 'HTTPBadRequest'],
  [{ colour: 'red' }, 'HTTPBadRequest'],
  [{ ethertype: 'IPv5' }, 'SecurityGroupRuleInvalidEtherType'],
  [{ ethertype: 4 }, 'SecurityGroupRuleInvalidEtherType'],
  [{ protocol: 'carrier-pigeon' }, 'SecurityGroupRuleInvalidProtocol'],
  [{ protocol: 256 }, 'SecurityGroupRuleInvalidProtocol'],
  [{ protocol: {} }, 'SecurityGroupRuleInvalidProtocol'],
  [{ port_range_min: 1, port_range_max: 2 }, 'SecurityGroupProtocolRequiredWithPorts'],
  [{ ...tcp, port_range_min: 5 }, 'SecurityGroupInvalidPortRange'],
  [{ ...tcp, port_range_min: 5, port_range_max: 4 }, 'SecurityGroupInvalidPortRange'],
  [{ ...tcp, port_range_min: 0, port_range_max: 4 }, 'SecurityGroupInvalidPortValue'],
  [{ ...tcp, port_range_min: 5, port_range_max: 65_536 }, 'SecurityGroupInvalidPortValue'],
  [{ ...tcp, port_range_min: 'http' }, 'SecurityGroupInvalidPortValue'],
  [{ protocol: 'vrrp', port_range_min: 1, port_range_max: 2 }, 'SecurityGroupInvalidProtocolForPort'],
  [{ protocol: '112', port_range_min: 1, port_range_max: 2 }, 'SecurityGroupInvalidProtocolForPort'],
  [{ protocol: 'icmp', port_range_max: 0 }, 'SecurityGroupMissingIcmpType'],
  [{ protocol: 'icmp', port_range_min: 256 }, 'SecurityGroupInvalidIcmpValue'],
  [{ protocol: 'icmp', port_range_min: 8, port_range_max: 999 }, 'SecurityGroupInvalidIcmpValue'],
  [{ protocol: 'ipv6-icmp' }, 'SecurityGroupEthertypeConflictWithProtocol'],
  [{ remote_ip_prefix: 'fd00::/64' }, 'SecurityGroupRuleParameterConflict'],
  [{ remote_ip_prefix: '0.0.0.0/0', ethertype: 'IPv6' }, 'SecurityGroupRuleParameterConflict'],
  [{ remote_ip_prefix: 'ten' }, 'InvalidCIDR'],
  [{ remote_ip_prefix: 7 }, 'InvalidCIDR'],
  [
    { remote_ip_prefix: '10.0.0.0/8', remote_group_id: '00000000-0000-0000-0000-000000000000' },
    'SecurityGroupMultipleRemoteEntites',
  ],
])('a rule with %j is refused as %s', async (values, type) => {
  expect(problem(await rule((await group({ project_id: 'admin-project' }, 'admin')).id, values, 'admin'))).toEqual([
    400,
    type,
  ]);
});

test.each([
  { protocol: 'icmp', port_range_min: 8, port_range_max: 0 },
  { protocol: 'icmp', port_range_min: 8 },
  { protocol: '', ethertype: null },
  { protocol: 'any', remote_ip_prefix: '' },
  { protocol: 0, direction: 'egress', ethertype: 'IPv6', remote_ip_prefix: 'fd00::/8' },
  { protocol: 112 },
  { protocol: 'ipv6-icmp', ethertype: 'IPv6', port_range_min: 135 },
  { protocol: 'sctp', port_range_min: 1, port_range_max: 65_535 },
])('a rule with %j is made', async (values) => {
  expect((await rule((await group({}, 'admin')).id, values, 'admin')).status).toBe(201);
});

test('several rules in one body differ, are all made or none', async () => {
  const made = await group();
  const one = {
    security_group_id: made.id,
    direction: 'ingress',
    protocol: 'udp',
    port_range_min: 1,
    port_range_max: 2,
  };
  const post = (rules: object[], token = 'demo') =>
    call('POST', '/security-group-rules', { security_group_rules: rules }, token);
  expect(problem(await post([one, one]))).toEqual([409, 'DuplicateSecurityGroupRuleInPost']);
  expect(problem(await post([one, { ...one, protocol: 'tcp', project_id: 'x' }], 'admin'))).toEqual([
    400,
    'SecurityGroupRulesNotSingleProject',
  ]);
  expect(problem(await post([one, { ...one, port_range_max: 0 }]))).toEqual([400, 'SecurityGroupInvalidPortRange']);
  expect((await call('GET', `/security-groups/${made.id}`)).body.security_group.security_group_rules).toHaveLength(2);
  const both = await post([one, { ...one, protocol: 'tcp' }]);
  expect([both.status, both.body.security_group_rules.length]).toEqual([201, 2]);
});

test('a group may name another as remote, and goes with the rules that name it', async () => {
  const [web, db] = [await group({ name: 'web' }), await group({ name: 'db' })];
  const foreign = await group({}, 'other');
  expect(problem(await rule(db.id, { remote_group_id: foreign.id }))).toEqual([404, 'SecurityGroupNotFound']);
  expect((await rule(db.id, { remote_group_id: web.id })).status).toBe(201);
  expect((await call('DELETE', `/security-groups/${web.id}`)).status).toBe(204);
  expect((await call('GET', `/security-groups/${db.id}`)).body.security_group.security_group_rules).toHaveLength(2);
});

test('groups and rules of another project do not exist', async () => {
  const foreign = await group({}, 'other');
  const [theirs] = foreign.security_group_rules;
  expect(problem(await rule(foreign.id, tcp))).toEqual([404, 'SecurityGroupNotFound']);
  for (const [method, body] of [['GET'], ['PUT', { security_group: { name: 'x' } }], ['DELETE']] as const)
    expect(problem(await call(method, `/security-groups/${foreign.id}`, body))).toEqual([404, 'SecurityGroupNotFound']);
  for (const [method, body] of [['GET'], ['PUT', { security_group_rule: { description: 'x' } }], ['DELETE']] as const)
    expect(problem(await call(method, `/security-group-rules/${theirs.id}`, body))).toEqual([
      404,
      'SecurityGroupRuleNotFound',
    ]);
  expect(problem(await rule((await group()).id, tcp, 'reader'))).toEqual([403, 'PolicyNotAuthorized']);
});

test('quota counts rules, also those of a new group', async () => {
  const details = async () => (await call('GET', '/quotas/demo-project/details')).body.quota;
  const before = await details();
  const made = await group();
  await rule(made.id, tcp);
  const after = await details();
  expect(after.security_group_rule.used - before.security_group_rule.used).toBe(3);
  expect(after.security_group.used - before.security_group.used).toBe(1);
  await call(
    'PUT',
    '/quotas/demo-project',
    { quota: { security_group_rule: after.security_group_rule.used } },
    'admin',
  );
  expect(problem(await rule(made.id, { protocol: 'udp' }))).toEqual([409, 'OverQuota']);
  expect(problem(await call('POST', '/security-groups', { security_group: {} }))).toEqual([409, 'OverQuota']);
  await call('DELETE', `/security-groups/${made.id}`);
  expect((await details()).security_group_rule.used).toBe(before.security_group_rule.used);
  await call('PUT', '/quotas/demo-project', { quota: { security_group_rule: 1000 } }, 'admin');
});

test('the number of statements of a list does not depend on its length', async () => {
  const count = async () => {
    await hintsTold(cloud.cloud);
    const before = cloud.statements.length;
    await call('GET', '/security-groups');
    return cloud.statements.length - before;
  };
  const few = await count();
  for (let at = 0; at < 3; at++) await group();
  expect(await count()).toBe(few);
});

test('an address group is made, changed and kept while rules name it', async () => {
  const made = await make('/address-groups', 'address_group', { name: 'a', addresses: ['10.0.0.0/24', '192.0.2.1'] });
  expect(made).toMatchObject({ name: 'a', addresses: ['10.0.0.0/24', '192.0.2.1/32'], project_id: 'demo-project' });
  const change = (verb: string, addresses: unknown, token = 'demo') =>
    call('PUT', `/address-groups/${made.id}/${verb}`, { address_group: { addresses } }, token);
  expect((await change('add_addresses', ['fd00::/64'])).body.address_group.addresses).toHaveLength(3);
  expect(problem(await change('add_addresses', ['fd00::/64']))).toEqual([409, 'AddressesAlreadyExist']);
  expect(problem(await change('add_addresses', ['x']))).toEqual([400, 'HTTPBadRequest']);
  expect(problem(await change('remove_addresses', ['10.9.0.0/24']))).toEqual([404, 'AddressesNotFound']);
  expect(problem(await change('add_addresses', [], 'other'))).toEqual([404, 'AddressGroupNotFound']);
  expect(problem(await change('add_addresses', [], 'reader'))).toEqual([403, 'PolicyNotAuthorized']);
  expect((await call('PUT', `/address-groups/${made.id}/add_addresses`, {})).status).toBe(400);
  expect(
    (await call('PUT', `/address-groups/${made.id}`, { address_group: { name: 'b', description: 'd' } })).body
      .address_group,
  ).toMatchObject({ name: 'b', description: 'd' });
  for (const changes of [{ name: 'c' }, { description: 'e' }])
    await call('PUT', `/address-groups/${made.id}`, { address_group: changes });
  expect((await call('GET', `/address-groups/${made.id}`)).body.address_group).toMatchObject({
    name: 'c',
    description: 'e',
  });
  const web = await group();
  const used = await rule(web.id, { remote_address_group_id: made.id });
  expect(used.body.security_group_rule.remote_address_group_id).toBe(made.id);
  expect(problem(await rule(web.id, { remote_address_group_id: '00000000-0000-0000-0000-000000000000' }))).toEqual([
    404,
    'AddressGroupNotFound',
  ]);
  expect(problem(await call('DELETE', `/address-groups/${made.id}`))).toEqual([409, 'AddressGroupInUse']);
  await call('DELETE', `/security-groups/${web.id}`);
  expect((await call('DELETE', `/address-groups/${made.id}`)).status).toBe(204);
  expect((await make('/address-groups', 'address_group', {})).addresses).toEqual([]);
  expect(problem(await call('GET', '/address-groups?tags=x'))).toEqual([400, 'HTTPBadRequest']);
});
