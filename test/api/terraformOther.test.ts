// The rarer resources and the data sources of Terraform's provider, replayed: quotas, pools, sharing, accesses, routes, and what describes the cloud.
import { connect, type GoService } from '../support/gophercloud';
import { goTypes, type Shape } from '../support/goTypes';
import { ADMIN_PASSWORD, startIdentity, type IdentityCloud } from '../support/identity';
import { makeHost } from '../support/computeFixtures';
import { terraform } from '../support/terraformProvider';

let cloud: IdentityCloud;
let admin: Awaited<ReturnType<typeof terraform>>;
let image: GoService;
let project: string;

beforeAll(async () => {
  cloud = await startIdentity();
  await makeHost(cloud.test, 'node-1');
  const provider = await connect(`${cloud.test.url}/v3`, {
    userName: 'admin',
    password: ADMIN_PASSWORD,
    projectName: 'admin',
  });
  admin = await terraform(provider);
  image = await provider.service('image');
  project = await cloud.project('lab');
});
afterAll(() => cloud.stop());

/** Make, read, change, read and remove, with the codes that the calls list. */
async function cycle(
  service: GoService,
  path: string,
  member: string,
  shape: Shape,
  values: object,
  changes: object,
  { verb = 'PUT', created = [201, 202], updated = [200] } = {},
) {
  const made = await service.call('POST', path, { json: { [member]: values }, codes: created, member, shape });
  const at = `${path}/${made.id as string}`;
  expect(await service.call('GET', at, { member, shape })).toEqual(made);
  await service.call(verb, at, { json: { [member]: changes }, codes: updated, member, shape });
  expect(await service.call('GET', at, { member, shape })).toMatchObject(changes);
  await service.call('DELETE', at);
  await expect(service.call('GET', at)).rejects.toMatchObject({ status: 404 });
}

test('a subnet pool, with numbers where Go wants numbers', async () => {
  const values = {
    name: 'pool',
    prefixes: ['10.64.0.0/16'],
    default_prefixlen: 24,
    min_prefixlen: 20,
    is_default: false,
  };
  const changes = { name: 'other', default_prefixlen: 25, description: 'd' };
  await cycle(admin.network, 'subnetpools', 'subnetpool', goTypes.subnetpool, values, changes, { created: [201] });
  const short = { name: 'short', prefixes: ['10.65.0.0/16'] };
  await cycle(admin.network, 'subnetpools', 'subnetpool', goTypes.subnetpool, short, { name: 'x' }, { created: [201] });
});

test('an address group, with addresses added and taken away', async () => {
  const shape = goTypes.address_group;
  const values = { name: 'group', addresses: ['10.0.0.1/32'] };
  await cycle(admin.network, 'address-groups', 'address_group', shape, values, { name: 'other', description: '' });
  const made = await admin.network.call('POST', 'address-groups', {
    json: { address_group: values },
    member: 'address_group',
    shape,
  });
  for (const verb of ['add', 'remove']) {
    const json = { address_group: { addresses: ['10.0.0.2/32'] } };
    const path = `address-groups/${made.id as string}/${verb}_addresses`;
    const { addresses } = await admin.network.call('PUT', path, { json, codes: [200], member: 'address_group', shape });
    expect(addresses).toHaveLength(verb === 'add' ? 2 : 1);
  }
});

test('a network is shared with a project', async () => {
  const network = await admin.networks.create({ name: 'shared', admin_state_up: true });
  const values = { action: 'access_as_shared', object_type: 'network', object_id: network.id, target_tenant: project };
  const changes = { target_tenant: cloud.roles['member'] ?? '' };
  const shape = goTypes.rbac_policy;
  await cycle(admin.network, 'rbac-policies', 'rbac_policy', shape, values, changes, { updated: [200, 201] });
});

test('quotas of compute and network are set, read and given back', async () => {
  const shape = goTypes.quota_set;
  const set = { json: { quota_set: { cores: 5, instances: -1 } }, codes: [200], member: 'quota_set', shape };
  expect(await admin.compute.call('PUT', `os-quota-sets/${project}`, set)).toMatchObject({ cores: 5, instances: -1 });
  const read = { member: 'quota_set', shape };
  expect(await admin.compute.call('GET', `os-quota-sets/${project}`, read)).toMatchObject({ id: project, cores: 5 });
  await admin.compute.call('DELETE', `os-quota-sets/${project}`);
  const limits = { json: { quota: { network: 3 } }, codes: [200], member: 'quota', shape: goTypes.quota };
  expect(await admin.network.call('PUT', `quotas/${project}`, limits)).toMatchObject({ network: 3 });
  expect(await admin.network.call('GET', `quotas/${project}`, { member: 'quota', shape: goTypes.quota })).toMatchObject(
    { network: 3 },
  );
  await admin.network.call('DELETE', `quotas/${project}`);
});

test('a route is set on a router, and routes are added and taken away one by one', async () => {
  const network = await admin.networks.create({ name: 'routed', admin_state_up: true });
  const range = { network_id: network.id, cidr: '10.3.0.0/24', ip_version: 4 };
  const subnet = await admin.subnets.create(range);
  const router = await admin.routers.create({ name: 'way', admin_state_up: true });
  await admin.routerInterfaces.create(router.id, { subnet_id: subnet.id });
  const first = { destination: '192.0.2.0/24', nexthop: '10.3.0.9' };
  const second = { destination: '198.51.100.0/24', nexthop: '10.3.0.9' };
  expect((await admin.routers.update(router.id, { routes: [first] })).routes).toEqual([first]);
  for (const verb of ['add', 'remove']) {
    const json = { router: { routes: [second] } };
    const path = `routers/${router.id as string}/${verb}_extraroutes`;
    const shape = goTypes.router;
    const { routes } = await admin.network.call('PUT', path, { json, codes: [200], member: 'router', shape });
    expect(routes).toEqual(verb === 'add' ? expect.arrayContaining([first, second]) : [first]);
  }
  expect((await admin.routers.update(router.id, { routes: [] })).routes).toEqual([]);
});

test('groups are added to a port that others made, and a role is granted to a group', async () => {
  const network = await admin.networks.create({ name: 'ports', admin_state_up: true });
  const port = await admin.ports.create({ network_id: network.id, admin_state_up: true });
  const group = await admin.secgroups.create({ name: 'extra', description: '' });
  const both = [...port.security_groups, group.id];
  expect((await admin.ports.update(port.id, { security_groups: both })).security_groups.sort()).toEqual(both.sort());

  const values = { name: 'people', domain_id: 'default', description: 'd' };
  const options = { verb: 'PATCH', created: [201] };
  await cycle(admin.identity, 'groups', 'group', goTypes.group, values, { name: 'folk' }, options);
  const made = await admin.identity.call('POST', 'groups', {
    json: { group: { name: 'people' } },
    codes: [201],
    member: 'group',
    shape: goTypes.group,
  });
  const person = await cloud.person('member');
  const member = `groups/${made.id as string}/users/${person.id}`;
  await admin.identity.call('PUT', member, { codes: [204] });
  await admin.identity.call('HEAD', member, { codes: [204, 404] });
  const grant = `projects/${project}/groups/${made.id as string}/roles`;
  await admin.identity.call('PUT', `${grant}/${cloud.roles['reader'] ?? ''}`, { codes: [204] });
  expect(await admin.identity.list(grant, 'roles', goTypes.role)).toMatchObject([{ name: 'reader' }]);
  await admin.identity.call('DELETE', `${grant}/${cloud.roles['reader'] ?? ''}`, { codes: [204] });
  await admin.identity.call('DELETE', member, { codes: [204] });
});

test('an image is shared with a project, which accepts it', async () => {
  const made = await admin.images.create(
    { name: 'tiny', container_format: 'bare', disk_format: 'raw', visibility: 'shared', protected: false },
    Buffer.from('bytes'),
  );
  const members = `images/${made.id as string}/members`;
  const read = { codes: [200], member: '', shape: goTypes.member };
  await image.call('POST', members, { ...read, json: { member: project } });
  const accepted = await image.call('PUT', `${members}/${project}`, { ...read, json: { status: 'accepted' } });
  expect(accepted).toMatchObject({ member_id: project, status: 'accepted' });
  expect(await image.call('GET', `${members}/${project}`, read)).toEqual(accepted);
  await image.call('DELETE', `${members}/${project}`, { codes: [204] });
});

test('a private flavor, its access and its specs', async () => {
  const flavor = { name: 'own', ram: 64, vcpus: 1, disk: 1, swap: 0, 'os-flavor-access:is_public': false };
  const read = { member: 'flavor', shape: goTypes.flavor };
  const made = await admin.flavors.create(flavor);
  const at = `flavors/${made.id as string}`;
  const access = { codes: [200], member: 'flavor_access', shape: [goTypes.flavor_access] as const };
  const add = { json: { addTenantAccess: { tenant: project } }, ...access };
  expect(await admin.compute.call('POST', `${at}/action`, add)).toEqual([{ flavor_id: made.id, tenant_id: project }]);
  const remove = { json: { removeTenantAccess: { tenant: project } }, ...access };
  expect(await admin.compute.call('POST', `${at}/action`, remove)).toEqual([]);
  const described = { json: { flavor: { description: 'mine' } }, codes: [200], ...read };
  expect(await admin.compute.at('2.55').call('PUT', at, described)).toMatchObject({ description: 'mine' });
  const specs = {
    json: { extra_specs: { a: '1', b: '2' } },
    codes: [200],
    member: 'extra_specs',
    shape: 'stringMap' as const,
  };
  await admin.compute.call('POST', `${at}/os-extra_specs`, specs);
  await admin.compute.call('PUT', `${at}/os-extra_specs/a`, {
    json: { a: '3' },
    codes: [200],
    member: '',
    shape: 'stringMap',
  });
  await admin.compute.call('DELETE', `${at}/os-extra_specs/b`, { codes: [200] });
  expect(await admin.flavors.extraSpecs(made.id as string)).toEqual({ a: '3' });
  await admin.compute.call('DELETE', at);
});

test('data sources: limits, hypervisors, zones, projects and roles by name', async () => {
  const limits = await admin.compute.call('GET', 'limits', { member: 'limits', shape: goTypes.limits });
  expect(limits.absolute).toMatchObject({ maxTotalCores: 20, totalCoresUsed: 0 });
  const [hypervisor] = await admin.compute.list('os-hypervisors/detail', 'hypervisors', goTypes.hypervisor);
  expect(hypervisor).toMatchObject({ hypervisor_hostname: 'node-1', state: 'up' });
  const zones = { member: 'availabilityZoneInfo', shape: [goTypes.zone] as const };
  expect(await admin.compute.call('GET', 'os-availability-zone', zones)).toMatchObject([{ zoneName: 'nova' }]);
  expect(await admin.networks.list('router:external=true')).toEqual([]);
  expect(await admin.projects.list('name=lab&domain_id=default&enabled=true')).toMatchObject([{ id: project }]);
  expect(await admin.roles.list('name=reader')).toHaveLength(1);
});
