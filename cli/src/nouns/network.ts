// cumulet network, subnet, port, router and floating ip.
import { flag, text, type Command } from '../command';
import { CliError } from '../errors';
import { create, deleteCommand, find, given, idFor, listCommand, showCommand } from '../resource';
import { floatingIp, net, port, router, securityGroup, server, subnet } from './resources';

const networkCommands: readonly Command[] = [
  listCommand(net, [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Subnets', 'subnets'],
  ]),
  showCommand(net, 'demo'),
  deleteCommand(net, 'demo'),
  {
    name: 'network create',
    summary: 'Create a network',
    example: 'cumulet network create demo',
    args: ['name'],
    options: {
      description: text('what it is for', 'TEXT'),
      share: flag('every project may use it (administrators)'),
      external: flag('routers may lead out through it (administrators)'),
      'provider-network-type': text('how it is carried', 'TYPE'),
      'provider-physical-network': text('what carries it', 'NETWORK'),
    },
    run: ({ api, input }) =>
      create(
        api,
        net,
        given({
          name: input.arg(0),
          description: input.text('description'),
          shared: input.flag('share') || undefined,
          'router:external': input.flag('external') || undefined,
          'provider:network_type': input.text('provider-network-type'),
          'provider:physical_network': input.text('provider-physical-network'),
        }),
      ),
  },
];

const subnetCommands: readonly Command[] = [
  listCommand(subnet, [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Network', 'network_id'],
    ['Subnet', 'cidr'],
  ]),
  showCommand(subnet, 'demo-subnet'),
  deleteCommand(subnet, 'demo-subnet'),
  {
    name: 'subnet create',
    summary: 'Create a subnet of a network',
    example: 'cumulet subnet create --network demo --subnet-range 10.0.0.0/24 demo-subnet',
    args: ['name'],
    options: {
      network: text('network it belongs to', 'NETWORK', { required: true }),
      'subnet-range': text('its addresses', 'CIDR', { required: true }),
      gateway: text('address of the gateway, or none', 'ADDRESS'),
      'dns-nameserver': text('a name server; may be repeated', 'ADDRESS', { multiple: true }),
      'no-dhcp': flag('hand out no addresses'),
    },
    async run({ api, input }) {
      const cidr = input.text('subnet-range') ?? '';
      const gateway = input.text('gateway');
      const names = input.all('dns-nameserver');
      return create(
        api,
        subnet,
        given({
          name: input.arg(0),
          network_id: await idFor(api, net, input.text('network') ?? ''),
          cidr,
          ip_version: cidr.includes(':') ? 6 : 4,
          gateway_ip: gateway === 'none' ? null : gateway,
          dns_nameservers: names.length > 0 ? names : undefined,
          enable_dhcp: input.flag('no-dhcp') ? false : undefined,
        }),
      );
    },
  },
];

const portCommands: readonly Command[] = [
  listCommand(
    port,
    [
      ['ID', 'id'],
      ['Name', 'name'],
      ['MAC Address', 'mac_address'],
      ['Fixed IP Addresses', 'fixed_ips'],
      ['Status', 'status'],
    ],
    {
      options: {
        server: text('only those of a server', 'SERVER'),
        network: text('only those of a network', 'NETWORK'),
      },
      async query({ api, input }) {
        const [own, on] = [input.text('server'), input.text('network')];
        return {
          device_id: own === undefined ? undefined : await idFor(api, server, own),
          network_id: on === undefined ? undefined : await idFor(api, net, on),
        };
      },
    },
  ),
  showCommand(port, 'eth0'),
  deleteCommand(port, 'eth0'),
  {
    name: 'port create',
    summary: 'Create a port of a network',
    example: 'cumulet port create --network demo --fixed-ip 10.0.0.50 eth0',
    args: ['name'],
    options: {
      network: text('network it belongs to', 'NETWORK', { required: true }),
      'fixed-ip': text('address it shall have; may be repeated', 'ADDRESS', { multiple: true }),
      'security-group': text('a security group of it; may be repeated', 'GROUP', { multiple: true }),
    },
    async run({ api, input }) {
      const fixed = input.all('fixed-ip').map((ip_address) => ({ ip_address }));
      const groups = await Promise.all(input.all('security-group').map((name) => idFor(api, securityGroup, name)));
      return create(
        api,
        port,
        given({
          name: input.arg(0),
          network_id: await idFor(api, net, input.text('network') ?? ''),
          fixed_ips: fixed.length > 0 ? fixed : undefined,
          security_groups: groups.length > 0 ? groups : undefined,
        }),
      );
    },
  },
];

const routerSubnet = (verb: 'add' | 'remove'): Command => ({
  name: `router ${verb} subnet`,
  summary: verb === 'add' ? 'Connect a subnet to a router' : 'Disconnect a subnet from a router',
  example: `cumulet router ${verb} subnet demo-router demo-subnet`,
  args: ['router', 'subnet'],
  async run({ api, input }) {
    const id = await idFor(api, router, input.arg(0));
    const subnet_id = await idFor(api, subnet, input.arg(1));
    await api.send('network', 'PUT', `/routers/${id}/${verb}_router_interface`, { subnet_id });
    return undefined;
  },
});

const routerCommands: readonly Command[] = [
  listCommand(router, [
    ['ID', 'id'],
    ['Name', 'name'],
    ['Status', 'status'],
  ]),
  showCommand(router, 'demo-router'),
  deleteCommand(router, 'demo-router'),
  {
    name: 'router create',
    summary: 'Create a router',
    example: 'cumulet router create --external-gateway public demo-router',
    args: ['name'],
    options: { 'external-gateway': text('external network it leads to', 'NETWORK') },
    async run({ api, input }) {
      const out = input.text('external-gateway');
      const gateway = out === undefined ? undefined : { network_id: await idFor(api, net, out) };
      return create(api, router, given({ name: input.arg(0), external_gateway_info: gateway }));
    },
  },
  {
    name: 'router set',
    summary: 'Change a router',
    example: 'cumulet router set --external-gateway public demo-router',
    args: ['router'],
    options: {
      name: text('its new name', 'NAME'),
      'external-gateway': text('external network it leads to, or none', 'NETWORK'),
    },
    async run({ api, input }) {
      const out = input.text('external-gateway');
      const gateway = out === undefined || out === 'none' ? {} : { network_id: await idFor(api, net, out) };
      const fields = given({
        name: input.text('name'),
        external_gateway_info: out === undefined ? undefined : gateway,
      });
      if (Object.keys(fields).length === 0) throw new CliError('router set needs --name or --external-gateway', 2);
      const id = await idFor(api, router, input.arg(0));
      await api.send('network', 'PUT', `/routers/${id}`, { router: fields });
      return undefined;
    },
  },
  routerSubnet('add'),
  routerSubnet('remove'),
];

const floatingIpCommands: readonly Command[] = [
  listCommand(floatingIp, [
    ['ID', 'id'],
    ['Floating IP Address', 'floating_ip_address'],
    ['Fixed IP Address', 'fixed_ip_address'],
    ['Port', 'port_id'],
  ]),
  deleteCommand(floatingIp, '172.24.4.10'),
  {
    name: 'floating ip create',
    summary: 'Take an address of an external network',
    example: 'cumulet floating ip create public',
    args: ['network'],
    options: { port: text('port it shall lead to', 'PORT') },
    async run({ api, input }) {
      const wired = input.text('port');
      const { id } = await find(api, net, input.arg(0));
      const port_id = wired === undefined ? undefined : await idFor(api, port, wired);
      return create(api, floatingIp, given({ floating_network_id: id, port_id }));
    },
  },
];

export const networkNouns: readonly Command[] = [
  ...networkCommands,
  ...subnetCommands,
  ...portCommands,
  ...routerCommands,
  ...floatingIpCommands,
];
