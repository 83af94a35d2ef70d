// Names for a network's DNS: host names of ports, domains of networks.
import { refuse, text, type Check } from './checks';

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const checkLabels = (name: string, value: string): void => {
  if (name.split('.').some((label) => !LABEL.test(label)))
    refuse(`'${value}' not a valid PQDN or FQDN. Reason: it has characters or labels that DNS does not allow`);
};

/** A host name or a full name with a dot at its end, in lower case; '' for none. */
export const hostName: Check<string> = (value) => {
  const name = text(255)(value).toLowerCase();
  if (name !== '') checkLabels(name.replace(/\.$/, ''), name);
  return name;
};

/** A domain that ends with a dot; '' for none. */
export const domainName: Check<string> = (value) => {
  const name = text(255)(value).toLowerCase();
  if (name === '') return name;
  if (!name.endsWith('.')) return refuse(`'${name}' is not a FQDN`);
  checkLabels(name.slice(0, -1), name);
  return name;
};
