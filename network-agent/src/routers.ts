// Makes router namespaces so: links, routes, rules; announces new addresses; ends flows of floating addresses that left.
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Exec, Logger, NetworkState, RouterState } from '@cumulet/common';
import { CommandError, messageOf } from '@cumulet/common';
import { routerNamespace } from './names';
import { emptyNamespace, planNamespace, type NamespaceState } from './namespacePlan';
import { execIn, observeNamespace } from './observe';
import { newAddresses, ROUTER_SYSCTLS, routerPlan, staleTranslations, type LinkAddress } from './router';

export const DHCP_SYSCTLS = ['net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0'];
/** Addresses are chosen by the controller: none is made from an announcement, none waits for a check of uniqueness. */
const LINK_SETTINGS = ['accept_ra=0', 'accept_dad=0'];

/** Brings a namespace's links and routes to a state. A new one gets its kernel settings first. */
export async function applyNamespace(
  exec: Exec,
  namespace: string,
  state: NamespaceState,
  fresh: boolean,
  sysctls: readonly string[],
): Promise<void> {
  const inside = execIn(exec, namespace);
  const observed = fresh ? emptyNamespace : await observeNamespace(exec, namespace);
  const added = state.links.filter((link) => observed.links.get(link.name)?.mac !== link.mac);
  const settings = added.flatMap(({ name }) => LINK_SETTINGS.map((setting) => `net.ipv6.conf.${name}.${setting}`));
  const all = [...(fresh ? sysctls : []), ...settings];
  if (all.length > 0) await inside(['sysctl', '-q', '-w', ...all]);
  const lines = planNamespace(state, observed);
  if (lines.length > 0) await inside(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** What conntrack says of a flow that ended by itself between being listed and deleted. It stops there, with filters undone. */
const FLOW_VANISHED = "such conntrack doesn't exist";
const FLOW_ATTEMPTS = 20;

/** `conntrack -D` for each filter in one process. Filters are lines of options; nothing found is no failure. */
export async function deleteFlows(exec: Exec, filters: readonly string[]): Promise<void> {
  if (filters.length === 0) return;
  // conntrack opens /dev/stdin by name, which a socket as standard input does not allow: so it gets a file. That has no name any more
  // when it is used, and so is gone when this process ends. Both in one go: one that is killed elsewhere leaves no name either.
  const path = join(tmpdir(), `cumulet-flows-${randomUUID()}`);
  const file = openSync(path, 'wx', 0o600);
  unlinkSync(path);
  try {
    writeFileSync(file, `${filters.join('\n')}\n`);
    for (let left = FLOW_ATTEMPTS; ; left--) {
      try {
        await exec(['conntrack', '-R', `/proc/${process.pid}/fd/${file}`]);
        return;
      } catch (error) {
        if (left === 1 || !(error instanceof CommandError) || !error.stderr.includes(FLOW_VANISHED)) throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

export interface Routers {
  /** Makes it so when it differs from what was made last; `full` looks at the host again. @returns whether it did anything */
  ensure(
    router: RouterState,
    networks: ReadonlyMap<string, NetworkState>,
    fresh: boolean,
    full: boolean,
  ): Promise<boolean>;
  forget(routerId: string): void;
}

/** A command's own words, which are the same for every address. */
const reasonOf = (error: unknown): string => (error instanceof CommandError && error.stderr.trim()) || messageOf(error);

export function createRouters(exec: Exec, prefix: string, log: Logger): Routers {
  const applied = new Map<string, { readonly text: string; readonly router: RouterState }>();

  /** Reasons that were told already, by router: the same one at every change would only hide other warnings. */
  const told = new Map<string, Set<string>>();

  const notAnnounced = (routerId: string, address: string, reason: string): void => {
    // Its namespace went while the announcement was under way.
    if (!applied.has(routerId)) return;
    const reasons = told.get(routerId) ?? new Set();
    if (reasons.has(reason)) return;
    told.set(routerId, reasons.add(reason));
    log.warn({ router: routerId, address, error: reason }, 'an address was not announced: neighbours may not reach it');
  };

  // Three times, a second apart: a new link is wired after this, and its carrier may come up to a second later still.
  const announce = (routerId: string, namespace: string, addresses: readonly LinkAddress[]): void => {
    const inside = execIn(exec, namespace);
    for (const { link, address } of addresses) {
      inside(['arping', '-q', '-A', '-c', '3', '-w', '3', '-I', link, address]).catch((error: unknown) =>
        notAnnounced(routerId, address, reasonOf(error)),
      );
    }
  };

  return {
    forget: (routerId) => {
      applied.delete(routerId);
      told.delete(routerId);
    },
    ensure: async (router, networks, fresh, full) => {
      const namespace = routerNamespace(prefix, router.id);
      const plan = routerPlan(router, networks);
      const text = JSON.stringify(plan);
      const before = fresh ? undefined : applied.get(router.id);
      if (before?.text === text && !full) return false;
      await applyNamespace(exec, namespace, plan.state, fresh, ROUTER_SYSCTLS);
      const inside = execIn(exec, namespace);
      await Promise.all([
        inside(['iptables-restore', '-w'], { input: plan.rules4 }),
        inside(['ip6tables-restore', '-w'], { input: plan.rules6 }),
      ]);
      await deleteFlows(inside, staleTranslations(before?.router, router));
      applied.set(router.id, { text, router });
      announce(router.id, namespace, newAddresses(before?.router, router));
      return true;
    },
  };
}
