// From the configured name to the addresses of this machine that it stands for.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ConfigError, messageOf } from '@cumulet/common';
import { isLoopback, machineNames } from '../api/origin';

const refuse = (words: string): ConfigError =>
  new ConfigError(`remote_api.address: ${words}`, { key: 'remote_api.address' });

/** Those at which other machines may reach us, for advice. */
function usable(own: readonly string[]): string {
  const found = own.filter((one) => isIP(one) !== 0 && !isLoopback(one) && !one.startsWith('fe80:'));
  return found.length > 0 ? `this machine has ${found.join(', ')}` : 'this machine has no address that others reach';
}

/**
 * The addresses to listen on. @param own names and addresses of this machine
 * @throws ConfigError in words: no such name, none of ours, or all addresses at once
 */
export async function resolveAddress(address: string, own: readonly string[] = machineNames()): Promise<string[]> {
  if (['0.0.0.0', '::', '*'].includes(address))
    throw refuse(`${address} is every network of this machine, those of guests included: name one; ${usable(own)}`);
  let found: string[];
  try {
    found = isIP(address) === 0 ? (await lookup(address, { all: true })).map((one) => one.address) : [address];
  } catch (error) {
    throw refuse(`the name ${address} is not known: ${messageOf(error)}; ${usable(own)}`);
  }
  const ours = found.filter((one) => isLoopback(one) || own.includes(one));
  if (ours.length === 0)
    throw refuse(`${address} is not an address of this machine (${found.join(', ')}); ${usable(own)}`);
  // Debian's /etc/hosts gives the host's own name an address that nobody else reaches.
  if (isIP(address) === 0 && address !== 'localhost' && ours.every(isLoopback))
    throw refuse(
      `the name ${address} leads to ${ours.join(', ')} here (see /etc/hosts), where no other machine comes; ${usable(own)}`,
    );
  // Loopback has its own listener, on the same port.
  const outside = ours.filter((one) => !isLoopback(one));
  return [...new Set(outside.length > 0 ? outside : ours)];
}
