// Requests at the same moment: what is counted, unique or shared stays right, whoever comes first.
import { createAgentApi } from '../../controller/src/agentApi/agentApi';
import { defaultGroups, portAddresses, ports, securityGroups } from '../../controller/src/db/entities/network';
import { servers } from '../../controller/src/db/entities/compute';
import { makeFlavor, makeImage } from '../support/computeFixtures';
import { networkCalls } from '../support/networkFixtures';
import { startTestCloud, type Answer, type TestCloud } from '../support/testCloud';

let cloud: TestCloud;
const { call, network, subnet, port, router, group } = networkCalls(() => cloud);
const times = <T>(count: number, work: (at: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, at) => work(at)));
const statuses = (answers: readonly Answer[]): Record<number, number> => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

beforeEach(async () => {
  cloud = await startTestCloud();
});
afterEach(() => cloud.stop());

test('the first requests of a project make one default group', async () => {
  const answers = await times(8, (at) =>
    at % 2 === 0 ? call('GET', '/security-groups') : call('POST', '/networks', { network: { name: `n${at}` } }),
  );
  expect(statuses(answers)).toEqual({ 200: 4, 201: 4 });
  const where = { project_id: 'demo-project' };
  const [groups, defaults] = await cloud.cloud.db.read(async (session) => [
    await session.find(securityGroups, { where }),
    await session.find(defaultGroups, { where }),
  ]);
  expect(groups.map((one) => one.id)).toEqual(defaults.map((one) => one.security_group_id));
});

test('ports of one network get different addresses, and a wanted address goes to one', async () => {
  const net = await network();
  await subnet(net.id);
  await times(20, () => port(net.id));
  const rows = await cloud.cloud.db.read((session) =>
    session.find(portAddresses, { where: { network_id: net.id as string } }),
  );
  expect(new Set(rows.map((row) => row.address)).size).toBe(21);
  const wanted = { port: { network_id: net.id, fixed_ips: [{ ip_address: '10.0.0.200' }] } };
  expect(statuses(await times(5, () => call('POST', '/ports', wanted)))).toEqual({ 201: 1, 409: 4 });
});

test('of overlapping subnets one is made, with one DHCP port', async () => {
  const net = await network();
  const body = (at: number) => ({ subnet: { network_id: net.id, ip_version: 4, cidr: `10.0.${at % 2}.0/23` } });
  expect(statuses(await times(6, (at) => call('POST', '/subnets', body(at))))).toEqual({ 201: 1, 400: 5 });
  const dhcp = await cloud.cloud.db.read((session) => session.count(ports, { network_id: net.id as string }));
  expect(dhcp).toBe(1);
});

test('a network that is deleted takes no port along that came at the same moment', async () => {
  const made = await times(6, () => network());
  await Promise.all(
    made.flatMap((one) => [
      call('POST', '/ports', { port: { network_id: one.id } }),
      call('DELETE', `/networks/${one.id}`),
      call('POST', '/subnets', { subnet: { network_id: one.id, ip_version: 4, cidr: '10.0.0.0/24' } }),
    ]),
  );
  const left = (await call('GET', '/networks')).body.networks.map((one: { id: string }) => one.id);
  for (const kind of ['ports', 'subnets'])
    for (const one of (await call('GET', `/${kind}`)).body[kind]) expect(left).toContain(one.network_id);
});

test('a group that is deleted is in no port that was made at the same moment', async () => {
  const net = await network();
  const groups = await times(6, (at) => group({ name: `g${at}` }));
  await Promise.all(
    groups.flatMap((one) => [
      call('POST', '/ports', { port: { network_id: net.id, security_groups: [one.id] } }),
      call('DELETE', `/security-groups/${one.id}`),
    ]),
  );
  const left = (await call('GET', '/security-groups')).body.security_groups.map((one: { id: string }) => one.id);
  for (const one of (await call('GET', '/ports')).body.ports)
    for (const id of one.security_groups) expect(left).toContain(id);
});

test('a router joins one of two overlapping subnets', async () => {
  const [one, gate] = [await network(), await router()];
  const first = await subnet(one.id);
  const second = await subnet((await network()).id);
  const answers = await Promise.all(
    [first, second].map((each) => call('PUT', `/routers/${gate.id}/add_router_interface`, { subnet_id: each.id })),
  );
  expect(statuses(answers)).toEqual({ 200: 1, 400: 1 });
});

test('changes of one row at the same moment are all kept, and each counts', async () => {
  const net = await network();
  const before = (await call('GET', `/networks/${net.id}`)).body.network.revision_number as number;
  await times(10, (at) => call('PUT', `/networks/${net.id}/tags/tag-${at}`));
  const after = (await call('GET', `/networks/${net.id}`)).body.network;
  expect(after.tags).toHaveLength(10);
  expect(after.revision_number).toBe(before + 10);
});

test('quota is given out as often as it is there', async () => {
  await makeFlavor(cloud, 'small');
  const imageRef = await makeImage(cloud);
  const create = () =>
    cloud.call('POST', '/compute/v2.1/servers', {
      body: { server: { name: 's', flavorRef: 'small', imageRef, networks: 'none' } },
      headers: { 'openstack-api-version': 'compute 2.37' },
    });
  expect(statuses(await times(14, create))).toEqual({ 202: 10, 403: 4 });
  expect(await cloud.cloud.db.read((session) => session.count(servers))).toBe(10);
  expect(statuses(await times(110, () => call('POST', '/networks', { network: {} })))).toEqual({ 201: 100, 409: 10 });
});

test('metadata that several set at once is all there', async () => {
  await makeFlavor(cloud, 'small');
  const imageRef = await makeImage(cloud);
  const made = await cloud.call('POST', '/compute/v2.1/servers', {
    body: { server: { name: 's', flavorRef: 'small', imageRef } },
  });
  const path = `/compute/v2.1/servers/${made.body.server.id}/metadata`;
  await times(8, (at) => cloud.call('POST', path, { body: { metadata: { [`key-${at}`]: 'x' } } }));
  expect(Object.keys((await cloud.call('GET', path)).body.metadata)).toHaveLength(8);
});

test('an agent that registers twice at once gets two sessions', async () => {
  const api = createAgentApi(cloud.cloud);
  const registered = await times(5, () => api.register({ host: 'node-1', role: 'network', inventory: {} }));
  expect(registered.map((one) => one.session).sort()).toEqual([1, 2, 3, 4, 5]);
});

test('of equal names in a domain one is made', async () => {
  const real = await startTestCloud({ realIdentity: false });
  const answers = await times(5, () =>
    real.call('POST', '/identity/v3/projects', { token: 'admin', body: { project: { name: 'same' } } }),
  );
  await real.stop();
  expect(statuses(answers)).toEqual({ 201: 1, 409: 4 });
});
