// What a fresh lab has to boot servers with: image, flavor, a network behind a router, a way in from outside, a key.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { makeContent, type CloudClient } from '../support/realCloud';

type Made = Record<string, string>;

/** `net` is the first three numbers of the physical network's addresses; `key` the file of the private key that opens servers. */
export async function ensureContent(cloud: CloudClient, image: string, net: string, key: string): Promise<void> {
  const { keypairs } = await cloud.call<{ keypairs: unknown[] }>('GET', '/compute/v2.1/os-keypairs');
  // Made last, so that all the rest is there.
  if (keypairs.length > 0) return;
  const make = async (kind: string, body: object): Promise<Made> =>
    (await cloud.call<Record<string, Made>>('POST', `/network/v2.0/${kind.replaceAll('_', '-')}s`, { [kind]: body }))[
      kind
    ] ?? {};
  const { network } = await makeContent(cloud, image, 'demo');
  const outside = await make('network', {
    name: 'public',
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'public',
  });
  await make('subnet', {
    network_id: outside['id'],
    ip_version: 4,
    cidr: `${net}.0/25`,
    gateway_ip: `${net}.1`,
    enable_dhcp: false,
  });
  const router = await make('router', { name: 'demo', external_gateway_info: { network_id: outside['id'] } });
  const { subnets } = await cloud.call<{ subnets: Made[] }>('GET', `/network/v2.0/subnets?network_id=${network}`);
  await cloud.call('PUT', `/network/v2.0/routers/${router['id']}/add_router_interface`, {
    subnet_id: subnets[0]?.['id'],
  });
  const groups = await cloud.call<{ security_groups: Made[] }>('GET', '/network/v2.0/security-groups?name=default');
  for (const { id: security_group_id } of groups.security_groups)
    for (const protocol of ['icmp', 'tcp'])
      await make('security_group_rule', { security_group_id, direction: 'ingress', protocol });
  if (!existsSync(key)) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'lab', '-f', key]);
  const public_key = readFileSync(`${key}.pub`, 'utf8').trim();
  await cloud.call('POST', '/compute/v2.1/os-keypairs', { keypair: { name: 'lab', public_key } });
}
