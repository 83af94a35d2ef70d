// Brings the kernel's packet rules to a plan: only what differs from what was applied last, everything when that is not known.
import { CommandError, type Exec, type Logger } from '@cumulet/common';
import type { Family } from './addresses';
import { renderBridgeChanges, renderBridgeTable } from './firewall/bridgeTable';
import { noTables, parseSave, renderRestore, type SavedRules } from './firewall/iptables';
import { parseSets, renderSetChanges } from './firewall/ipset';
import { renderZoneChanges, renderZones } from './firewall/zones';
import { findRefused } from './refused';
import type { RulesPlan } from './rulesPlan';
import type { RulesWatch } from './rulesWatch';

const FAMILIES = [4, 6] as const;
const TABLES = ['inet', 'bridge'] as const;
const COMMAND = { 4: 'iptables', 6: 'ip6tables' } as const;

/** Thrown when the kernel did not take some groups' or ports' rules: those are named, so the others can go on. */
export class RefusedRules extends Error {
  constructor(readonly refused: ReadonlyMap<string, string>) {
    super(`the kernel refused the rules of ${[...refused.keys()].join(', ')}`);
  }
}

export interface Ruleset {
  /** @throws RefusedRules when a part is to blame, CommandError when none can be found */
  apply(plan: RulesPlan): Promise<void>;
  /**
   * Compares the kernel with what was applied and puts it back when somebody changed it. `glance`: rules are read only when the watch
   * has heard of a change.
   */
  verify(how: 'glance' | 'read'): Promise<void>;
  /** Removes every rule, chain, set and table of ours. */
  remove(): Promise<void>;
}

const nothingSaved: SavedRules = { chains: { filter: new Set(), nat: new Set() }, builtin: new Map(), ours: '' };

export function createRuleset(exec: Exec, log: Logger, watch: RulesWatch): Ruleset {
  let applied: RulesPlan | undefined;
  /** The kernel's own text of our rules and sets; undefined when some were applied since it was read. */
  let snapshot: { readonly rules: string; readonly sets: string } | undefined;

  const save = async (family: Family): Promise<SavedRules> =>
    parseSave((await exec([`${COMMAND[family]}-save`])).stdout);

  const restore = async (family: Family, plan: RulesPlan): Promise<void> => {
    const unchanged = applied !== undefined && JSON.stringify(applied.jumps) === JSON.stringify(plan.jumps);
    const saved = unchanged ? undefined : await save(family);
    const before = applied?.tables[family] ?? noTables;
    const text = renderRestore(before, plan.tables[family], saved ? plan.jumps[family] : [], saved ?? nothingSaved);
    if (text !== '') await exec([`${COMMAND[family]}-restore`, '--noflush', '-w'], { input: text });
  };

  const frames = async (plan: RulesPlan): Promise<void> => {
    const lines = applied
      ? [...renderZoneChanges(applied.zones, plan.zones), ...renderBridgeChanges(applied.frames, plan.frames)]
      : [...renderZones(plan.zones), ...renderBridgeTable(plan.frames)];
    if (lines.length > 0) await exec(['nft', '-f', '-'], { input: `${lines.join('\n')}\n` });
  };

  const sets = async (text: string): Promise<void> => {
    if (text !== '') await exec(['ipset', '-exist', 'restore'], { input: text });
  };

  const rulesNow = async (): Promise<string> => {
    const texts = await Promise.all([
      ...FAMILIES.map(async (family) => {
        const { ours, builtin } = await save(family);
        const heads = [...builtin].map(([chain, rules]) => [
          chain,
          ...rules.slice(0, 3).filter((rule) => rule.includes('cumulet-')),
        ]);
        return JSON.stringify([ours, heads]);
      }),
      // A command each: of several tables in one, nft 1.0.6 finds only the last, and fails.
      ...TABLES.map((family) =>
        exec(['nft', '-s', 'list', 'table', family, 'cumulet']).then(
          ({ stdout }) => stdout,
          () => `a table ${family} cumulet is missing`,
        ),
      ),
    ]);
    return texts.join('\n');
  };

  const setsNow = async (): Promise<string> => {
    const kept = parseSets((await exec(['ipset', 'save'])).stdout);
    return JSON.stringify([...kept].map(([name, set]) => [name, [...set.members].sort()]).sort());
  };

  const apply = async (plan: RulesPlan): Promise<void> => {
    const knownSets = applied?.sets ?? parseSets((await exec(['ipset', 'save'])).stdout);
    const members = renderSetChanges(knownSets, plan.sets);
    try {
      await sets(members.before);
      const results = await Promise.allSettled([frames(plan), ...FAMILIES.map((family) => restore(family, plan))]);
      const failure = results.find((result) => result.status === 'rejected');
      if (failure) throw failure.reason;
      await sets(members.after);
    } catch (error) {
      // Some of it may be in the kernel: what follows starts from nothing known.
      const partial = applied !== undefined;
      applied = undefined;
      snapshot = undefined;
      if (!(error instanceof CommandError)) throw error;
      if (partial) {
        log.warn({ error: error.message }, 'a change of rules failed: applying all of them anew');
        return apply(plan);
      }
      const refused = await findRefused(exec, plan);
      if (refused.size === 0) throw error;
      throw new RefusedRules(refused);
    }
    applied = plan;
    snapshot = undefined;
  };

  return {
    apply: async (plan) => {
      if (applied === plan) return;
      if (applied === undefined || JSON.stringify(flat(applied)) !== JSON.stringify(flat(plan))) await apply(plan);
    },
    verify: async (how) => {
      const plan = applied;
      if (plan === undefined) return;
      const before = snapshot;
      const quiet = watch.quiet() && how === 'glance';
      // What was never read is not known to be right: it is applied once more, and then read.
      if (before !== undefined) {
        const [rules, sets] = await Promise.all([quiet ? before.rules : rulesNow(), setsNow()]);
        if (before.rules === rules && before.sets === sets) return;
        log.warn('packet rules of ours were changed by somebody else: putting them back');
      }
      applied = undefined;
      await apply(plan);
      const [rules, sets] = await Promise.all([rulesNow(), setsNow()]);
      snapshot = { rules, sets };
    },
    remove: async () => {
      for (const family of FAMILIES) {
        const text = renderRestore(noTables, noTables, [], await save(family));
        if (text !== '') await exec([`${COMMAND[family]}-restore`, '--noflush', '-w'], { input: text });
      }
      const tables = TABLES.flatMap((family) => [`table ${family} cumulet`, `delete table ${family} cumulet`]);
      await exec(['nft', '-f', '-'], { input: `${tables.join('\n')}\n` });
      await sets(renderSetChanges(parseSets((await exec(['ipset', 'save'])).stdout), new Map()).after);
      applied = undefined;
      snapshot = undefined;
    },
  };
}

/** A plan as plain data, for comparison. */
function flat(plan: RulesPlan): unknown {
  const tables = FAMILIES.map((family) => [
    [...plan.tables[family].filter],
    [...plan.tables[family].nat],
    plan.jumps[family],
  ]);
  const sets = [...plan.sets].map(([name, set]) => [name, [...set.members]]);
  return [[...plan.zones], [...plan.frames.ports], [...plan.frames.tunnels], [...plan.frames.isolated], tables, sets];
}
