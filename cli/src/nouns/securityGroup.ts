// cumulet security group and its rules.
import { flag, text, type Command, type Row } from '../command';
import { CliError } from '../errors';
import { create, deleteCommand, given, idFor, listCommand, showCommand } from '../resource';
import { securityGroup, securityGroupRule } from './resources';

/** `22` or `8000:8080`. @throws CliError for anything else */
function portRange(range: string | undefined): Row {
  if (range === undefined) return {};
  const [, first, last] = /^(\d+)(?::(\d+))?$/.exec(range) ?? [];
  if (first === undefined) throw new CliError(`--dst-port is a port or FIRST:LAST, not "${range}"`, 2);
  return { port_range_min: Number(first), port_range_max: Number(last ?? first) };
}

const ports = (row: Row): string => {
  const [first, last] = [row['port_range_min'], row['port_range_max']];
  return typeof first === 'number' ? `${first}:${Number(last)}` : '';
};

const createRule: Command = {
  name: 'security group rule create',
  summary: 'Let traffic through',
  example: 'cumulet security group rule create --protocol tcp --dst-port 22 default',
  args: ['security-group'],
  options: {
    protocol: text('tcp, udp, icmp or a number', 'PROTOCOL'),
    'dst-port': text('port, or FIRST:LAST', 'PORT'),
    'remote-ip': text('only from or to these addresses', 'CIDR'),
    'remote-group': text('only from or to members of a group', 'GROUP'),
    ethertype: text('IPv4 (unless said) or IPv6', 'TYPE'),
    ingress: flag('traffic that comes in (unless said)'),
    egress: flag('traffic that goes out'),
  },
  async run({ api, input }) {
    const group = input.text('remote-group');
    const remote = input.text('remote-ip');
    return create(
      api,
      securityGroupRule,
      given({
        security_group_id: await idFor(api, securityGroup, input.arg(0)),
        direction: input.flag('egress') ? 'egress' : 'ingress',
        ethertype: input.text('ethertype') ?? (remote?.includes(':') ? 'IPv6' : 'IPv4'),
        protocol: input.text('protocol'),
        remote_ip_prefix: remote,
        remote_group_id: group === undefined ? undefined : await idFor(api, securityGroup, group),
        ...portRange(input.text('dst-port')),
      }),
    );
  },
};

const listRules: Command = {
  ...listCommand(securityGroupRule, []),
  example: 'cumulet security group rule list default',
  args: ['[security-group]'],
  async run({ api, input }) {
    const group = input.args[0];
    const security_group_id = group === undefined ? undefined : await idFor(api, securityGroup, group);
    const rows = await api.list('network', '/security-group-rules', 'security_group_rules', { security_group_id });
    const fields = { ID: 'id', 'IP Protocol': 'protocol', Ethertype: 'ethertype', 'IP Range': 'remote_ip_prefix' };
    const after = { Direction: 'direction', 'Remote Security Group': 'remote_group_id' };
    const shown = (titles: Record<string, string>) =>
      Object.entries(titles).map(([title, field]) => ({ title, of: (row: Row) => row[field] }));
    return { list: { columns: [...shown(fields), { title: 'Port Range', of: ports }, ...shown(after)], rows } };
  },
};

export const securityGroupCommands: readonly Command[] = [
  listCommand(securityGroup, [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Description', 'description'],
    ['Project', 'project_id'],
  ]),
  showCommand(securityGroup, 'default'),
  deleteCommand(securityGroup, 'web'),
  {
    name: 'security group create',
    summary: 'Create a security group',
    example: 'cumulet security group create --description "web servers" web',
    args: ['name'],
    options: { description: text('what it is for', 'TEXT') },
    run: ({ api, input }) =>
      create(api, securityGroup, given({ name: input.arg(0), description: input.text('description') })),
  },
  createRule,
  listRules,
  deleteCommand(securityGroupRule, 'ID'),
];
