// Extra DHCP options that a port may have. They end in a DHCP server's configuration, so only known names and plain text pass.
import { portDhcpOption } from '@cumulet/common';
import { listOf, object, oneOf, orNull, refuse, text, type Check } from './checks';

/** Printable text: a line break would begin a line of the server's own configuration. */
const optionValue: Check<string> = (value) => {
  const word = text(255)(value);
  if (word.trim() === '') return refuse(`'${word}' is blank`);
  return /^[\x20-\x7e]*$/.test(word) ? word : refuse('the value has control characters or is not ASCII');
};

const shape = object({ opt_name: text(64), opt_value: orNull(optionValue), ip_version: oneOf<4 | 6>([4, 6]) }, [
  'opt_name',
  'opt_value',
]);

const option: Check<ReturnType<typeof shape>> = (value) => {
  const checked = shape(value);
  const version = checked.ip_version ?? 4;
  return portDhcpOption(checked.opt_name, version) !== undefined
    ? checked
    : refuse(`'${checked.opt_name}' is not a DHCPv${version} option that ports may have`);
};

export const extraDhcpOptions = listOf(option, true);
