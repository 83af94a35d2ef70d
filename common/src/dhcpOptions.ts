// DHCP options that a port may carry: the one allow-list of the API, which refuses others, and of the agent, which writes them.

/** Names of dnsmasq and their numbers, by IP version (RFC 2132, RFC 8415 and their followers). */
const numbers: Readonly<Record<4 | 6, Readonly<Record<string, number>>>> = {
  4: {
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
  },
  6: {
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
  },
};

/** The number of an option that a port may carry, given by name or number; undefined for any other. */
export function portDhcpOption(name: string, version: 4 | 6): number | undefined {
  const known = numbers[version];
  if (/^\d{1,3}$/.test(name)) return Object.values(known).find((number) => number === Number(name));
  return Object.hasOwn(known, name) ? known[name] : undefined;
}
