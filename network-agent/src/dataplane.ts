// Makes the host's networking so: links, rules, namespaces, DHCP, in the order in which a port is never open without its rules.
import {
  messageOf,
  type Clock,
  type Exec,
  type HostResource,
  type Logger,
  type NetworkState,
  type RouterState,
} from '@cumulet/common';
import { join } from 'node:path';
import type { NetworkAgentConfig } from './config';
import { dhcpFiles, METADATA_ADDRESS, METADATA_ADDRESS6 } from './dhcp';
import { nothingDesired, type Desired } from './desired';
import { createDhcpServers } from './dnsmasq';
import { staleFlows } from './firewall/conntrack';
import { parseBridgeAlias } from './firewall/zones';
import { inventoryOf } from './inventory';
import { createAppliedFile } from './appliedFile';
import { runSteps } from './ipBatch';
import { foreignBridges, planLinks, type LinkPlan, type ObservedLinks } from './linkPlan';
import { desiredLinks, type DesiredLinks, type DesiredVeth } from './links';
import type { Listeners } from './listeners';
import { bridgeName, parseNamespace, routerNamespace } from './names';
import { observeLinks } from './observe';
import { applyNamespace, createRouters, deleteFlows, DHCP_SYSCTLS } from './routers';
import { advertFiles } from './routerAdvert';
import { createRuleset, RefusedRules } from './ruleset';
import { planRules, type Wiring } from './rulesPlan';

export interface Applied {
  /** Ports that are wired with their rules in place. */
  readonly wired: ReadonlySet<string>;
  /** Why others are not, by port, router or network id. For the log and the administrator: names what is on the host. */
  readonly faults: ReadonlyMap<string, string>;
  /** Ports that pass nothing because their own rules can't be applied, in words for their owner. */
  readonly closed: ReadonlyMap<string, string>;
}

export interface Dataplane {
  /** Brings the host to the desired state. `full` looks at everything again instead of trusting what was applied last. */
  apply(desired: Desired, full: boolean): Promise<Applied>;
  /** Everything on the host that carries our mark. */
  inventory(): Promise<HostResource[]>;
  /** Removes all of it, our rules' anchors and the external bridge included. */
  purge(): Promise<void>;
}

export interface DataplaneParts {
  readonly exec: Exec;
  readonly config: NetworkAgentConfig;
  readonly log: Logger;
  readonly clock: Clock;
  readonly listeners: Listeners;
}

export function createDataplane({ exec, config, log, clock, listeners }: DataplaneParts): Dataplane {
  const prefix = config.namespace_prefix;
  const ruleset = createRuleset(exec, log);
  const routers = createRouters(exec, prefix, log);
  const dhcp = createDhcpServers(exec, config.stateDir, clock, log);
  const dhcpApplied = new Map<string, string>();
  const memory = createAppliedFile(join(config.stateDir, 'applied.json'), log);

  const applyRules = async (wiring: Wiring, desired: Desired): Promise<ReadonlyMap<string, string>> => {
    const plan = planRules(wiring, desired);
    try {
      await ruleset.apply(plan);
      return plan.closed;
    } catch (error) {
      if (!(error instanceof RefusedRules)) throw error;
      log.error(
        { refused: Object.fromEntries(error.refused) },
        'the kernel refused some rules: their ports are closed',
      );
      const reduced = planRules(wiring, desired, error.refused);
      await ruleset.apply(reduced);
      return reduced.closed;
    }
  };

  const ensureDhcp = async (network: NetworkState, veth: DesiredVeth, fresh: boolean, full: boolean): Promise<void> => {
    if (!network.dhcp) return;
    const lengths = new Map(network.subnets.map((subnet) => [subnet.id, subnet.cidr.split('/')[1] ?? '']));
    const own = network.dhcp.addresses.map((entry) => `${entry.address}/${lengths.get(entry.subnet_id) ?? ''}`);
    const addresses = [...own, `${METADATA_ADDRESS}/32`, `${METADATA_ADDRESS6}/64`];
    const { mac } = network.dhcp;
    const state = { links: [{ name: veth.name, alias: veth.portId, mac, mtu: veth.mtu, addresses }], routes: [] };
    const text = JSON.stringify(state);
    if (fresh || full || dhcpApplied.get(network.id) !== text)
      await applyNamespace(exec, veth.namespace, state, fresh, DHCP_SYSCTLS);
    dhcpApplied.set(network.id, text);
    const files = dhcpFiles(network, veth.portId, dhcp.directory(network.id));
    for (const problem of files.problems.values()) log.warn({ network: network.id }, problem);
    await Promise.all([
      dhcp.ensure(network.id, veth.namespace, files),
      listeners.ensure(network.id, veth.namespace, veth.name),
    ]);
  };

  const announce = async (router: RouterState, desired: Desired): Promise<void> => {
    const files = advertFiles(router, desired.networks);
    if (files) await dhcp.ensure(router.id, routerNamespace(prefix, router.id), files);
    else if ((await dhcp.pid(router.id)) !== undefined) await dhcp.remove(router.id);
  };

  /** Namespaces of DHCP servers and routers; a failing one is a fault of its own. */
  const applyNamespaces = async (
    desired: Desired,
    links: DesiredLinks,
    observed: ObservedLinks,
    faults: Map<string, string>,
    full: boolean,
  ): Promise<void> => {
    const jobs = links.veths.flatMap((veth) => {
      const network = desired.networks.get(veth.owner);
      if (!network || faults.has(veth.portId)) return [];
      // A link made anew lost its settings even where the namespace was there.
      const fresh = !observed.links.has(veth.name);
      return [{ id: network.id, run: () => ensureDhcp(network, veth, fresh, full) }];
    });
    for (const router of desired.routers.values()) {
      const ends = links.veths.filter((veth) => veth.owner === router.id);
      if (ends.length === 0) continue;
      const fresh = !observed.namespaces.has(routerNamespace(prefix, router.id));
      const changed = ends.some((end) => !observed.links.has(end.name));
      jobs.push({
        id: router.id,
        run: async () => {
          await routers.ensure(router, desired.networks, fresh, full || changed);
          await announce(router, desired);
        },
      });
    }
    await Promise.all(
      jobs.map(async ({ id, run }) => {
        try {
          await run();
        } catch (error) {
          log.error({ id, error: messageOf(error) }, 'a namespace could not be brought to its state');
          faults.set(id, messageOf(error));
        }
      }),
    );
  };

  const removeNamespaces = async (names: readonly string[]): Promise<void> => {
    await Promise.all(
      names.map(async (name) => {
        const parsed = parseNamespace(prefix, name);
        if (parsed?.role === 'dhcp') {
          listeners.remove(parsed.id);
          dhcpApplied.delete(parsed.id);
        } else if (parsed) routers.forget(parsed.id);
        if (parsed) await dhcp.remove(parsed.id);
        await exec(['ip', 'netns', 'del', name]);
      }),
    );
  };

  const wiringOf = (
    desired: Desired,
    links: DesiredLinks,
    plan: LinkPlan,
    observed: ObservedLinks,
    faults: ReadonlyMap<string, string>,
  ): Wiring => {
    const taps = links.taps.filter((tap) => !faults.has(tap.portId));
    const veths = links.veths.filter((veth) => !faults.has(veth.portId));
    return {
      zones: plan.zones,
      ports: taps.flatMap((tap) => desired.ports.get(tap.portId) ?? []),
      veths: veths.map((veth) => veth.name),
      isolated: new Set([...taps, ...veths].filter((link) => plan.zones.has(link.bridge)).map((link) => link.name)),
      external: config.external,
      foreignBridges: foreignBridges(observed, config),
    };
  };

  /** Ends what is no longer allowed; a zone whose bridge is gone is emptied whole. */
  const endFlows = async (
    desired: Desired,
    observed: ObservedLinks,
    zones: ReadonlyMap<string, number>,
  ): Promise<void> => {
    const before = await memory.read();
    const left = [...observed.links.values()].flatMap((link) => {
      const parsed = parseBridgeAlias(link.alias);
      return parsed && bridgeName(parsed.networkId) === link.name && !zones.has(link.name)
        ? [`-D -w ${parsed.zone}`]
        : [];
    });
    const known = before?.zones ?? zones;
    const stale = before ? staleFlows(before.desired, desired, (id) => known.get(bridgeName(id))) : [];
    await deleteFlows(exec, [...stale, ...left]);
    memory.write({ desired, zones });
  };

  const mergeFaults = (into: Map<string, string>, more: ReadonlyMap<string, string>): void => {
    for (const [id, fault] of more) if (!into.has(id)) into.set(id, fault);
  };

  const apply = async (desired: Desired, full: boolean): Promise<Applied> => {
    const observed = await observeLinks(exec, prefix);
    const links = desiredLinks(desired, config);
    const plan = planLinks(links, observed, config.external, prefix);
    const faults = new Map(plan.faults);
    mergeFaults(faults, await runSteps(exec, plan.remove));
    const wiring = wiringOf(desired, links, plan, observed, faults);
    const making = runSteps(exec, plan.create).then(async (failed) => {
      mergeFaults(faults, failed);
      await applyNamespaces(desired, links, observed, faults, full);
    });
    // Rules name interfaces by their text, so they can be in the kernel before the interface is.
    const [, closed] = await Promise.all([making, applyRules(wiring, desired)]);
    if (full) await ruleset.verify();
    const wire = plan.wire.filter((step) => !faults.has(step.owner));
    mergeFaults(faults, await runSteps(exec, wire));
    await removeNamespaces(plan.namespaces);
    await endFlows(desired, observed, plan.zones);
    mergeFaults(faults, closed);
    for (const tap of links.taps) {
      const broken = faults.get(tap.networkId);
      if (broken !== undefined && !faults.has(tap.portId)) faults.set(tap.portId, broken);
    }
    return { wired: new Set(links.taps.map((tap) => tap.portId).filter((id) => !faults.has(id))), faults, closed };
  };

  return {
    apply,
    inventory: () => inventoryOf(exec, prefix, dhcp, config.stateDir),
    purge: async () => {
      await apply(nothingDesired, false);
      await ruleset.remove();
      const { external } = config;
      const { links } = await observeLinks(exec, prefix);
      if (external && links.get(external.bridge)?.alias === 'cumulet external') {
        await exec(['ip', 'link', 'del', 'dev', external.bridge]);
      }
      await memory.remove();
    },
  };
}
