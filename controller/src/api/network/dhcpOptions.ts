// Extra DHCP options that a port may have. They end in a DHCP server's configuration, so only known names and plain text pass.
import { listOf, object, oneOf, orNull, refuse, text, type Check } from './checks';

/** Names that dnsmasq knows and that no guest of the port can harm others with. */
const NAMES: ReadonlySet<string> = new Set([
  'bootfile-name',
  'bootfile-url',
  'broadcast',
  'classless-static-route',
  'client-arch',
  'dns-server',
  'domain-name',
  'domain-search',
  'hostname',
  'interface-mtu',
  'log-server',
  'lease-time',
  'mtu',
  'netbios-nodetype',
  'netbios-ns',
  'nis-domain',
  'nis-server',
  'ntp-server',
  'path-prefix',
  'root-path',
  'router',
  'server-ip-address',
  'sip-server',
  'smtp-server',
  'static-route',
  'swap-server',
  'T1',
  'T2',
  'tftp-server',
  'tftp-server-address',
  'time-offset',
  'time-server',
  'vendor-class',
  'www-server',
]);

const optionName: Check<string> = (value) => {
  const name = text(64)(value);
  const isNumber = /^\d{1,3}$/.test(name) && Number(name) >= 1 && Number(name) <= 254;
  return NAMES.has(name) || isNumber ? name : refuse(`'${name}' is not a DHCP option that ports may have`);
};

/** Printable text: a line break would begin a line of the server's own configuration. */
const optionValue: Check<string> = (value) => {
  const word = text(255)(value);
  if (word.trim() === '') return refuse(`'${word}' is blank`);
  return /^[\x20-\x7e]*$/.test(word) ? word : refuse('the value has control characters or is not ASCII');
};

export const extraDhcpOptions = listOf(
  object({ opt_name: optionName, opt_value: orNull(optionValue), ip_version: oneOf([4, 6]) }, [
    'opt_name',
    'opt_value',
  ]),
  true,
);
