// Bodies to the key: times, empty values, what is present and absent, and what hangs on the default security group.
import { servers } from '../../../controller/src/db/entities/compute';
import { makeFlavor, makeHost, makeImage, settle } from '../../support/computeFixtures';
import { startIdentity, type IdentityCloud } from '../../support/identity';
import { activeImage } from '../../support/images';
import { networkCalls } from '../../support/networkFixtures';
import { startTestCloud, type TestCloud } from '../../support/testCloud';

const SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/;
const MICROSECONDS_Z = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
let cloud: TestCloud;
let identity: IdentityCloud;
let image: string;
const { network, subnet, port, router, group, external, make, call: neutron } = networkCalls(() => cloud);
const compute = (method: string, path: string, body?: unknown, version = '2.1', token = 'demo') =>
  cloud.call(method, `/compute/v2.1${path}`, { token, body, headers: { 'x-openstack-nova-api-version': version } });
async function server(more: object = {}, networks: unknown = 'none'): Promise<string> {
  const body = { server: { name: 'x', flavorRef: 'small', imageRef: image, networks, ...more } };
  const answer = await compute('POST', '/servers', body, '2.37');
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body));
  return answer.body.server.id as string;
}
const show = async (id: string, version = '2.1', token = 'demo') =>
  (await compute('GET', `/servers/${id}`, undefined, version, token)).body.server;

beforeAll(async () => {
  [cloud, identity] = await Promise.all([startTestCloud(), startIdentity()]);
  image = await makeImage(cloud);
  await makeFlavor(cloud, 'small');
  await makeHost(cloud, 'h1');
});
afterAll(() => Promise.all([cloud.stop(), identity.stop()]));

describe('times', () => {
  test('identity: microseconds with Z; a password has no end here', async () => {
    const { token } = (await identity.login({ name: 'admin', domain: { id: 'default' } }, 'admin-secret')).body;
    expect([token.expires_at, token.issued_at]).toEqual([
      expect.stringMatching(MICROSECONDS_Z),
      expect.stringMatching(MICROSECONDS_Z),
    ]);
    expect(token.user.password_expires_at).toBeNull();
  });

  test('compute: created, updated and fault whole seconds with Z; all others microseconds without', async () => {
    const id = await server();
    await settle(cloud, id, { host: 'h1' });
    const shown = await show(id);
    expect([shown.created, shown.updated]).toEqual([expect.stringMatching(SECONDS), expect.stringMatching(SECONDS)]);
    expect(shown['OS-SRV-USG:launched_at']).toMatch(MICROSECONDS);
    expect(shown['OS-SRV-USG:terminated_at']).toBeNull();
    const [action] = (await compute('GET', `/servers/${id}/os-instance-actions`)).body.instanceActions;
    expect(action.start_time).toMatch(MICROSECONDS);
    const one = await compute(
      'GET',
      `/servers/${id}/os-instance-actions/${action.request_id}`,
      undefined,
      '2.62',
      'admin',
    );
    expect(one.body.instanceAction.updated_at).toMatch(MICROSECONDS);
    for (const event of one.body.instanceAction.events)
      expect([event.start_time, event.finish_time]).toEqual([
        expect.stringMatching(MICROSECONDS),
        expect.stringMatching(MICROSECONDS),
      ]);
    const { services } = (await compute('GET', '/os-services', undefined, '2.1', 'admin')).body;
    expect(services[0].updated_at).toMatch(MICROSECONDS);
    const zones = await compute('GET', '/os-availability-zone/detail', undefined, '2.1', 'admin');
    expect(JSON.stringify(zones.body)).toMatch(/"updated_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"/);
    await compute('POST', '/os-keypairs', { keypair: { name: 'timed' } });
    const { keypair } = (await compute('GET', '/os-keypairs/timed')).body;
    expect([keypair.created_at, keypair.updated_at, keypair.deleted_at]).toEqual([
      expect.stringMatching(MICROSECONDS),
      null,
      null,
    ]);
    await cloud.cloud.db.write((session) =>
      session.update(
        servers,
        { id },
        { vm_state: 'error', fault: { code: 500, message: 'why', details: 'where', created: 1e12 } },
      ),
    );
    expect((await show(id)).fault).toEqual({ code: 500, message: 'why', created: '2001-09-09T01:46:40Z' });
  });

  test('network and image: whole seconds with Z; agents in two words without a zone', async () => {
    const inside = await network();
    const nouns = [
      inside,
      await subnet(inside.id as string),
      await port(inside.id as string),
      await router(),
      await group(),
      (await group()).security_group_rules[0],
    ];
    for (const noun of nouns)
      expect([noun.created_at, noun.updated_at]).toEqual([
        expect.stringMatching(SECONDS),
        expect.stringMatching(SECONDS),
      ]);
    const [agent] = (await neutron('GET', '/agents', undefined, 'admin')).body.agents;
    for (const key of ['created_at', 'started_at', 'heartbeat_timestamp'])
      expect(agent[key]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    const { created_at, updated_at } = await activeImage(cloud);
    expect([created_at, updated_at]).toEqual([expect.stringMatching(SECONDS), expect.stringMatching(SECONDS)]);
  });
});

describe('a server', () => {
  test('answers a create with id, links, diskConfig, password and the groups as requested, nothing else', async () => {
    const body = { server: { name: 'x', flavorRef: 'small', imageRef: image } };
    const plain = (await compute('POST', '/servers', body)).body.server;
    expect(plain).toEqual({
      id: expect.any(String),
      adminPass: expect.stringMatching(/^.{12}$/),
      'OS-DCF:diskConfig': 'MANUAL',
      security_groups: [{ name: 'default' }],
      links: [
        { rel: 'self', href: `${cloud.url}/compute/v2.1/servers/${plain.id as string}` },
        { rel: 'bookmark', href: `${cloud.url}/compute/servers/${plain.id as string}` },
      ],
    });
  });

  test('has empty texts and nulls where clients expect them, no groups without ports, a fault only in ERROR', async () => {
    const id = await server();
    await settle(cloud, id, { host: 'h1' });
    const shown = await show(id);
    expect(shown).toMatchObject({
      status: 'ACTIVE',
      config_drive: '',
      accessIPv4: '',
      accessIPv6: '',
      key_name: null,
      'OS-EXT-STS:task_state': null,
      progress: 0,
    });
    expect(shown).not.toHaveProperty('security_groups');
    expect(shown).not.toHaveProperty('fault');
    expect(Object.keys(shown).filter((key) => key.startsWith('OS-EXT-SRV-ATTR:'))).toEqual([]);
    expect(Object.keys(await show(id, '2.1', 'admin'))).toEqual(expect.arrayContaining(['OS-EXT-SRV-ATTR:host']));
    await cloud.cloud.db.write((session) => session.update(servers, { id }, { vm_state: 'stopped', power_state: 4 }));
    expect(await show(id)).not.toHaveProperty('progress');
  });

  test('embeds its flavor from 2.47 on, with original_name and without id', async () => {
    const id = await server();
    expect((await show(id, '2.46')).flavor).toEqual({
      id: 'small',
      links: [{ rel: 'bookmark', href: `${cloud.url}/compute/flavors/small` }],
    });
    expect((await show(id, '2.47')).flavor).toEqual({
      original_name: 'small',
      ram: 128,
      vcpus: 1,
      disk: 1,
      ephemeral: 0,
      swap: 0,
      extra_specs: {},
    });
  });

  test('lists addresses by the network’s name, fixed and floating, each with type and MAC', async () => {
    const inside = await network({ name: 'inside' });
    const range = await subnet(inside.id as string, { cidr: '10.7.0.0/24' });
    const { network: outside } = await external();
    const way = await router({ external_gateway_info: { network_id: outside.id } });
    await neutron('PUT', `/routers/${way.id as string}/add_router_interface`, { subnet_id: range.id });
    const guest = await port(inside.id as string);
    const id = await server({}, [{ port: guest.id }]);
    await settle(cloud, id, { host: 'h1' });
    const floating = await make('/floatingips', 'floatingip', { floating_network_id: outside.id, port_id: guest.id });
    const both = [
      { version: 4, addr: guest.fixed_ips[0].ip_address, 'OS-EXT-IPS:type': 'fixed' },
      { version: 4, addr: floating.floating_ip_address, 'OS-EXT-IPS:type': 'floating' },
    ].map((one) => ({ ...one, 'OS-EXT-IPS-MAC:mac_addr': guest.mac_address }));
    expect((await show(id)).addresses).toEqual({ inside: both });
  });

  test('with two ports has the group of each', async () => {
    const inside = await network({ name: 'twin' });
    await subnet(inside.id as string, { cidr: '10.8.0.0/24' });
    const id = await server({}, [{ uuid: inside.id }, { uuid: inside.id }]);
    await settle(cloud, id, { host: 'h1' });
    expect((await show(id)).security_groups).toEqual([{ name: 'default' }, { name: 'default' }]);
  });
});

test('every identity list has links with nulls, every resource its own link, users options, projects also tags', async () => {
  for (const path of ['projects', 'users', 'groups', 'roles', 'domains', 'services', 'endpoints', 'regions']) {
    const body = await identity.must(200, 'GET', `/${path}`);
    expect(Object.keys(body).sort()).toEqual([path, 'links'].sort());
    const self = `${identity.test.url}/identity/v3/${path}`;
    expect(body.links).toEqual({ self, previous: null, next: null });
    for (const row of body[path]) expect(row.links).toEqual({ self: `${self}/${row.id as string}` });
  }
  const [project] = (await identity.must(200, 'GET', '/projects')).projects;
  expect(project).toMatchObject({ options: {}, tags: [] });
  expect((await identity.must(200, 'GET', '/users')).users[0]).toMatchObject({ options: {} });
});

test('a token: an unscoped one has no project, roles or catalog; nocatalog leaves out the catalog', async () => {
  const scope = { project: { name: 'admin', domain: { id: 'default' } } };
  const user = { name: 'admin', domain: { id: 'default' } };
  const keys = ['audit_ids', 'expires_at', 'issued_at', 'methods', 'user'];
  const scoped = (await identity.login(user, 'admin-secret', scope)).body.token;
  expect(Object.keys(scoped).sort()).toEqual([...keys, 'project', 'is_domain', 'roles', 'catalog'].sort());
  expect(scoped.user).toEqual({
    id: expect.any(String),
    name: 'admin',
    domain: { id: 'default', name: 'Default' },
    password_expires_at: null,
  });
  const login = {
    auth: { identity: { methods: ['password'], password: { user: { ...user, password: 'admin-secret' } } } },
  };
  const unscoped = (await identity.call('POST', '/auth/tokens', { auth: { ...login.auth, scope: 'unscoped' } }, null))
    .body;
  expect(Object.keys(unscoped.token).sort()).toEqual(keys);
  const bare = await identity.call('POST', '/auth/tokens?nocatalog', { auth: { ...login.auth, scope } }, null);
  expect(bare.body.token).toMatchObject({ project: { name: 'admin' } });
  expect(bare.body.token).not.toHaveProperty('catalog');
});

test('role assignments with names have names and domains in every part', async () => {
  const { role_assignments: all } = await identity.must(200, 'GET', '/role_assignments?include_names=True');
  for (const one of all) {
    expect(one.role).toMatchObject({ id: expect.any(String), name: expect.any(String) });
    expect(one.user).toMatchObject({ name: expect.any(String), domain: { id: 'default', name: 'Default' } });
    if (one.scope.project)
      expect(one.scope.project).toMatchObject({ name: expect.any(String), domain: { id: 'default', name: 'Default' } });
  }
});

test('a rule to everywhere is the same rule with null, 0.0.0.0/0 and the IPv6 one with ::/0: the second is 409', async () => {
  const { id } = await group();
  const create = (values: object) =>
    neutron('POST', '/security-group-rules', {
      security_group_rule: { security_group_id: id, direction: 'ingress', protocol: 'tcp', ...values },
    });
  const explicit = await create({ remote_ip_prefix: '0.0.0.0/0' });
  expect(explicit.body.security_group_rule.remote_ip_prefix).toBe('0.0.0.0/0');
  for (const same of [{}, { remote_ip_prefix: null }, { remote_ip_prefix: '0.0.0.0/0' }]) {
    const answer = await create(same);
    expect([answer.status, answer.body.NeutronError.type]).toEqual([409, 'SecurityGroupRuleExists']);
  }
  expect((await create({ ethertype: 'IPv6', remote_ip_prefix: '::/0' })).status).toBe(201);
  expect((await create({ ethertype: 'IPv6' })).status).toBe(409);
});

test('a new group has two egress rules in the answer, the default group four', async () => {
  const rules = (rows: { direction: string; ethertype: string; remote_group_id: string | null }[], own: string) =>
    rows.map((one) => `${one.direction} ${one.ethertype}${one.remote_group_id === own ? ' own' : ''}`).sort();
  const made = await group({ name: 'made' });
  expect(rules(made.security_group_rules, made.id)).toEqual(['egress IPv4', 'egress IPv6']);
  const [first] = (await neutron('GET', '/security-groups?name=default')).body.security_groups;
  expect(rules(first.security_group_rules, first.id)).toEqual([
    ...['egress IPv4', 'egress IPv6', 'ingress IPv4 own', 'ingress IPv6 own'],
  ]);
});
