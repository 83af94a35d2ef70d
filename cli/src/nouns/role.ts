// cumulet role, implied role and role assignment: who may do what where.
import { flag, text, type Command, type Context, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { domainOption, ref, said, sets, str } from '../fields';
import { nounCommands } from '../noun';
import { idFor } from '../resource';
import { domain, group, project, role, user } from './resources';

const description: Options = { description: str('description', 'what it is for') };
const immutable: Options = {
  immutable: sets({ options: { immutable: true } }, 'refuse to change or delete it'),
  'no-immutable': sets({ options: { immutable: false } }, 'allow to change and delete it'),
};
const inDomain: Options = { domain: ref('domain_id', domain, 'domain the role is of') };

const roles = nounCommands(role, {
  example: 'operator',
  inDomain: true,
  list: {
    columns: { ID: 'id', Name: 'name' },
    filters: { domain: ref('domain_id', domain, 'only those of this domain') },
  },
  create: { example: 'operator', orShow: true, options: { ...inDomain, ...description, ...immutable } },
  set: {
    example: '--description "on duty" operator',
    options: { name: str('name', 'its new name', 'NAME'), ...description, ...immutable },
  },
});

/** Options that say who and where; `key` is what assignments are filtered by. */
const who: Options = {
  user: ref('user.id', user, 'the user', { within: 'user-domain' }),
  group: ref('group.id', group, 'or the group', { within: 'group-domain' }),
};
const where: Options = {
  project: ref('scope.project.id', project, 'on this project', { within: 'project-domain' }),
  domain: ref('scope.domain.id', domain, 'or on this domain'),
  system: str('scope.system', 'or on the whole system: all', 'all', { oneOf: ['all'] }),
};
const domains: Options = {
  'user-domain': domainOption('domain of the user'),
  'group-domain': domainOption('domain of the group'),
  'project-domain': domainOption('domain of the project'),
  'role-domain': domainOption('domain of the role'),
};

/** The one of the options that is given. @throws CliError with status 2 for none or several */
function only({ input }: Context, name: string, options: Options): string {
  const given = Object.keys(options).filter((option) => input.text(option) !== undefined);
  if (given.length === 1 && given[0] !== undefined) return given[0];
  throw new CliError(
    `${name} needs one of ${Object.keys(options)
      .map((option) => `--${option}`)
      .join(', ')}`,
    2,
  );
}

const grant = (verb: 'add' | 'remove'): Command => ({
  name: `role ${verb}`,
  summary: verb === 'add' ? 'Give a role to a user or group' : 'Take a role from a user or group',
  example: '--user alice --project demo member',
  args: ['role'],
  options: { ...who, ...where, ...domains, inherited: flag('on the projects below') },
  async run(context) {
    const { api, input } = context;
    const name = `role ${verb}`;
    const [actor, target] = [only(context, name, who), only(context, name, where)];
    const [ids, roleId] = await Promise.all([
      said(context, { ...who, ...where }),
      idFor(api, role, input.arg(0), await roleDomain(context)),
    ]);
    const actorId = String(ids[`${actor}.id`]);
    const place = target === 'system' ? '/system' : `/${target}s/${String(ids[`scope.${target}.id`])}`;
    const path = `${place}/${actor}s/${actorId}/roles/${roleId}`;
    const full = input.flag('inherited') ? `/OS-INHERIT${path}/inherited_to_projects` : path;
    await api.json('identity', verb === 'add' ? 'PUT' : 'DELETE', full);
    return undefined;
  },
});

async function roleDomain({ api, input }: Context): Promise<Row> {
  const name = input.text('role-domain');
  return name === undefined ? {} : { domain_id: await idFor(api, domain, name) };
}

const filters: Options = {
  ...who,
  ...where,
  role: ref('role.id', role, 'only this role', { within: 'role-domain' }),
  effective: sets({ effective: 'True' }, 'with groups, inheritance and implied roles resolved'),
  inherited: sets({ 'scope.OS-INHERIT:inherited_to': 'projects' }, 'only inherited ones'),
};

const assignments: Command = {
  name: 'role assignment list',
  summary: 'List who has which role where',
  example: '--project demo --names',
  options: {
    ...filters,
    ...domains,
    names: flag('names instead of ids'),
    'auth-user': flag('only your own'),
    'auth-project': flag('only those on the project you signed in to'),
  },
  async run(context) {
    const { api, input } = context;
    const names = input.flag('names');
    const { user: self, project: own } = await api.token();
    const rows = await api.list('identity', '/role_assignments', 'role_assignments', {
      ...(await said(context, filters)),
      ...(names ? { include_names: 'True' } : {}),
      ...(input.flag('auth-user') ? { 'user.id': self.id } : {}),
      ...(input.flag('auth-project') ? { 'scope.project.id': own?.id } : {}),
    });
    const shown = (thing: unknown): string => {
      const { id, name, domain: of } = (thing ?? {}) as { id?: string; name?: string; domain?: { name?: string } };
      if (!names) return id ?? '';
      return of?.name === undefined ? (name ?? '') : `${name ?? ''}@${of.name}`;
    };
    const scope = (row: Row): Row => row['scope'] as Row;
    const columns = {
      Role: (row: Row) => shown(row['role']),
      User: (row: Row) => shown(row['user']),
      Group: (row: Row) => shown(row['group']),
      Project: (row: Row) => shown(scope(row)['project']),
      Domain: (row: Row) => shown(scope(row)['domain']),
      System: (row: Row) => (scope(row)['system'] === undefined ? '' : 'all'),
      Inherited: (row: Row) => scope(row)['OS-INHERIT:inherited_to'] !== undefined,
    };
    return { list: { columns, rows } };
  },
};

const implied = (verb: 'create' | 'delete', method: string, summary: string): Command => ({
  name: `implied role ${verb}`,
  summary,
  example: '--implied-role member operator',
  args: ['role'],
  options: { 'implied-role': text('the role that comes with it', 'ROLE', { required: true }) },
  async run({ api, input }) {
    const [prior, other] = await Promise.all([
      idFor(api, role, input.arg(0)),
      idFor(api, role, input.text('implied-role') ?? ''),
    ]);
    await api.json('identity', method, `/roles/${prior}/implies/${other}`);
    return undefined;
  },
});

const impliedList: Command = {
  name: 'implied role list',
  summary: 'List which role brings which other one',
  example: '',
  async run({ api }) {
    const rules = (await api.list('identity', '/role_inferences', 'role_inferences')) as {
      prior_role: Row;
      implies: Row[];
    }[];
    const rows = rules.flatMap(({ prior_role: prior, implies }) => implies.map((other) => ({ prior, other })));
    const of = (side: string, field: string) => (row: Row) => (row[side] as Row)[field];
    const columns = {
      'Prior Role ID': of('prior', 'id'),
      'Prior Role Name': of('prior', 'name'),
      'Implied Role ID': of('other', 'id'),
      'Implied Role Name': of('other', 'name'),
    };
    return { list: { columns, rows } };
  },
};

export const commands: readonly Command[] = [
  ...roles,
  grant('add'),
  grant('remove'),
  assignments,
  implied('create', 'PUT', 'Let one role bring another one'),
  implied('delete', 'DELETE', 'Let it bring it no longer'),
  impliedList,
];
