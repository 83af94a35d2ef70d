// Names of ports in a network's DNS.

/** The domain that dns_assignment shows where a network has none of its own. */
const DEFAULT_DNS_DOMAIN = 'openstacklocal.';

/** A port's host name: its own, or one made from its first address ("host-10-0-0-5"). */
export function hostnameOf(dnsName: string, address: string): string {
  return dnsName === '' ? `host-${address.replaceAll(/[.:]+/g, '-')}` : dnsName.replace(/\.$/, '');
}

/** A port's full name: a name that ends with a dot is full already. */
export function fullNameOf(dnsName: string, address: string, domain: string): string {
  if (dnsName.endsWith('.')) return dnsName;
  return `${hostnameOf(dnsName, address)}.${domain || DEFAULT_DNS_DOMAIN}`;
}
