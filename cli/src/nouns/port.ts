// cumulet port.
import type { Command, Context, Options, Row } from '../command';
import { adminState, clears, drops, either, list, pairs, record, ref, refs, sets, str, unmarks } from '../fields';
import { idFor } from '../resource';
import { fixedIp, networkNoun } from './networkOptions';
import { net, port, router, securityGroup, server, subnet } from './resources';

/** `subnet=NAME,ip-address=ADDRESS` with the id of the subnet. */
export async function fixedAddress(given: string, { api }: Context): Promise<Row> {
  const { subnet_id: name, ...rest } = fixedIp(given);
  return name === undefined ? rest : { subnet_id: await idFor(api, subnet, name), ...rest };
}

const FIXED = 'subnet=SUBNET,ip-address=ADDRESS';
const allowed = record({ 'ip-address': 'ip_address', 'mac-address': 'mac_address' });
const dhcp = record({ name: 'opt_name', value: 'opt_value', 'ip-version': 'ip_version' });

const settable: Options = {
  ...adminState,
  'no-fixed-ip': clears('fixed_ips', 'forget the addresses so far'),
  'fixed-ip': list('fixed_ips', 'an address, or a subnet to take one from', FIXED, { read: fixedAddress }),
  'no-security-group': clears('security_groups', 'no security group'),
  'security-group': refs('security_groups', securityGroup, 'a security group of it'),
  ...either('port_security_enabled', 'enable-port-security', 'disable-port-security', 'filter its traffic'),
  'no-allowed-address': clears('allowed_address_pairs', 'forget the other addresses so far'),
  'allowed-address': list(
    'allowed_address_pairs',
    'another address it may use',
    'ip-address=ADDRESS[,mac-address=MAC]',
    {
      read: allowed,
    },
  ),
  'extra-dhcp-option': list('extra_dhcp_opts', 'an option of DHCP', 'name=NAME,value=VALUE', { read: dhcp }),
  'mac-address': str('mac_address', 'its hardware address', 'MAC'),
  device: str('device_id', 'id of the device it belongs to', 'ID'),
  'device-owner': str('device_owner', 'kind of the device', 'OWNER'),
  host: str('binding:host_id', 'host it is on (administrators)', 'HOST'),
  'vnic-type': str('binding:vnic_type', 'kind of the card (normal)', 'TYPE'),
  'no-binding-profile': sets({ 'binding:profile': {} }, 'forget the profile so far'),
  'binding-profile': pairs('binding:profile', 'a fact for its host'),
  'dns-name': str('dns_name', 'its name', 'NAME'),
  'dns-domain': str('dns_domain', 'domain of its name', 'DOMAIN'),
};

export const commands: readonly Command[] = networkNoun(port, {
  example: 'eth0',
  list: {
    columns: {
      ID: 'id',
      Name: 'name',
      'MAC Address': 'mac_address',
      'Fixed IP Addresses': 'fixed_ips',
      Status: 'status',
    },
    long: {
      'Security Groups': 'security_groups',
      'Device ID': 'device_id',
      'Device Owner': 'device_owner',
      Tags: 'tags',
    },
    filters: {
      server: ref('device_id', server, 'only those of this server'),
      router: ref('device_id', router, 'only those of this router'),
      'device-id': str('device_id', 'only those of this device', 'ID'),
      'device-owner': str('device_owner', 'only those of this kind of device', 'OWNER'),
      network: ref('network_id', net, 'only those of this network'),
      'mac-address': str('mac_address', 'only this hardware address', 'MAC'),
      'security-group': refs('security_groups', securityGroup, 'only those of this group'),
      'fixed-ip': list('fixed_ips', 'only those with this address or of this subnet', FIXED, {
        read: fixedAddress,
        put: (values) => ({
          fixed_ips: (values as Row[]).flatMap((one) =>
            Object.entries(one).map(([key, value]) => `${key}=${String(value)}`),
          ),
        }),
      }),
      host: str('binding:host_id', 'only those on this host', 'HOST'),
    },
  },
  create: {
    example: '--network demo --fixed-ip ip-address=10.0.0.50 eth0',
    options: { network: ref('network_id', net, 'network it belongs to', { required: true }), ...settable },
  },
  set: { example: '--security-group web eth0', options: settable },
  unset: {
    example: '--security-group web eth0',
    options: {
      'fixed-ip': drops('fixed_ips', 'an address', FIXED, { read: fixedAddress }),
      'security-group': drops('security_groups', 'a security group', 'SECURITY_GROUP', {
        read: (name, { api }) => idFor(api, securityGroup, name),
      }),
      'allowed-address': drops('allowed_address_pairs', 'another address', 'ip-address=ADDRESS', { read: allowed }),
      'binding-profile': {
        ...unmarks('binding:profile', 'a fact', 'KEY'),
        put: (keys, before) => ({
          'binding:profile': Object.fromEntries(
            Object.entries((before['binding:profile'] ?? {}) as Row).filter(([key]) => !keys.includes(key)),
          ),
        }),
      },
      host: sets({ 'binding:host_id': null }, 'the host'),
    },
  },
});
