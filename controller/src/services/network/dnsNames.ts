// Names of ports in a network's DNS.

/** The domain that dns_assignment shows where a network has none of its own. */
export const DEFAULT_DNS_DOMAIN = 'openstacklocal.';

/** A port's host name: its own, or one made from its first address ("host-10-0-0-5"). */
export function hostnameOf(dnsName: string, address: string): string {
  return dnsName === '' ? `host-${address.replaceAll(/[.:]+/g, '-')}` : dnsName;
}
