// cumulet floating ip.
import type { Command, Options } from '../command';
import { ref, sets, str } from '../fields';
import { networkNoun } from './networkOptions';
import { floatingIp, net, port, router, subnet } from './resources';

const settable: Options = {
  port: ref('port_id', port, 'port it leads to'),
  'fixed-ip-address': str('fixed_ip_address', 'address of the port it leads to', 'ADDRESS'),
};

export const commands: readonly Command[] = networkNoun(floatingIp, {
  example: '172.24.4.10',
  list: {
    columns: {
      ID: 'id',
      'Floating IP Address': 'floating_ip_address',
      'Fixed IP Address': 'fixed_ip_address',
      Port: 'port_id',
      'Floating Network': 'floating_network_id',
      Project: 'project_id',
    },
    long: { Router: 'router_id', Status: 'status', Description: 'description', Tags: 'tags' },
    filters: {
      network: ref('floating_network_id', net, 'only those of this external network'),
      port: ref('port_id', port, 'only those that lead to this port'),
      router: ref('router_id', router, 'only those behind this router'),
      'fixed-ip-address': str('fixed_ip_address', 'only those that lead to this address', 'ADDRESS'),
      'floating-ip-address': str('floating_ip_address', 'only this address', 'ADDRESS'),
      status: str('status', 'only those in this status', 'STATUS'),
    },
  },
  create: {
    example: 'public',
    args: { network: ref('floating_network_id', net, '') },
    options: {
      subnet: ref('subnet_id', subnet, 'subnet outside it is taken from'),
      'floating-ip-address': str('floating_ip_address', 'the address itself', 'ADDRESS'),
      ...settable,
      'dns-name': str('dns_name', 'its name', 'NAME'),
      'dns-domain': str('dns_domain', 'domain of its name', 'DOMAIN'),
    },
  },
  set: { example: '--port eth0 172.24.4.10', options: settable },
  unset: { example: '--port 172.24.4.10', options: { port: sets({ port_id: null }, 'the port') } },
});
