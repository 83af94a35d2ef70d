// Quotas, agents, zones, extensions and address use over HTTP.
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import { agents } from '../../controller/src/db/entities/tasks';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const { call, network, subnet, port } = networkCalls(() => cloud);
type Refusal = { status: number; body: { NeutronError?: { type: string } } };
const problem = (answer: Refusal) => [answer.status, answer.body.NeutronError?.type];

beforeEach(async () => {
  cloud = await startTestCloud();
});
afterEach(() => cloud.stop());

const DEFAULTS = {
  network: 100,
  subnet: 500,
  port: 500,
  router: 10,
  floatingip: 50,
  security_group: 10,
  security_group_rule: 100,
  subnetpool: -1,
  rbac_policy: 10,
};

test('a project reads its limits and their use, and only an administrator sets them', async () => {
  const own = { ...DEFAULTS, project_id: 'demo-project', tenant_id: 'demo-project' };
  expect((await call('GET', '/quotas/demo-project')).body).toEqual({ quota: own });
  expect(problem(await call('GET', '/quotas/demo-project', undefined, 'other'))).toEqual([403, 'PolicyNotAuthorized']);
  expect(problem(await call('PUT', '/quotas/demo-project', { quota: { port: 1 } }))).toEqual([
    403,
    'PolicyNotAuthorized',
  ]);
  expect(problem(await call('GET', '/quotas'))).toEqual([403, 'PolicyNotAuthorized']);
  expect((await call('GET', '/quotas', undefined, 'admin')).body).toEqual({ quotas: [] });
  const set = await call('PUT', '/quotas/demo-project', { quota: { port: 1, network: '-1' } }, 'admin');
  expect(set).toMatchObject({ status: 200, body: { quota: { ...own, port: 1, network: -1 } } });
  expect((await call('GET', '/quotas', undefined, 'admin')).body.quotas).toEqual([set.body.quota]);
  expect((await call('GET', '/quotas/demo-project/default')).body.quota).toEqual(own);
  const net = await network();
  await port(net.id);
  expect(problem(await call('POST', '/ports', { port: { network_id: net.id } }))).toEqual([409, 'OverQuota']);
  const details = (await call('GET', '/quotas/demo-project/details')).body.quota;
  expect(details.port).toEqual({ limit: 1, used: 1, reserved: 0 });
  expect((await call('DELETE', '/quotas/demo-project', undefined, 'admin')).status).toBe(204);
  expect(problem(await call('DELETE', '/quotas/demo-project', undefined, 'admin'))).toEqual([
    404,
    'ProjectQuotaNotFound',
  ]);
  expect((await call('GET', '/quotas/demo-project')).body.quota).toEqual(own);
  expect((await call('GET', '/quotas/tenant')).body).toEqual({ tenant: { tenant_id: 'demo-project' } });
  expect((await call('GET', '/quotas/project')).body).toEqual({ project: { project_id: 'demo-project' } });
});

test.each([{ quota: { port: -2 } }, { quota: { port: 'x' } }, { quota: { colour: 1 } }, { quota: 5 }, {}])(
  'the quota body %j is refused',
  async (body) => {
    expect(problem(await call('PUT', '/quotas/demo-project', body, 'admin'))).toEqual([400, 'HTTPBadRequest']);
  },
);

test('agents are shown to administrators, set down and forgotten when dead', async () => {
  await createAgentApi(cloud.cloud).register({ host: 'h1', role: 'network', inventory: { physical_networks: [] } });
  const [only] = (await call('GET', '/agents', undefined, 'admin')).body.agents;
  expect(only).toEqual({
    id: expect.any(String),
    agent_type: 'Cumulet network agent',
    binary: 'cumulet-network-agent',
    topic: 'N/A',
    host: 'h1',
    admin_state_up: true,
    alive: true,
    availability_zone: 'nova',
    configurations: { physical_networks: [] },
    description: null,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
    started_at: expect.any(String),
    heartbeat_timestamp: expect.any(String),
  });
  expect((await call('GET', '/agents')).body).toEqual({ agents: [] });
  expect(problem(await call('GET', `/agents/${only.id}`))).toEqual([404, 'AgentNotFound']);
  expect((await call('GET', `/agents/${only.id}`, undefined, 'admin')).body.agent).toEqual(only);
  const found = async (query: string) => (await call('GET', `/agents?${query}`, undefined, 'admin')).body.agents.length;
  expect([
    await found('host=h1'),
    await found('host=h2'),
    await found('alive=True'),
    await found('alive=0'),
    await found('description='),
  ]).toEqual([1, 0, 1, 0, 1]);
  expect((await call('GET', '/agents?colour=red', undefined, 'admin')).status).toBe(400);
  expect((await call('GET', '/agents?fields=host', undefined, 'admin')).body).toEqual({ agents: [{ host: 'h1' }] });
  const change = (values: object, token = 'admin') => call('PUT', `/agents/${only.id}`, { agent: values }, token);
  expect((await change({ admin_state_up: false, description: 'rack 1' })).body.agent).toMatchObject({
    admin_state_up: false,
    description: 'rack 1',
  });
  expect((await change({ description: null })).body.agent).toMatchObject({
    admin_state_up: false,
    description: 'rack 1',
  });
  expect(problem(await change({ host: 'h2' }))).toEqual([400, 'HTTPBadRequest']);
  expect((await change({ admin_state_up: true }, 'demo')).status).toBe(404);
  expect(problem(await call('DELETE', `/agents/${only.id}`, undefined, 'admin'))).toEqual([409, 'AgentInUse']);
  expect((await call('DELETE', `/agents/${only.id}`)).status).toBe(404);
  await cloud.cloud.db.write((session) => session.update(agents, { host: 'h1' }, { heard_at: 0 }));
  expect((await call('GET', `/agents/${only.id}`, undefined, 'admin')).body.agent.alive).toBe(false);
  expect((await call('DELETE', `/agents/${only.id}`, undefined, 'admin')).status).toBe(204);
  expect(problem(await call('GET', `/agents/${only.id}`, undefined, 'admin'))).toEqual([404, 'AgentNotFound']);
});

test('zones and service providers are listed and filtered', async () => {
  const zones = (await call('GET', '/availability_zones')).body.availability_zones;
  expect(zones).toEqual([
    { name: 'nova', resource: 'network', state: 'available' },
    { name: 'nova', resource: 'router', state: 'available' },
  ]);
  expect((await call('GET', '/availability_zones?resource=router')).body.availability_zones).toHaveLength(1);
  expect((await call('GET', '/service-providers?default=True')).body.service_providers).toMatchObject([
    { service_type: 'L3_ROUTER_NAT', default: true },
  ]);
  expect((await call('GET', '/service-providers?default=False')).body.service_providers).toEqual([]);
});

test('extensions are listed and looked up by alias, not by name', async () => {
  const { extensions } = (await call('GET', '/extensions')).body;
  const aliases = extensions.map((one: { alias: string }) => one.alias);
  expect(new Set(aliases).size).toBe(aliases.length);
  expect(aliases).toEqual(
    expect.arrayContaining(['router', 'security-group', 'quotas', 'external-net', 'tag-ports-during-bulk-creation']),
  );
  const one = await call('GET', '/extensions/router');
  expect(Object.keys(one.body.extension).sort()).toEqual(['alias', 'description', 'links', 'name', 'updated']);
  expect(problem(await call('GET', '/extensions/Availability%20Zone'))).toEqual([404, 'HTTPNotFound']);
  expect(extensions.find((entry: { name: string }) => entry.name === 'Availability Zone').alias).toBe(
    'availability_zone',
  );
});

test('what is not advertised is not there', async () => {
  for (const path of [
    '/trunks',
    '/qos/policies',
    '/flavors',
    '/segments',
    '/address-scopes',
    '/metering/metering-labels',
  ])
    expect(problem(await call('GET', path))).toEqual([404, 'HTTPNotFound']);
  const made = await network();
  for (const key of [
    'qos_policy_id',
    'segments',
    'vlan_transparent',
    'ipv4_address_scope',
    'is_default',
    'ha',
    'distributed',
    'flavor_id',
  ])
    expect(made).not.toHaveProperty(key);
});

test('administrators see how many addresses are used', async () => {
  const net = await network({ name: 'used' });
  const range = await subnet(net.id, { cidr: '10.0.0.0/24' });
  await subnet(net.id, {
    cidr: 'fd00::/64',
    ip_version: 6,
    ipv6_address_mode: 'dhcpv6-stateful',
    ipv6_ra_mode: 'dhcpv6-stateful',
  });
  await port(net.id);
  const [use] = (await call('GET', '/network-ip-availabilities?ip_version=4', undefined, 'admin')).body
    .network_ip_availabilities;
  expect(use).toEqual({
    network_id: net.id,
    network_name: 'used',
    tenant_id: 'demo-project',
    project_id: 'demo-project',
    total_ips: 253,
    used_ips: 2,
    subnet_ip_availability: [
      { subnet_id: range.id, subnet_name: '', cidr: '10.0.0.0/24', ip_version: 4, total_ips: 253, used_ips: 2 },
    ],
  });
  const bare = await network({ name: 'bare' });
  expect((await call('GET', `/network-ip-availabilities/${bare.id}`, undefined, 'admin')).body).toMatchObject({
    network_ip_availability: { total_ips: 0, used_ips: 0, subnet_ip_availability: [] },
  });
  const idle = await network({ name: 'idle' });
  await subnet(idle.id, { cidr: '10.1.0.0/30', enable_dhcp: false });
  expect((await call('GET', `/network-ip-availabilities/${idle.id}`, undefined, 'admin')).body).toMatchObject({
    network_ip_availability: { total_ips: 1, used_ips: 0 },
  });
  const one = (await call('GET', `/network-ip-availabilities/${net.id}`, undefined, 'admin')).body
    .network_ip_availability;
  expect(one).toMatchObject({ used_ips: 4, subnet_ip_availability: [{ ip_version: 4 }, { ip_version: 6 }] });
  expect(
    (await call('GET', '/network-ip-availabilities?network_name=nobody', undefined, 'admin')).body
      .network_ip_availabilities,
  ).toEqual([]);
  expect((await call('GET', '/network-ip-availabilities')).body.network_ip_availabilities).toEqual([]);
  expect(problem(await call('GET', `/network-ip-availabilities/${net.id}`))).toEqual([404, 'NetworkNotFound']);
});
