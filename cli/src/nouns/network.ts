// cumulet network, network rbac, network agent, network service provider, ip availability.
import { flag, text, type Command, type Options, type Row } from '../command';
import { CliError } from '../errors';
import { adminState, either, int, list, sets, str } from '../fields';
import { changeCommand, create, deleteCommand, listCommand, nounCommands, projectOptions, showCommand } from '../noun';
import { find, idFor, idOf } from '../resource';
import { networkNoun, sharing } from './networkOptions';
import { addressGroup, agent, net, project, rbac, securityGroup, subnetPool } from './resources';

const upDown = (row: Row): string => (row['admin_state_up'] === true ? 'UP' : 'DOWN');

const outside: Options = {
  external: sets({ 'router:external': true }, 'routers may lead out through it (administrators)'),
  internal: sets({ 'router:external': false }, 'routers may not lead out through it'),
};
const provider: Options = {
  'provider-network-type': str('provider:network_type', 'how it is carried', 'TYPE'),
  'provider-physical-network': str('provider:physical_network', 'what carries it', 'NETWORK'),
  'provider-segment': int('provider:segmentation_id', 'its number there', 'NUMBER'),
};
const settable: Options = {
  ...adminState,
  ...sharing(),
  ...outside,
  ...either('is_default', 'default', 'no-default', 'the external network that is used unless another is named'),
  ...either('port_security_enabled', 'enable-port-security', 'disable-port-security', 'filter traffic of its ports'),
  mtu: int('mtu', 'greatest size of a packet', 'BYTES'),
  'dns-domain': str('dns_domain', 'domain of the names of its ports', 'DOMAIN'),
  ...provider,
};

const networks = networkNoun(net, {
  example: 'demo',
  list: {
    columns: { ID: 'id', Name: 'name', Subnets: 'subnets' },
    long: {
      Status: 'status',
      Project: 'project_id',
      State: upDown,
      Shared: 'shared',
      'Network Type': 'provider:network_type',
      'Router Type': (row) => (row['router:external'] === true ? 'External' : 'Internal'),
      'Availability Zones': 'availability_zones',
      Tags: 'tags',
    },
    filters: {
      ...adminState,
      ...sharing('only shared ones'),
      ...outside,
      ...provider,
      status: str('status', 'only those in this status', 'STATUS'),
    },
  },
  create: {
    example: 'demo',
    options: {
      ...settable,
      'availability-zone-hint': list('availability_zone_hints', 'zone it shall be in', 'ZONE'),
    },
  },
  set: { example: '--name other demo', options: settable },
  unset: { example: '--tag red demo', options: {} },
});

/** Kinds of things that can be shared, as RBAC names them. */
const SHARED = { network: net, security_group: securityGroup, address_group: addressGroup, subnetpool: subnetPool };

const rbacCommands: readonly Command[] = [
  ...nounCommands(rbac, {
    example: '0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e',
    list: {
      columns: { ID: 'id', 'Object Type': 'object_type', 'Object ID': 'object_id' },
      long: { Action: 'action', 'Target Project': 'target_tenant' },
      filters: {
        type: str('object_type', 'only things of this kind', 'TYPE'),
        action: str('action', 'only this right', 'ACTION'),
      },
    },
    set: {
      example: '--target-project demo 0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e',
      options: {
        'target-project': str('target_tenant', 'project that gets the right', 'PROJECT', {
          read: (name, { api }) => idFor(api, project, name),
        }),
      },
    },
  }),
  {
    name: 'network rbac create',
    summary: 'Let another project use something',
    example: '--type network --action access_as_shared --target-project demo shared-net',
    args: ['object'],
    options: {
      type: text('kind of the thing', 'TYPE', { required: true, oneOf: Object.keys(SHARED) }),
      action: text('access_as_shared or access_as_external', 'ACTION', { required: true }),
      'target-project': text('project that gets the right', 'PROJECT'),
      'target-all-projects': flag('every project gets it (administrators)'),
    },
    async run({ api, input }) {
      const kind = input.text('type') as keyof typeof SHARED;
      const target = input.text('target-project');
      if ((target === undefined) === !input.flag('target-all-projects'))
        throw new CliError('network rbac create needs --target-project or --target-all-projects', 2);
      return create(api, rbac, {
        object_type: kind,
        object_id: await idFor(api, SHARED[kind], input.arg(0)),
        action: input.text('action'),
        target_tenant: target === undefined ? '*' : await idFor(api, project, target),
      });
    },
  },
];

const agentCommands: readonly Command[] = [
  listCommand(agent, {
    columns: {
      ID: 'id',
      'Agent Type': 'agent_type',
      Host: 'host',
      'Availability Zone': 'availability_zone',
      Alive: (row) => (row['alive'] === true ? ':-)' : 'XXX'),
      State: upDown,
      Binary: 'binary',
    },
    filters: {
      host: str('host', 'only those of this host', 'HOST'),
      'agent-type': str('agent_type', 'only this type', 'TYPE'),
    },
  }),
  showCommand(agent, '0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e'),
  changeCommand(agent, 'set', {
    example: '--disable 0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e',
    options: { ...adminState, description: str('description', 'a note about it') },
  }),
  deleteCommand(agent, '0c8d4a2e-5a1c-4f0e-9d0b-3c6f1a2b4d5e'),
];

const useOf = { noun: 'ip availability', service: 'network', path: '/network-ip-availabilities' } as const;

const useCommands: readonly Command[] = [
  listCommand(
    { ...useOf, keys: 'network_ip_availabilities' },
    {
      columns: {
        'Network ID': 'network_id',
        'Network Name': 'network_name',
        'Total IPs': 'total_ips',
        'Used IPs': 'used_ips',
      },
      filters: {
        'ip-version': int('ip_version', '4 or 6', 'VERSION'),
        ...projectOptions(project, 'only networks of this project'),
      },
    },
  ),
  {
    name: 'ip availability show',
    summary: 'Show how many addresses of a network are in use',
    example: 'demo',
    args: ['network'],
    async run({ api, input }) {
      const id = idOf(net, await find(api, net, input.arg(0)));
      return { one: (await api.json('network', 'GET', `${useOf.path}/${id}`))['network_ip_availability'] as Row };
    },
  },
  listCommand(
    { noun: 'network service provider', service: 'network', path: '/service-providers', keys: 'service_providers' },
    { columns: { 'Service Type': 'service_type', Name: 'name', Default: 'default' } },
  ),
];

export const commands: readonly Command[] = [...networks, ...rbacCommands, ...agentCommands, ...useCommands];
