// IP protocols that security group rules may name (IANA names), and what can be said of their ports.

/** Numbers by name. */
export const protocolNumbers: Readonly<Record<string, number>> = {
  ah: 51,
  dccp: 33,
  egp: 8,
  esp: 50,
  gre: 47,
  hopopt: 0,
  icmp: 1,
  igmp: 2,
  ip: 0,
  ipip: 4,
  'ipv6-encap': 41,
  'ipv6-frag': 44,
  'ipv6-icmp': 58,
  icmpv6: 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  'ipv6-route': 43,
  ospf: 89,
  pgm: 113,
  rsvp: 46,
  sctp: 132,
  tcp: 6,
  udp: 17,
  udplite: 136,
  vrrp: 112,
};

/** Names and numbers of protocols with ports. */
export const portProtocols: ReadonlySet<string> = new Set([
  'dccp',
  'sctp',
  'tcp',
  'udp',
  'udplite',
  '33',
  '132',
  '6',
  '17',
  '136',
]);
/** Protocols whose "ports" are type and code. */
export const icmpProtocols: ReadonlySet<string> = new Set(['icmp', '1', 'ipv6-icmp', 'icmpv6', '58']);
/** Protocols that exist only in IPv6. */
export const ipv6Protocols: ReadonlySet<string> = new Set([
  'ipv6-icmp',
  'icmpv6',
  '58',
  'ipv6-frag',
  'ipv6-nonxt',
  'ipv6-opts',
  'ipv6-route',
]);
