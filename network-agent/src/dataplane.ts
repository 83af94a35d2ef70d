// Makes the host's networking so: links, rules, namespaces, DHCP, in the order in which a port is never open without its rules.
import { type Clock, type Exec, type HostResource, type Logger } from '@cumulet/common';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { NetworkAgentConfig } from './config';
import { nothingDesired, type Desired } from './desired';
import { cutOffPorts } from './cutOff';
import { createDhcpServers } from './dnsmasq';
import { staleFlows } from './firewall/conntrack';
import { parseBridgeAlias } from './firewall/zones';
import { createFirewalld } from './firewalld';
import { applyFloating, type FloatingRange } from './floatingRange';
import { inventoryOf } from './inventory';
import { createNamespaces } from './namespaces';
import { createAppliedFile } from './appliedFile';
import { runSteps } from './ipBatch';
import { foreignBridges, planLinks, type LinkPlan, type ObservedLinks } from './linkPlan';
import { desiredLinks, type DesiredLinks } from './links';
import type { Listeners } from './listeners';
import { bridgeName, isBridgeName } from './names';
import { observeLinks } from './observe';
import { deleteFlows } from './routers';
import { createRuleset, RefusedRules } from './ruleset';
import { planRules, type RulesPlan, type Wiring } from './rulesPlan';
import { createRulesWatch } from './rulesWatch';
import { removeStrays } from './strays';

export interface Applied {
  /** Ports that are wired with their rules in place. */
  readonly wired: ReadonlySet<string>;
  /** Why others are not, by port, router or network id. For the log and the administrator: names what is on the host. */
  readonly faults: ReadonlyMap<string, string>;
  /** Ports that pass nothing because their own rules can't be applied, in words for their owner. */
  readonly closed: ReadonlyMap<string, string>;
  /** Ports whose guests have lost their tap ({@link cutOffPorts}). */
  readonly cutOff: ReadonlySet<string>;
}

export const nothingApplied: Applied = { wired: new Set(), faults: new Map(), closed: new Map(), cutOff: new Set() };

/**
 * How much is looked at instead of trusting what was applied last. Links are looked at always; `surface`: DHCP servers too, and rules
 * when a change was heard of; `all`: the inside of every namespace as well, a process each.
 */
export type Depth = 'links' | 'surface' | 'all';

export interface Dataplane {
  /** Brings the host to the desired state. `made` is called when the interfaces exist and nothing is wired yet. */
  apply(desired: Desired, depth: Depth, made?: (state: Applied) => void): Promise<Applied>;
  /** Removes what no plan finds: processes and flows of what is gone. */
  removeStrays(desired: Desired): Promise<void>;
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
  /** Ends what watches the host. */
  readonly signal: AbortSignal;
}

export function createDataplane({ exec, config, log, clock, listeners, signal }: DataplaneParts): Dataplane {
  const prefix = config.namespace_prefix;
  const ruleset = createRuleset(exec, log, createRulesWatch(exec, log, signal));
  const dhcp = createDhcpServers(exec, config.stateDir, clock, log);
  const namespaces = createNamespaces({ exec, prefix, dhcp, listeners, log });
  const memory = createAppliedFile(join(config.stateDir, 'applied.json'), log);
  const firewalld = createFirewalld(exec, log, (name) => isBridgeName(name) || name === config.external?.bridge);
  /** What firewalld was told last. */
  let passed = '';
  /** What an earlier process left of a range that is not configured any more was looked for. */
  let noRange = false;

  let last = nothingApplied;

  /** What the rules were planned from last: most looks find everything as it was. */
  let planned: { readonly desired: Desired; readonly wiring: string; readonly plan: RulesPlan } | undefined;

  const planOf = (wiring: Wiring, desired: Desired): RulesPlan => {
    const text = JSON.stringify({ ...wiring, zones: [...wiring.zones], isolated: [...wiring.isolated] });
    if (planned?.desired !== desired || planned.wiring !== text)
      planned = { desired, wiring: text, plan: planRules(wiring, desired) };
    return planned.plan;
  };

  const applyRules = async (wiring: Wiring, desired: Desired): Promise<ReadonlyMap<string, string>> => {
    const plan = planOf(wiring, desired);
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

  const wiringOf = (
    desired: Desired,
    links: DesiredLinks,
    plan: LinkPlan,
    observed: ObservedLinks,
    faults: ReadonlyMap<string, string>,
  ): Wiring => {
    const taps = links.taps.filter((tap) => !faults.has(tap.portId));
    const veths = links.veths.filter((veth) => !faults.has(veth.portId));
    const tunnels = links.tunnels.filter((tunnel) => !faults.has(tunnel.networkId));
    return {
      zones: plan.zones,
      ports: taps.flatMap((tap) => desired.ports.get(tap.portId) ?? []),
      veths: veths.map((veth) => veth.name),
      isolated: new Set(
        [...taps, ...veths, ...tunnels].filter((link) => plan.zones.has(link.bridge)).map((link) => link.name),
      ),
      external: config.external,
      foreignBridges: foreignBridges(observed, config),
      tunnels: links.tunnels,
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
    const isAsBefore = before?.desired === desired && isDeepStrictEqual(before.zones, zones);
    if (isAsBefore && left.length === 0) return;
    const zoneOf = (id: string): number | undefined => {
      // Bridges that are not ours have no zone of their own, which is zone 0.
      const physical = before?.desired.networks.get(id)?.attachment.type === 'physical';
      return physical ? 0 : before?.zones.get(bridgeName(id));
    };
    const stale = before ? staleFlows(before.desired, desired, zoneOf) : [];
    await deleteFlows(exec, [...stale, ...left]);
    memory.write({ desired, zones });
  };

  const mergeFaults = (into: Map<string, string>, more: ReadonlyMap<string, string>): void => {
    for (const [id, fault] of more) if (!into.has(id)) into.set(id, fault);
  };

  const observe = (): Promise<ObservedLinks> => observeLinks(exec, prefix);

  /** Bridges that the administrator made are theirs to give a zone. */
  const passFirewalld = async (zones: ReadonlyMap<string, number>, depth: Depth): Promise<void> => {
    const names = [...zones.keys(), ...(config.external ? [config.external.bridge] : [])];
    const text = names.sort().join(' ');
    if (depth === 'links' && text === passed) return;
    await firewalld.sync(new Set(names));
    passed = text;
  };

  const floating = (wanted: FloatingRange | undefined): Promise<ReadonlyMap<string, string>> =>
    applyFloating(exec, config.external?.bridge ?? '', wanted);

  const keepFloating = async (): Promise<ReadonlyMap<string, string>> => {
    const wanted = config.external?.floating ?? undefined;
    if (noRange) return new Map();
    const faults = await floating(wanted);
    noRange = wanted === undefined && faults.size === 0;
    return faults;
  };

  const apply: Dataplane['apply'] = async (desired, depth, made) => {
    const observed = await observe();
    const links = desiredLinks(desired, config);
    const plan = planLinks(links, observed, config.external, prefix);
    const faults = new Map(plan.faults);
    mergeFaults(faults, await runSteps(exec, plan.remove));
    mergeFaults(faults, await runSteps(exec, plan.create));
    // The kernel forgets them when the interface goes down, so they are looked at with everything else.
    if (depth !== 'links') mergeFaults(faults, await keepFloating());
    // Before anything else is begun: a domain is waiting for its taps, and each process that is started holds up the others.
    made?.({ ...nothingApplied, faults: new Map(faults) });
    const wiring = wiringOf(desired, links, plan, observed, faults);
    const serve = async (): Promise<void> => {
      const forward = plan.forward.filter((step) => !faults.has(step.owner));
      mergeFaults(faults, await runSteps(exec, forward, 'bridge'));
      await namespaces.apply(desired, links, observed, faults, depth);
    };
    const [served, ruled] = await Promise.allSettled([
      serve(),
      applyRules(wiring, desired),
      passFirewalld(plan.zones, depth),
    ]);
    if (served.status === 'rejected') throw served.reason;
    if (ruled.status === 'rejected') throw ruled.reason;
    const closed = ruled.value;
    if (depth !== 'links') await ruleset.verify(depth === 'all' ? 'read' : 'glance');
    const wire = plan.wire.filter((step) => !faults.has(step.owner));
    mergeFaults(faults, await runSteps(exec, wire));
    await namespaces.remove(plan.namespaces, faults);
    await endFlows(desired, observed, plan.zones);
    mergeFaults(faults, closed);
    for (const tap of links.taps) {
      const server = desired.networks.get(tap.networkId)?.dhcp?.port_id;
      const broken = faults.get(tap.networkId) ?? (server === undefined ? undefined : faults.get(server));
      if (broken !== undefined && !faults.has(tap.portId)) faults.set(tap.portId, broken);
    }
    const wired = new Set(links.taps.map((tap) => tap.portId).filter((id) => !faults.has(id)));
    return (last = { wired, faults, closed, cutOff: cutOffPorts(last.cutOff, last.wired, links.taps, observed.links) });
  };

  return {
    apply,
    removeStrays: (desired) => removeStrays(exec, prefix, config.stateDir, desired),
    inventory: () => inventoryOf(exec, prefix, dhcp, config.stateDir),
    purge: async () => {
      await apply(nothingDesired, 'links');
      await ruleset.remove();
      await floating(undefined);
      await firewalld.sync(new Set());
      const { external } = config;
      const { links } = await observe();
      if (external && links.get(external.bridge)?.alias === 'cumulet external') {
        await exec(['ip', 'link', 'del', 'dev', external.bridge]);
      }
      await memory.remove();
    },
  };
}
