// What a new user of the cloud gets: a project, themselves in it, a network that leads outside, open ICMP and ssh.
import type { Context, Row } from './command';
import { CliError, HttpError } from './errors';
import { net, port, project, role, router, securityGroup, securityGroupRule, subnet, user } from './nouns/resources';
import { find, idFor, idOf, rowsOf, type Resource } from './resource';

const DOMAIN = { domain_id: 'default' };

/** What is wanted of one newcomer. */
export interface Wanted {
  readonly name: string;
  /** Set when the user is made, or always with `renew`. */
  readonly password: string;
  readonly renew: boolean;
  readonly quota: Row;
  readonly outside: string;
  readonly range: string;
}

/** What was done, in words, and whether the password is in force. */
export interface Progress {
  readonly made: string[];
  passwordSet: boolean;
}

/** Makes what is missing, and says so. */
async function ensure(context: Context, resource: Resource, query: Row, body: Row, { made }: Progress): Promise<Row> {
  const { api } = context;
  const [there] = await rowsOf(api, resource, query);
  if (there) return there;
  context.progress(`${resource.noun} ${String(body['name'])}`);
  const key = resource.key ?? '';
  const answer = await api.json(resource.service, 'POST', resource.path, { [key]: body });
  made.push(`${resource.noun} ${String(body['name'])}`);
  return answer[key] as Row;
}

/** @throws CliError when the user is an administrator, of whatever: the password of one is not set in passing */
async function checkRole({ api }: Context, itsUser: Row): Promise<void> {
  const query = { 'user.id': idOf(user, itsUser), 'role.id': await idFor(api, role, 'admin'), effective: true };
  const grants = await api.list('identity', '/role_assignments', 'role_assignments', query);
  if (grants.length > 0)
    throw new CliError(`user ${String(itsUser['name'])} is an administrator: choose another name for a newcomer`);
}

/** Whether a project and a user that are there already belong together. @throws CliError when somebody else has one of them */
async function checkOwner(context: Context, name: string): Promise<void> {
  const { api } = context;
  const [[itsProject], [itsUser]] = await Promise.all([
    rowsOf(api, project, { name, ...DOMAIN }),
    rowsOf(api, user, { name, ...DOMAIN }),
  ]);
  if (itsUser) await checkRole(context, itsUser);
  const home = itsUser?.['default_project_id'];
  if (typeof home === 'string' && home !== itsProject?.['id'])
    throw new CliError(`user ${name} is there already, with another project: choose another name`);
  if (!itsProject) return;
  const grants = await api.list('identity', '/role_assignments', 'role_assignments', {
    'scope.project.id': itsProject['id'],
  });
  const holders = grants.map((grant) => (grant['user'] as { readonly id: string } | undefined)?.id);
  // A project that nobody has a role in is the beginning of an earlier run.
  if (holders.length > 0 && !holders.includes(itsUser && idOf(user, itsUser)))
    throw new CliError(`project ${name} is there already, and somebody else's: choose another name`);
}

async function ensureUser(context: Context, wanted: Wanted, projectId: string, progress: Progress): Promise<void> {
  const { api } = context;
  const { name, password } = wanted;
  const before = progress.made.length;
  const body = { name, ...DOMAIN, default_project_id: projectId, password };
  const id = idOf(user, await ensure(context, user, { name, ...DOMAIN }, body, progress));
  if (progress.made.length > before) progress.passwordSet = true;
  else if (wanted.renew) {
    await api.json('identity', 'PATCH', `/users/${id}`, { user: { password } });
    progress.made.push('a new password');
    progress.passwordSet = true;
  }
  const member = await idFor(api, role, 'member');
  await api.json('identity', 'PUT', `/projects/${projectId}/users/${id}/roles/${member}`);
}

async function ensureNetwork(context: Context, wanted: Wanted, projectId: string, progress: Progress): Promise<void> {
  const { api } = context;
  const { name, outside, range } = wanted;
  const mine = { name, project_id: projectId };
  const gateway = { external_gateway_info: { network_id: outside } };
  const network_id = idOf(net, await ensure(context, net, mine, mine, progress));
  const subnetBody = { ...mine, network_id, ip_version: 4, cidr: range };
  const inner = idOf(subnet, await ensure(context, subnet, { network_id }, subnetBody, progress));
  const way = await ensure(context, router, mine, { ...mine, ...gateway }, progress);
  const path = `/routers/${idOf(router, way)}`;
  if (way['external_gateway_info'] === null) {
    await api.json('network', 'PUT', path, { router: gateway });
    progress.made.push(`gateway of router ${name}`);
  }
  const ports = await rowsOf(api, port, { device_id: idOf(router, way), network_id });
  if (ports.length > 0) return;
  await api.json('network', 'PUT', `${path}/add_router_interface`, { subnet_id: inner });
  progress.made.push(`interface of router ${name}`);
}

async function openDoors({ api }: Context, projectId: string, { made }: Progress): Promise<void> {
  const group = await find(api, securityGroup, 'default', { project_id: projectId });
  // Their own, or they would neither see nor delete them.
  const rule = {
    project_id: projectId,
    security_group_id: idOf(securityGroup, group),
    direction: 'ingress',
    ethertype: 'IPv4',
  };
  for (const [what, opened] of [
    ['ICMP', { protocol: 'icmp' }],
    ['ssh', { protocol: 'tcp', port_range_min: 22, port_range_max: 22 }],
  ] as const) {
    try {
      await api.json('network', 'POST', securityGroupRule.path, { security_group_rule: { ...rule, ...opened } });
      made.push(`rule for ${what}`);
    } catch (error) {
      // A quota that is full is a conflict too, and must be told.
      if (!(error instanceof HttpError) || !error.message.includes('already exists')) throw error;
    }
  }
}

/** Makes what is missing of all that the newcomer gets.
 * @throws CliError with the reason, what was made until then, and how it goes on */
export async function ensureNewcomer(context: Context, wanted: Wanted): Promise<Progress> {
  const { api } = context;
  const { name, quota } = wanted;
  const progress: Progress = { made: [], passwordSet: false };
  await checkOwner(context, name);
  try {
    const body = { name, ...DOMAIN, description: `Project of ${name}` };
    const projectId = idOf(project, await ensure(context, project, { name, ...DOMAIN }, body, progress));
    if (Object.keys(quota).length > 0) {
      await api.json('compute', 'PUT', `/os-quota-sets/${projectId}`, { quota_set: quota });
      progress.made.push('quota');
    }
    await ensureNetwork(context, wanted, projectId, progress);
    await openDoors(context, projectId, progress);
    // Last, as nobody would know the password of a user that a failed run made.
    await ensureUser(context, wanted, projectId, progress);
    return progress;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const done = progress.made.length === 0 ? 'nothing was made' : `made until then: ${progress.made.join(', ')}`;
    const again = progress.passwordSet ? 'running it again, with --new-password,' : 'running it again';
    throw new CliError(`${error.message}; ${done}; ${again} goes on from there`);
  } finally {
    context.progress('');
  }
}
