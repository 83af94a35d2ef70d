// The namespaces of this host: DHCP servers with metadata, and routers. One that fails is a fault of its own.
import { messageOf, type Exec, type Logger, type NetworkState, type RouterState } from '@cumulet/common';
import type { Depth } from './dataplane';
import type { Desired } from './desired';
import { dhcpFiles, METADATA_ADDRESS, METADATA_ADDRESS6 } from './dhcp';
import type { DhcpServers } from './dnsmasq';
import type { ObservedLinks } from './linkPlan';
import type { DesiredLinks, DesiredVeth } from './links';
import type { Listeners } from './listeners';
import { parseNamespace, routerNamespace } from './names';
import type { NamespaceState } from './namespacePlan';
import { advertFiles } from './routerAdvert';
import { applyNamespace, createRouters, DHCP_SYSCTLS } from './routers';

export interface Namespaces {
  /**
   * Makes them so. @param faults ports whose links are missing; gets the networks and routers that failed
   * @param depth what is looked at again instead of trusting what was made last
   */
  apply(
    desired: Desired,
    links: DesiredLinks,
    observed: ObservedLinks,
    faults: Map<string, string>,
    depth: Depth,
  ): Promise<void>;
  /** Removes these with what runs in them. */
  remove(names: readonly string[], faults: Map<string, string>): Promise<void>;
}

export interface NamespaceParts {
  readonly exec: Exec;
  readonly prefix: string;
  readonly dhcp: DhcpServers;
  readonly listeners: Listeners;
  readonly log: Logger;
}

interface Job {
  /** Network or router. */
  readonly id: string;
  readonly run: () => Promise<void>;
}

/** The DHCP server's end of its veth. */
function serverState(
  network: NetworkState,
  veth: DesiredVeth,
  dhcp: NonNullable<NetworkState['dhcp']>,
): NamespaceState {
  const lengths = new Map(network.subnets.map((subnet) => [subnet.id, subnet.cidr.split('/')[1] ?? '']));
  const own = dhcp.addresses.map((entry) => `${entry.address}/${lengths.get(entry.subnet_id) ?? ''}`);
  const addresses = [...own, `${METADATA_ADDRESS}/32`, `${METADATA_ADDRESS6}/64`];
  return { links: [{ name: veth.name, alias: veth.portId, mac: dhcp.mac, mtu: veth.mtu, addresses }], routes: [] };
}

export function createNamespaces({ exec, prefix, dhcp, listeners, log }: NamespaceParts): Namespaces {
  const routers = createRouters(exec, prefix, log);
  /** What each network's server was brought to, as text. */
  const served = new Map<string, { readonly state: string; readonly files: string }>();
  /** The files of each router's announcer, as text. */
  const announced = new Map<string, string>();

  const ensureServer = async (
    network: NetworkState,
    veth: DesiredVeth,
    fresh: boolean,
    depth: Depth,
  ): Promise<void> => {
    if (!network.dhcp) return;
    const { id } = network;
    const state = serverState(network, veth, network.dhcp);
    const files = dhcpFiles(network, veth.portId, dhcp.directory(id));
    const wanted = { state: JSON.stringify(state), files: JSON.stringify(files) };
    const before = fresh || depth === 'all' ? undefined : served.get(id);
    const died = depth === 'surface' && dhcp.pid(id) === undefined;
    // Whatever still runs for a link that is gone would serve nobody.
    if (fresh) listeners.remove(id);
    served.delete(id);
    // A new port changes files only: the namespace is not looked at for it.
    if (before?.state !== wanted.state) await applyNamespace(exec, veth.namespace, state, fresh, DHCP_SYSCTLS);
    if (before?.files !== wanted.files || died) {
      for (const problem of files.problems.values()) log.warn({ network: id }, problem);
      const both = await Promise.allSettled([
        dhcp.ensure(id, veth.namespace, files, fresh),
        listeners.ensure(id, veth.namespace, veth.name),
      ]);
      // Both have ended: the next try must not meet what is left of this one.
      for (const one of both) if (one.status === 'rejected') throw one.reason;
    }
    served.set(id, wanted);
  };

  const ensureRouter = async (router: RouterState, desired: Desired, fresh: boolean, full: boolean): Promise<void> => {
    const changed = await routers.ensure(router, desired.networks, fresh, full);
    const files = advertFiles(router, desired.networks);
    const text = JSON.stringify(files ?? null);
    if (!changed && announced.get(router.id) === text) return;
    if (files) await dhcp.ensure(router.id, routerNamespace(prefix, router.id), files, fresh);
    else if (dhcp.pid(router.id) !== undefined) await dhcp.remove(router.id);
    announced.set(router.id, text);
  };

  const attempt = async ({ id, run }: Job, what: string, faults: Map<string, string>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      log.error({ id, error: messageOf(error) }, `a namespace could not be ${what}`);
      faults.set(id, messageOf(error));
    }
  };

  return {
    apply: async (desired, links, observed, faults, depth) => {
      const jobs = links.veths.flatMap((veth): Job[] => {
        const network = desired.networks.get(veth.owner);
        if (!network || faults.has(veth.portId)) return [];
        // A link made anew lost its settings even where the namespace was there.
        const fresh = !observed.links.has(veth.name) || !observed.namespaces.has(veth.namespace);
        return [{ id: network.id, run: () => ensureServer(network, veth, fresh, depth) }];
      });
      for (const router of desired.routers.values()) {
        const ends = links.veths.filter((veth) => veth.owner === router.id);
        if (ends.length === 0) continue;
        const fresh = !observed.namespaces.has(routerNamespace(prefix, router.id));
        const added = ends.some((end) => !observed.links.has(end.name));
        jobs.push({ id: router.id, run: () => ensureRouter(router, desired, fresh, depth === 'all' || added) });
      }
      await Promise.all(jobs.map((job) => attempt(job, 'brought to its state', faults)));
    },
    remove: async (names, faults) => {
      const jobs = names.map((name): Job => {
        const id = parseNamespace(prefix, name)?.id ?? name;
        return {
          id,
          run: async () => {
            listeners.remove(id);
            routers.forget(id);
            served.delete(id);
            announced.delete(id);
            await dhcp.remove(id);
            await exec(['ip', 'netns', 'del', name]);
          },
        };
      });
      await Promise.all(jobs.map((job) => attempt(job, 'removed', faults)));
    },
  };
}
