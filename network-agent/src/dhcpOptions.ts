// DHCP options that a port may carry: an allow-list, because the text ends in a file of the DHCP server (CVE-2021-40085).
import { CumuletError, portDhcpOption } from '@cumulet/common';

/** Not numbers on the wire but fields of the packet: dnsmasq knows them by name only. */
const BY_NAME = new Set(['server-ip-address']);

/**
 * The part of an options line after the tag: "option:mtu,1400".
 * @throws CumuletError bad_dhcp_option for an option that is not in the list or a value that could not be one line
 */
export function extraOption(option: {
  readonly name: string;
  readonly value: string;
  readonly ip_version: number;
}): string {
  const { name, value, ip_version: version } = option;
  const number = portDhcpOption(name, version === 6 ? 6 : 4);
  if (number === undefined) {
    throw new CumuletError(
      'bad_dhcp_option',
      `DHCP option ${JSON.stringify(name)} is not among those that a port may set`,
    );
  }
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(value) || value.length > 255) {
    throw new CumuletError(
      'bad_dhcp_option',
      `the value of DHCP option ${name} has a control character or more than 255 characters`,
    );
  }
  const family = version === 6 ? 'option6' : 'option';
  return BY_NAME.has(name)
    ? `${family}:${name},${value}`
    : `${family === 'option6' ? `option6:${number}` : `${number}`},${value}`;
}
