// cumulet router: with its gateway, subnets, ports and routes.
import { flag, text, type Command, type Options, type Row } from '../command';
import { adminState, clears, drops, list, ref, sets } from '../fields';
import { idFor, type Resource } from '../resource';
import { networkNoun, route } from './networkOptions';
import { fixedAddress } from './port';
import { net, port, router, subnet } from './resources';

const ROUTE = 'destination=CIDR,gateway=ADDRESS';

/** A fact about the gateway; the API wants its network with each. */
const out = (field: string, value: unknown, before: Row): Row => {
  const now = before['external_gateway_info'] as Row | null | undefined;
  return { external_gateway_info: { ...(now ? { network_id: now['network_id'] } : {}), [field]: value } };
};

const gateway: Options = {
  'external-gateway': ref('', net, 'external network it leads to', {
    put: ([id], before) => out('network_id', id, before),
  }),
  'fixed-ip': list('', 'address outside', 'subnet=SUBNET,ip-address=ADDRESS', {
    read: fixedAddress,
    put: (values, before) => out('external_fixed_ips', values, before),
  }),
  'enable-snat': {
    ...flag('servers without floating IP go out with its address'),
    put: (_, before) => out('enable_snat', true, before),
  },
  'disable-snat': { ...flag('they do not'), put: (_, before) => out('enable_snat', false, before) },
};

const settable: Options = {
  ...adminState,
  ...gateway,
  'no-route': clears('routes', 'forget the routes so far'),
  route: list('routes', 'a route', ROUTE, { read: route }),
};

const routers = networkNoun(router, {
  example: 'demo-router',
  list: {
    columns: {
      ID: 'id',
      Name: 'name',
      Status: 'status',
      State: (row) => (row['admin_state_up'] ? 'UP' : 'DOWN'),
      Project: 'project_id',
    },
    long: {
      Routes: 'routes',
      'External gateway info': 'external_gateway_info',
      'Availability zones': 'availability_zones',
      Tags: 'tags',
    },
    filters: adminState,
  },
  create: {
    example: '--external-gateway public demo-router',
    options: {
      ...adminState,
      ...gateway,
      'availability-zone-hint': list('availability_zone_hints', 'zone it shall be in', 'ZONE'),
    },
  },
  set: { example: '--external-gateway public demo-router', options: settable },
  unset: {
    example: '--external-gateway demo-router',
    options: {
      'external-gateway': sets({ external_gateway_info: {} }, 'the gateway'),
      route: drops('routes', 'a route', ROUTE, { read: route }),
    },
  },
});

const connection = (verb: 'add' | 'remove', resource: Resource, example: string): Command => ({
  name: `router ${verb} ${resource.noun}`,
  summary: verb === 'add' ? `Connect a ${resource.noun} to a router` : `Disconnect a ${resource.noun} from a router`,
  example: `demo-router ${example}`,
  args: ['router', resource.noun],
  async run({ api, input }) {
    const [id, other] = await Promise.all([idFor(api, router, input.arg(0)), idFor(api, resource, input.arg(1))]);
    await api.json('network', 'PUT', `/routers/${id}/${verb}_router_interface`, { [`${resource.noun}_id`]: other });
    return undefined;
  },
});

const extraRoutes = (verb: 'add' | 'remove'): Command => ({
  name: `router ${verb} route`,
  summary: verb === 'add' ? 'Add routes to a router' : 'Take routes from a router',
  example: '--route destination=10.9.0.0/16,gateway=10.0.0.9 demo-router',
  args: ['router'],
  options: { route: text('a route; may be repeated', ROUTE, { multiple: true, required: true }) },
  async run({ api, input }) {
    const routes = input.all('route').map(route);
    const id = await idFor(api, router, input.arg(0));
    const changed = await api.json('network', 'PUT', `/routers/${id}/${verb}_extraroutes`, { router: { routes } });
    return { one: changed['router'] as Row };
  },
});

export const commands: readonly Command[] = [
  ...routers,
  ...(['add', 'remove'] as const).flatMap((verb) => [
    connection(verb, subnet, 'demo-subnet'),
    connection(verb, port, 'eth0'),
    extraRoutes(verb),
  ]),
];
