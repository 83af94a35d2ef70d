// The kinds of things commands name: where each is in the APIs.
import type { Api } from '../api';
import type { Row } from '../command';
import { CliError } from '../errors';
import { idFor, type Part, type Resource } from '../resource';

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Tags of a thing: one route for each tag. */
const tags =
  (service: Resource['service']): Part =>
  async (api, path, added, removed) => {
    for (const [tag] of added) await api.json(service, 'PUT', `${path}/tags/${encodeURIComponent(tag)}`);
    for (const tag of removed) await api.json(service, 'DELETE', `${path}/tags/${encodeURIComponent(tag)}`);
  };

/** Keys and values of a compute resource: all that are new in one request, those to remove one by one. */
const entries =
  (tail: string, key: string): Part =>
  async (api, path, added, removed) => {
    for (const name of removed) await api.json('compute', 'DELETE', `${path}/${tail}/${encodeURIComponent(name)}`);
    if (added.length > 0) await api.json('compute', 'POST', `${path}/${tail}`, { [key]: Object.fromEntries(added) });
  };

/** Actions of a server, each with what it takes. */
const actions: Part = async (api, path, added) => {
  for (const [action, body] of added) await api.json('compute', 'POST', `${path}/action`, { [action]: body });
};

/** Which projects may use a flavor. */
const access: Part = async (api, path, added, removed) => {
  for (const [tenant] of added) await api.json('compute', 'POST', `${path}/action`, { addTenantAccess: { tenant } });
  for (const tenant of removed) await api.json('compute', 'POST', `${path}/action`, { removeTenantAccess: { tenant } });
};

/** Properties of an aggregate, new and removed ones in one request. */
const properties: Part = async (api, path, added, removed) => {
  const metadata = Object.fromEntries([...added, ...removed.map((name) => [name, null] as const)]);
  await api.json('compute', 'POST', `${path}/action`, { set_metadata: { metadata } });
};

/** Entries of a network resource with one route to add several and one to remove several. */
const bulk =
  (key: string, add: string, remove: string): Part =>
  async (api, path, added, removed) => {
    const plain = (names: readonly string[]): object => ({ [key]: { addresses: names } });
    if (removed.length > 0) await api.json('network', 'PUT', `${path}/${remove}`, plain(removed));
    if (added.length > 0) await api.json('network', 'PUT', `${path}/${add}`, plain(added.map(([name]) => name)));
  };

/** Changes fields of an image as a JSON patch; null takes one away. */
async function patchImage(api: Api, now: Row, fields: Row): Promise<void> {
  const pointer = (field: string): string => `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const changes = Object.entries(fields).map(([field, value]) =>
    value === null
      ? { op: 'remove', path: pointer(field) }
      : { op: field in now ? 'replace' : 'add', path: pointer(field), value },
  );
  const headers = { 'Content-Type': 'application/openstack-images-v2.1-json-patch' };
  if (changes.length > 0) await api.json('image', 'PATCH', `/images/${String(now['id'])}`, changes, { headers });
}

const activation: Part = async (api, path, added) => {
  for (const [verb] of added) await api.json('image', 'POST', `${path}/actions/${verb}`);
};

/** What the own project decided about an image that is shared with it. */
const membership: Part = async (api, path, added) => {
  for (const [status] of added)
    await api.json('image', 'PUT', `${path}/members/${await projectOf(api, undefined)}`, { status });
};

const network = (noun: string, key = noun, more: Partial<Resource> = {}): Resource => ({
  noun,
  service: 'network',
  path: `/${key.replaceAll('_', '-')}s`,
  key,
  keys: `${key}s`,
  parts: { tags: tags('network') },
  ...more,
});
const identity = (noun: string, more: Partial<Resource> = {}): Resource => ({
  noun,
  service: 'identity',
  path: `/${noun}s`,
  key: noun,
  keys: `${noun}s`,
  method: 'PATCH',
  ...more,
});
/** Things that have no name, or whose list cannot be narrowed to one. */
const unnamed = { names: ['id'], byName: () => ({}) };

export const server: Resource = {
  noun: 'server',
  service: 'compute',
  path: '/servers',
  key: 'server',
  keys: 'servers',
  detail: '/servers/detail',
  // The API takes a regular expression here.
  byName: (name) => ({ name: `^${escaped(name)}$` }),
  parts: { tags: tags('compute'), metadata: entries('metadata', 'metadata'), actions },
};
export const allServers: Resource = { ...server, query: { all_tenants: 'True' } };
export const flavor: Resource = {
  noun: 'flavor',
  service: 'compute',
  path: '/flavors',
  key: 'flavor',
  keys: 'flavors',
  detail: '/flavors/detail',
  query: { is_public: 'None' },
  byName: () => ({}),
  parts: { extra_specs: entries('os-extra_specs', 'extra_specs'), access },
};
export const keypair: Resource = {
  noun: 'keypair',
  service: 'compute',
  path: '/os-keypairs',
  key: 'keypair',
  keys: 'keypairs',
  id: 'name',
  byName: () => ({}),
  wrapped: 'keypair',
};
export const hypervisor: Resource = {
  noun: 'hypervisor',
  service: 'compute',
  path: '/os-hypervisors',
  key: 'hypervisor',
  keys: 'hypervisors',
  detail: '/os-hypervisors/detail',
  names: ['hypervisor_hostname'],
  byName: () => ({}),
};
export const provider: Resource = {
  noun: 'resource provider',
  service: 'placement',
  path: '/resource_providers',
  keys: 'resource_providers',
  id: 'uuid',
};
export const resourceClass: Resource = {
  noun: 'resource class',
  service: 'placement',
  path: '/resource_classes',
  keys: 'resource_classes',
  id: 'name',
  byName: () => ({}),
};
export const aggregate: Resource = {
  noun: 'aggregate',
  service: 'compute',
  path: '/os-aggregates',
  key: 'aggregate',
  keys: 'aggregates',
  byName: () => ({}),
  parts: { metadata: properties },
};
export const serverGroup: Resource = {
  noun: 'server group',
  service: 'compute',
  path: '/os-server-groups',
  key: 'server_group',
  keys: 'server_groups',
  byName: () => ({}),
};
export const image: Resource = {
  noun: 'image',
  service: 'image',
  path: '/images',
  keys: 'images',
  change: patchImage,
  parts: { tags: tags('image'), activation, membership },
};
export const net = network('network');
export const subnet = network('subnet');
export const subnetPool = network('subnet pool', 'subnetpool');
export const port = network('port');
export const router = network('router');
export const securityGroup = network('security group', 'security_group');
export const securityGroupRule = network('security group rule', 'security_group_rule', unnamed);
export const addressGroup = network('address group', 'address_group', {
  parts: { addresses: bulk('address_group', 'add_addresses', 'remove_addresses') },
});
export const floatingIp = network('floating ip', 'floatingip', { names: ['floating_ip_address'] });
export const rbac = network('network rbac', 'rbac_policy', {
  ...unnamed,
  path: '/rbac-policies',
  keys: 'rbac_policies',
});
export const agent = network('network agent', 'agent', unnamed);

export const project = identity('project', { parts: { tags: tags('identity') } });
export const user = identity('user');
export const group = identity('group');
export const role = identity('role');
export const domain = identity('domain');
export const region = identity('region', unnamed);
export const service = identity('service', { names: ['name', 'type'], byName: () => ({}) });
export const endpoint = identity('endpoint', unnamed);

/** The project of the name, else the one signed in to. @throws CliError when there is neither */
export async function projectOf(api: Api, name: string | undefined): Promise<string> {
  if (name !== undefined) return idFor(api, project, name);
  const own = (await api.token()).project;
  if (!own) throw new CliError('the token is of no project: name one', 2);
  return own.id;
}
