// Keeps a network's DHCP and metadata server local: every host has one with the same addresses, so none of its frames may
// leave for another host, nor come from there.
import { CumuletError, type NetworkState } from '@cumulet/common';
import { familyOf, isMac, linkLocalOf, parsePrefix, prefixText } from '../addresses';
import { METADATA_ADDRESS, METADATA_ADDRESS6 } from '../dhcp';
import { targetAmong, type FrameRules } from './antispoof';

/** The rules of a network's link to other hosts, the same in both directions. @throws CumuletError when an address makes no rule */
export function localServerRules({ dhcp }: NetworkState): FrameRules {
  if (dhcp === null) return { in: [], out: [] };
  if (!isMac(dhcp.mac)) throw new CumuletError('bad_mac', `${JSON.stringify(dhcp.mac)} is not a MAC address`);
  const own = dhcp.addresses.map((entry) => entry.address);
  const v4 = [...own.filter((address) => familyOf(address) === 4), METADATA_ADDRESS];
  const v6 = [...own.filter((address) => familyOf(address) === 6), METADATA_ADDRESS6, linkLocalOf(dhcp.mac)];
  const rules = [
    `ether saddr ${dhcp.mac} drop`,
    `ether daddr ${dhcp.mac} drop`,
    `ether type arp arp daddr ip { ${v4.map((address) => prefixText(parsePrefix(address))).join(', ')} } drop`,
    `icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ${targetAmong(v6.map(parsePrefix))} drop`,
    // Questions of DHCP clients, which are broadcasts.
    'ether type ip udp dport 67 drop',
    'ether type ip6 udp dport 547 drop',
  ];
  return { in: rules, out: rules };
}
