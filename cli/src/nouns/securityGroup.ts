// cumulet security group, its rules, and address group.
import { text, type Command, type Row } from '../command';
import { CliError } from '../errors';
import { either, int, marks, ref, sets, str, unmarks } from '../fields';
import { createCommand, deleteCommand, listCommand, projectOptions, showCommand } from '../noun';
import { networkNoun } from './networkOptions';
import { addressGroup, project, securityGroup, securityGroupRule } from './resources';

const stateful = either('stateful', 'stateful', 'stateless', 'answers pass by themselves', 'answers need rules too');

const groups = networkNoun(securityGroup, {
  example: 'default',
  list: {
    columns: { ID: 'id', Name: 'name', Description: 'description', Project: 'project_id', Tags: 'tags' },
  },
  create: { example: '--description "web servers" web', options: stateful },
  set: { example: '--name www web', options: stateful },
  unset: { example: '--tag red web', options: {} },
});

/** `22` or `8000:8080`. @throws CliError for anything else */
function portRange([range]: readonly unknown[]): Row {
  const [, first, last] = /^(\d+)(?::(\d+))?$/.exec(String(range)) ?? [];
  if (first === undefined) throw new CliError(`--dst-port is a port or FIRST:LAST, not "${String(range)}"`, 2);
  return { port_range_min: Number(first), port_range_max: Number(last ?? first) };
}

const ports = (row: Row): string => {
  const [first, last] = [row['port_range_min'], row['port_range_max']];
  if (typeof first !== 'number') return '';
  return String(row['protocol']).includes('icmp') ? `type=${first}` : `${first}:${Number(last)}`;
};

const ruleColumns = {
  ID: 'id',
  'IP Protocol': 'protocol',
  Ethertype: 'ethertype',
  'IP Range': 'remote_ip_prefix',
  'Port Range': ports,
  Direction: 'direction',
  'Remote Security Group': 'remote_group_id',
  'Remote Address Group': 'remote_address_group_id',
};
const ruleFilters = {
  protocol: str('protocol', 'only this protocol', 'PROTOCOL'),
  ethertype: str('ethertype', 'only IPv4 or IPv6', 'TYPE'),
  ingress: sets({ direction: 'ingress' }, 'only what comes in'),
  egress: sets({ direction: 'egress' }, 'only what goes out'),
  ...projectOptions(project, 'only those of this project'),
};

const rules: readonly Command[] = [
  createCommand(securityGroupRule, {
    example: '--protocol tcp --dst-port 22 default',
    args: { 'security-group': ref('security_group_id', securityGroup, '') },
    fixed: { direction: 'ingress', ethertype: 'IPv4' },
    options: {
      protocol: str('protocol', 'tcp, udp, icmp, any or a number', 'PROTOCOL', {
        put: ([protocol]) => (protocol === 'any' ? {} : { protocol }),
      }),
      'dst-port': text('port, or FIRST:LAST', 'PORT', { put: portRange }),
      'icmp-type': int('port_range_min', 'type of ICMP', 'NUMBER'),
      'icmp-code': int('port_range_max', 'code of ICMP', 'NUMBER'),
      'remote-ip': str('remote_ip_prefix', 'only from or to these addresses', 'CIDR', {
        put: ([given]) => ({ remote_ip_prefix: given, ethertype: String(given).includes(':') ? 'IPv6' : 'IPv4' }),
      }),
      'remote-group': ref('remote_group_id', securityGroup, 'only from or to members of a group'),
      'remote-address-group': ref('remote_address_group_id', addressGroup, 'only from or to addresses of a group'),
      ethertype: str('ethertype', 'IPv4 (unless said) or IPv6', 'TYPE'),
      ingress: sets({ direction: 'ingress' }, 'traffic that comes in (unless said)'),
      egress: sets({ direction: 'egress' }, 'traffic that goes out'),
      description: str('description', 'what it is for'),
      ...projectOptions(project, 'project that owns it (administrators)'),
    },
  }),
  listCommand(securityGroupRule, {
    example: 'default',
    columns: ruleColumns,
    filters: ruleFilters,
    args: { '[security-group]': ref('security_group_id', securityGroup, '') },
  }),
  showCommand(securityGroupRule, '0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e'),
  deleteCommand(securityGroupRule, '0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e'),
];

const address = marks('addresses', 'an address or range of it', 'CIDR');

const addressGroups = networkNoun(addressGroup, {
  example: 'office',
  list: {
    columns: { ID: 'id', Name: 'name', Description: 'description', Project: 'project_id', Addresses: 'addresses' },
  },
  create: { example: '--address 192.0.2.0/24 office', options: { address } },
  set: { example: '--address 198.51.100.7/32 office', options: { address } },
  unset: {
    example: '--address 198.51.100.7/32 office',
    options: { address: unmarks('addresses', 'an address or range to take away', 'CIDR') },
  },
});

export const commands: readonly Command[] = [...groups, ...rules, ...addressGroups];
