// cumulet project, user, group, domain, region, service and endpoint.
import { flag, text, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { domainOption, enabling, marks, pairs, ref, sets, str, unmarks, unmarksAll } from '../fields';
import { nounCommands } from '../noun';
import { askNewPassword, askPassword } from '../prompt';
import { idFor, type Resource } from '../resource';
import { domain, endpoint, group, project, region, service, user } from './resources';

const description: Options = { description: str('description', 'what it is for') };
const newName: Options = { name: str('name', 'its new name', 'NAME') };
const property: Options = { property: pairs(undefined, 'a property of it') };
const inDomain: Options = { domain: ref('domain_id', domain, 'domain it belongs to') };
const immutable: Options = {
  immutable: sets({ options: { immutable: true } }, 'refuse to change or delete it'),
  'no-immutable': sets({ options: { immutable: false } }, 'allow to change and delete it'),
};
const ofDomain: Options = { domain: ref('domain_id', domain, 'only those of this domain') };

const projects = nounCommands(project, {
  example: 'demo',
  inDomain: true,
  list: {
    columns: { ID: 'id', Name: 'name' },
    long: { 'Domain ID': 'domain_id', Description: 'description', Enabled: 'enabled' },
    filters: {
      ...ofDomain,
      parent: ref('parent_id', project, 'only those below this project'),
      user: text('only those this user may use', 'USER'),
      'my-projects': flag('only those you may use'),
      tags: str('tags', 'only those with all these tags', 'TAG,TAG'),
      'tags-any': str('tags-any', 'only those with one of these tags', 'TAG,TAG'),
      'not-tags': str('not-tags', 'only those without all these tags', 'TAG,TAG'),
      'not-tags-any': str('not-tags-any', 'only those without any of these tags', 'TAG,TAG'),
    },
    async path({ api, input }) {
      const name = input.text('user');
      if (name !== undefined) return `/users/${await idFor(api, user, name)}/projects`;
      return input.flag('my-projects') ? '/auth/projects' : undefined;
    },
  },
  create: {
    example: '--description "the lab" lab',
    orShow: true,
    options: {
      ...inDomain,
      parent: ref('parent_id', project, 'project it is below'),
      ...description,
      ...enabling,
      ...property,
      ...immutable,
      tag: marks('tags', 'a tag of it', 'TAG'),
    },
  },
  set: {
    example: '--description "the old lab" lab',
    options: {
      ...newName,
      ...description,
      ...enabling,
      ...property,
      ...immutable,
      'clear-tags': unmarksAll('tags', 'take all tags away'),
      'remove-tag': unmarks('tags', 'a tag to take away', 'TAG'),
      tag: marks('tags', 'a tag of it', 'TAG'),
    },
  },
});

const userOption = (name: string, help: string): Options => {
  const key = name.replaceAll('-', '_');
  return {
    [name]: sets({ options: { [key]: true } }, help),
    [`no-${name}`]: sets({ options: { [key]: false } }, `not: ${help}`),
  };
};
const account: Options = {
  project: ref('default_project_id', project, 'project of a token that names none', { within: 'project-domain' }),
  'project-domain': domainOption('domain of that project'),
  password: str('password', 'the password', 'PASSWORD'),
  'password-prompt': { ...flag('ask for the password'), read: askNewPassword, put: ([password]) => ({ password }) },
  email: str('email', 'address for mail', 'ADDRESS'),
  ...description,
  ...enabling,
  ...userOption('ignore-lockout-failure-attempts', 'failed logins do not lock the account'),
  ...userOption('ignore-password-expiry', 'the password does not age'),
  ...userOption('ignore-change-password-upon-first-use', 'the first password may stay'),
  'enable-lock-password': sets({ options: { lock_password: true } }, 'only administrators change the password'),
  'disable-lock-password': sets({ options: { lock_password: false } }, 'the user may change the password'),
};

/** Users with a role on the project of --project, groups resolved. */
async function usersOfProject({ api, input }: Context): Promise<((row: Row) => boolean) | undefined> {
  const name = input.text('project');
  if (name === undefined) return undefined;
  const query = { 'scope.project.id': await idFor(api, project, name), effective: 'True' };
  const assignments = await api.list('identity', '/role_assignments', 'role_assignments', query);
  const ids = new Set(assignments.map(({ user: one }) => (one as Row | undefined)?.['id']));
  return ({ id }) => ids.has(id);
}

const users = nounCommands(user, {
  example: 'demo',
  inDomain: true,
  list: {
    columns: { ID: 'id', Name: 'name' },
    long: {
      'Default Project': 'default_project_id',
      Domain: 'domain_id',
      Description: 'description',
      Email: 'email',
      Enabled: 'enabled',
    },
    filters: {
      ...ofDomain,
      group: text('only members of this group', 'GROUP'),
      project: text('only those with a role on this project', 'PROJECT'),
    },
    async path({ api, input }) {
      const name = input.text('group');
      return name === undefined ? undefined : `/groups/${await idFor(api, group, name)}/users`;
    },
    keep: usersOfProject,
  },
  create: { example: '--project demo --password-prompt alice', orShow: true, options: { ...inDomain, ...account } },
  set: { example: '--email alice@example.org alice', options: { ...newName, ...account } },
});

const password: Command = {
  name: 'user password set',
  summary: 'Change your own password',
  example: '',
  options: {
    password: text('the new one; asked for on a terminal', 'PASSWORD'),
    'original-password': text('the present one; the one of the login unless said', 'PASSWORD'),
  },
  async run({ api, input }) {
    const { user: own } = await api.token();
    const original =
      input.text('original-password') ?? api.settings.password ?? (await askPassword('Present password: '));
    if (original === undefined) throw new CliError('user password set needs --original-password', 2);
    const body = {
      user: { original_password: original, password: input.text('password') ?? (await askNewPassword()) },
    };
    await api.json('identity', 'POST', `/users/${own.id}/password`, body);
    return undefined;
  },
};

const groups = nounCommands(group, {
  example: 'staff',
  inDomain: true,
  list: {
    columns: { ID: 'id', Name: 'name' },
    long: { 'Domain ID': 'domain_id', Description: 'description' },
    filters: { ...ofDomain, user: text('only those this user is in', 'USER') },
    async path({ api, input }) {
      const name = input.text('user');
      return name === undefined ? undefined : `/users/${await idFor(api, user, name)}/groups`;
    },
  },
  create: { example: '--description "who runs it" staff', orShow: true, options: { ...inDomain, ...description } },
  set: { example: '--name crew staff', options: { ...newName, ...description } },
});

const memberDomains: Options = {
  'group-domain': domainOption('domain of the group'),
  'user-domain': domainOption('domain of the user'),
};

/** Id of an argument's name in the domain an option says. */
async function member({ api, input }: Context, resource: Resource, at: number): Promise<string> {
  const name = input.text(`${resource.noun}-domain`);
  return idFor(api, resource, input.arg(at), name === undefined ? {} : { domain_id: await idFor(api, domain, name) });
}

const membership = (verb: 'add' | 'remove' | 'contains', method: string, summary: string): Command => ({
  name: `group ${verb} user`,
  summary,
  example: 'staff alice',
  args: ['group', 'user'],
  options: memberDomains,
  async run(context) {
    const [groupId, userId] = await Promise.all([member(context, group, 0), member(context, user, 1)]);
    await context.api.json('identity', method, `/groups/${groupId}/users/${userId}`);
    return verb === 'contains' ? { text: `${context.input.arg(1)} in group ${context.input.arg(0)}` } : undefined;
  },
});

const domains = nounCommands(domain, {
  example: 'lab',
  list: { columns: { ID: 'id', Name: 'name', Enabled: 'enabled', Description: 'description' } },
  create: {
    example: '--description "the lab" lab',
    orShow: true,
    options: { ...description, ...enabling, ...immutable },
  },
  set: { example: '--disable lab', options: { ...newName, ...description, ...enabling, ...immutable } },
});

const parent: Options = { 'parent-region': str('parent_region_id', 'region it is in', 'REGION') };
const regions = nounCommands(region, {
  example: 'RegionOne',
  list: {
    columns: { Region: 'id', 'Parent Region': 'parent_region_id', Description: 'description' },
    filters: { 'parent-region': str('parent_region_id', 'only those in this region', 'REGION') },
  },
  create: {
    example: '--description north north',
    args: { region: str('id', '') },
    options: { ...parent, ...description },
  },
  set: { example: '--description south north', options: { ...parent, ...description } },
});

const services = nounCommands(service, {
  example: 'compute',
  list: {
    columns: { ID: 'id', Name: 'name', Type: 'type' },
    long: { Description: 'description', Enabled: 'enabled' },
  },
  create: {
    example: '--name backups backup',
    args: { type: str('type', '') },
    options: { name: str('name', 'its name', 'NAME'), ...description, ...enabling },
  },
  set: {
    example: '--description "every night" backup',
    options: { ...newName, type: str('type', 'its new type', 'TYPE'), ...description, ...enabling },
  },
});

const place: Options = { region: str('region_id', 'its region', 'REGION'), ...enabling };
const endpoints = nounCommands(endpoint, {
  example: '0c8d4a2e5a1c4f0e9d0b3c6f1a2b4d5e',
  list: {
    columns: {
      ID: 'id',
      Region: 'region_id',
      'Service ID': 'service_id',
      Enabled: 'enabled',
      Interface: 'interface',
      URL: 'url',
    },
    filters: {
      service: ref('service_id', service, 'only those of this service'),
      interface: str('interface', 'only this kind', 'KIND'),
      region: str('region_id', 'only those of this region', 'REGION'),
    },
  },
  create: {
    example: '--region RegionOne backup public http://127.0.0.1:9000',
    args: { service: ref('service_id', service, ''), interface: str('interface', ''), url: str('url', '') },
    options: place,
  },
  set: {
    example: '--url http://127.0.0.1:9001 0c8d4a2e5a1c4f0e9d0b3c6f1a2b4d5e',
    options: {
      url: str('url', 'where it is', 'URL'),
      interface: str('interface', 'its kind', 'KIND'),
      service: ref('service_id', service, 'its service'),
      ...place,
    },
  },
});

export const commands: readonly Command[] = [
  ...projects,
  ...users,
  password,
  ...groups,
  membership('add', 'PUT', 'Put a user into a group'),
  membership('remove', 'DELETE', 'Take a user out of a group'),
  membership('contains', 'HEAD', 'Tell whether a user is in a group; ends with 1 when not'),
  ...domains,
  ...regions,
  ...services,
  ...endpoints,
];
