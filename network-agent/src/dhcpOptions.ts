// DHCP options that a port may carry: an allow-list, because the text ends in a file of the DHCP server (CVE-2021-40085).
import { CumuletError } from '@cumulet/common';

/** Names of dnsmasq and their numbers for IPv4 (RFC 2132 and its followers). */
const IPV4: Readonly<Record<string, number>> = {
  netmask: 1,
  'time-offset': 2,
  router: 3,
  'dns-server': 6,
  'log-server': 7,
  'lpr-server': 9,
  'boot-file-size': 13,
  'domain-name': 15,
  'swap-server': 16,
  'root-path': 17,
  'extension-path': 18,
  mtu: 26,
  broadcast: 28,
  'static-route': 33,
  'nis-domain': 40,
  'nis-server': 41,
  'ntp-server': 42,
  'netbios-ns': 44,
  'netbios-nodetype': 46,
  'netbios-scope': 47,
  'lease-time': 51,
  'tftp-server': 66,
  'tftp-server-name': 66,
  'bootfile-name': 67,
  'user-class': 77,
  'domain-search': 119,
  'sip-server': 120,
  'classless-static-route': 121,
  'tftp-server-address': 150,
  'server-ip-address': 255,
};
const IPV6: Readonly<Record<string, number>> = {
  'sip-server-domain': 21,
  'sip-server': 22,
  'dns-server': 23,
  'domain-search': 24,
  'nis-server': 27,
  'nis-domain': 29,
  'sntp-server': 31,
  'information-refresh-time': 32,
  'ntp-server': 56,
  'bootfile-url': 59,
};
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
  const table = version === 6 ? IPV6 : IPV4;
  const named = Object.hasOwn(table, name) ? table[name] : undefined;
  const number = /^\d{1,3}$/.test(name) ? Object.values(table).find((known) => known === Number(name)) : named;
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
