// The desired state without what another host may serve by now: routers' addresses on networks that reach beyond the cloud's hosts. Pure.
import { BlockList } from 'node:net';
import type { RouterState } from '@cumulet/common';
import { familyOf, parseInterfaceAddress } from './addresses';
import type { Desired } from './desired';

const FAMILY = { 4: 'ipv4', 6: 'ipv6' } as const;

/** Whether an address is on one of the router's links. */
function isNear(router: Pick<RouterState, 'interfaces'>): (address: string) => boolean {
  const near = new BlockList();
  for (const text of router.interfaces.flatMap(({ addresses }) => addresses)) {
    const { address, length, family } = parseInterfaceAddress(text);
    near.addSubnet(address, length, FAMILY[family]);
  }
  return (address) => near.check(address, FAMILY[familyOf(address)]);
}

/** No gateway, so neither floating addresses nor NAT, and no interface on a physical network. Tenants' own networks stay joined. */
function inner(router: RouterState, { networks }: Desired): RouterState {
  const interfaces = router.interfaces.filter((one) => networks.get(one.network_id)?.attachment.type !== 'physical');
  const near = isNear({ interfaces });
  const routes = router.routes.filter(({ nexthop }) => near(nexthop));
  return { ...router, interfaces, routes, gateway: null, floating_ips: [] };
}

/** What is to be on the host while these routers are withdrawn. */
export function withdraw(desired: Desired, routerIds: ReadonlySet<string>): Desired {
  if (routerIds.size === 0) return desired;
  const routers = [...desired.routers].map(
    ([id, router]) => [id, routerIds.has(id) ? inner(router, desired) : router] as const,
  );
  return { ...desired, routers: new Map(routers) };
}
