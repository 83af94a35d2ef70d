// Generated from the route table: what one project owns does not exist for another on any route, and a reader changes nothing.
import { networkService } from '../../controller/src/api/network/routes';
import { startTestCloud, type TestCloud } from '../support/testCloud';
import { networkCalls } from '../support/networkFixtures';

let cloud: TestCloud;
const owned = new Map<string, string>();
const { call, network, subnet, port, router, group, external, make } = networkCalls(() => cloud);

beforeAll(async () => {
  cloud = await startTestCloud();
  const { network: outside } = await external();
  const net = await network();
  const web = await group();
  owned.set('/networks', net.id);
  owned.set('/subnets', (await subnet(net.id)).id);
  owned.set('/ports', (await port(net.id)).id);
  owned.set('/routers', (await router()).id);
  owned.set('/floatingips', (await make('/floatingips', 'floatingip', { floating_network_id: outside.id })).id);
  owned.set('/security-groups', web.id);
  owned.set('/security-group-rules', web.security_group_rules[0].id);
  owned.set('/subnetpools', (await make('/subnetpools', 'subnetpool', { name: 'p', prefixes: ['10.0.0.0/8'] })).id);
  owned.set('/address-groups', (await make('/address-groups', 'address_group', { name: 'a' })).id);
  owned.set(
    '/rbac-policies',
    (
      await make('/rbac-policies', 'rbac_policy', {
        object_type: 'network',
        object_id: net.id,
        action: 'access_as_shared',
        target_tenant: 'third',
      })
    ).id,
  );
  owned.set('/agents', 'none');
  owned.set('/network-ip-availabilities', net.id);
});
afterAll(() => cloud.stop());

/** A body that every check of form passes. */
const BODIES: Record<string, unknown> = {
  add_router_interface: { subnet_id: '00000000-0000-0000-0000-000000000000' },
  remove_router_interface: { subnet_id: '00000000-0000-0000-0000-000000000000' },
  add_extraroutes: { router: { routes: [] } },
  remove_extraroutes: { router: { routes: [] } },
  add_addresses: { address_group: { addresses: [] } },
  remove_addresses: { address_group: { addresses: [] } },
  add_prefixes: { prefixes: [] },
  remove_prefixes: { prefixes: [] },
  tags: { tags: [] },
};
const members: Record<string, string> = {
  '/networks': 'network',
  '/subnets': 'subnet',
  '/ports': 'port',
  '/routers': 'router',
  '/floatingips': 'floatingip',
  '/security-groups': 'security_group',
  '/security-group-rules': 'security_group_rule',
  '/subnetpools': 'subnetpool',
  '/address-groups': 'address_group',
  '/rbac-policies': 'rbac_policy',
  '/agents': 'agent',
};

const routes = networkService.routes.filter((route) => route.path.includes('/:id'));
const bodyOf = (path: string): unknown => {
  const collection = path.slice(0, path.indexOf('/:id'));
  const last = path.split('/').at(-1) ?? '';
  return BODIES[last] ?? { [members[collection] ?? '']: {} };
};
const send = (method: string, path: string, token: string) => {
  const target = path
    .replace(/^(\/[^/]+)\/:id/, (_all, collection: string) => `${collection}/${owned.get(collection) ?? ''}`)
    .replace(':tag', 'x');
  return call(method, target, method === 'PUT' || method === 'POST' ? bodyOf(path) : undefined, token);
};

test.each(routes.map((route) => [route.method, route.path]))(
  '%s %s of another project is 404',
  async (method, path) => {
    const answer = await send(method, path, 'other');
    expect(answer.status).toBe(404);
    expect(answer.body.NeutronError.type).toMatch(/NotFound$/);
  },
);

test.each(
  routes
    .filter((route) => route.method !== 'GET' && !route.path.startsWith('/agents'))
    .map((route) => [route.method, route.path]),
)('%s %s by a reader is 403', async (method, path) => {
  const answer = await send(method, path, 'reader');
  expect([answer.status, answer.body.NeutronError.type]).toEqual([403, 'PolicyNotAuthorized']);
});

test.each(Object.keys(members).filter((path) => path !== '/agents'))(
  '%s are not there for a token without a project',
  async (path) => {
    const list = await call('GET', path, undefined, 'domain');
    const rows = Object.values(list.body as object).filter(Array.isArray)[0] as { id: string }[];
    expect([list.status, rows.map(({ id }) => id)]).toEqual([200, []]);
    expect((await call('GET', `${path}/${owned.get(path)}`, undefined, 'domain')).status).toBe(404);
  },
);

test('without a token every route is 401', async () => {
  for (const route of networkService.routes) {
    const answer = await call(
      route.method,
      route.path.replace(':id', 'x').replace(':tag', 'x').replace(':project', 'x').replace(':alias', 'x'),
      undefined,
      null,
    );
    expect([route.method, route.path, answer.status]).toEqual([route.method, route.path, 401]);
  }
});
