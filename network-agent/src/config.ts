// What an administrator can set about a host's networking.
import { Type, type Static } from '@sinclair/typebox';
import { Ipv4Address } from '@cumulet/common';

const INTERFACE = '^[A-Za-z0-9_.-]{1,15}$';

export const FloatingConfig = Type.Union(
  [
    Type.Object(
      {
        interface: Type.String({ pattern: INTERFACE, description: "This machine's interface on the LAN." }),
        range: Type.String({ description: 'First and last address: 192.168.1.200-192.168.1.220.' }),
      },
      { additionalProperties: false },
    ),
    Type.Null(),
  ],
  { default: null, description: 'Addresses of a LAN for floating IPs.' },
);

export const NetworkAgentConfig = Type.Object(
  {
    /** Files of the DHCP servers, rebuilt from the controller's state whenever they are missing. */
    stateDir: Type.String({ default: '/var/lib/cumulet/network' }),
    /** Physical networks by name: the bridge that the administrator made for each. */
    physical_networks: Type.Record(Type.String(), Type.String({ pattern: INTERFACE }), { default: {} }),
    /** An external bridge that the agent makes itself, with an address and a masquerade rule; null for none. */
    external: Type.Union(
      [
        Type.Object({
          bridge: Type.String({ pattern: INTERFACE }),
          /** The host's address on it with the prefix length. */
          address: Type.String(),
          /** Addresses of a LAN that floating IPs may have besides: the host answers for them on this interface. */
          floating: Type.Optional(FloatingConfig),
        }),
        Type.Null(),
      ],
      { default: null },
    ),
    /** This host's address for tenant networks that span hosts, itself or by its interface; null: they end at this host. */
    underlay: Type.Union(
      [
        Type.Object({ address: Ipv4Address }, { additionalProperties: false }),
        Type.Object({ interface: Type.String({ pattern: INTERFACE }) }, { additionalProperties: false }),
        Type.Null(),
      ],
      { default: null },
    ),
    /** Name servers for guests' other questions; empty: those of the host's /etc/resolv.conf. */
    dns_servers: Type.Array(Type.String(), { default: [] }),
    /** First word of our network namespaces' names. */
    namespace_prefix: Type.String({ pattern: '^[a-z][a-z0-9]{0,15}$', default: 'cml' }),
    /** Whether routers that another host could take lose their outer addresses while no controller hears this host. */
    when_cut_off: Type.Union([Type.Literal('withdraw'), Type.Literal('keep')], { default: 'withdraw' }),
    poll_seconds: Type.Number({ default: 5, exclusiveMinimum: 0 }),
    /** Links, rules and DHCP servers that somebody changed by hand are put back after this time. */
    look_seconds: Type.Number({ default: 20, exclusiveMinimum: 0 }),
    /** The insides of namespaces too. */
    compare_seconds: Type.Number({ default: 60, exclusiveMinimum: 0 }),
  },
  { additionalProperties: false },
);
export type NetworkAgentConfig = Static<typeof NetworkAgentConfig>;
