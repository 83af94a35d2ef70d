// iptables-restore text for our chains only, and what iptables-save says about them.
import type { Jump } from './host';
import type { Chains } from './securityGroups';

export type Tables = Readonly<Record<'filter' | 'nat', Chains>>;
export const noTables: Tables = { filter: new Map(), nat: new Map() };

const TABLES = ['filter', 'nat'] as const;
const OURS = /^cumulet-/;

/** What is there of ours, and which of the kernel's chains lead to it. */
export interface SavedRules {
  /** Names of our chains by table. */
  readonly chains: Readonly<Record<'filter' | 'nat', ReadonlySet<string>>>;
  /** Every rule of a kernel's chain, as saved, by "table chain". */
  readonly builtin: ReadonlyMap<string, readonly string[]>;
  /** Our chains' lines: equal texts mean that nobody touched them. */
  readonly ours: string;
}

/** Reads the output of iptables-save (without counters). Tables other than filter and nat hold nothing of ours. */
export function parseSave(text: string): SavedRules {
  const chains = { filter: new Set<string>(), nat: new Set<string>() };
  const builtin = new Map<string, string[]>();
  const ours: string[] = [];
  let table: string | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    if (table !== 'filter' && table !== 'nat') continue;
    const chain = /^(?::|-A )(\S+)/.exec(line)?.[1];
    if (chain === undefined) continue;
    if (OURS.test(chain)) {
      chains[table].add(chain);
      if (line.startsWith('-A')) ours.push(`${table} ${line}`);
    } else if (line.startsWith('-A')) {
      const key = `${table} ${chain}`;
      builtin.set(key, [...(builtin.get(key) ?? []), line.slice(3 + chain.length).trim()]);
    }
  }
  return { chains, builtin, ours: ours.join('\n') };
}

const targetOf = (rule: string): string => / ?-[jg] (\S+)/.exec(rule)?.[1] ?? '';

/** Lines that make our jumps the first rules of their chains; none when they are. */
function jumpLines(table: 'filter' | 'nat', jumps: readonly Jump[], saved: SavedRules): string[] {
  const wanted = jumps.filter((jump) => jump.table === table);
  const leading = [...saved.builtin].filter(
    ([key, rules]) => key.startsWith(`${table} `) && rules.some((rule) => OURS.test(targetOf(rule))),
  );
  const names = new Set([...wanted.map((jump) => jump.chain), ...leading.map(([key]) => key.slice(table.length + 1))]);
  return [...names].flatMap((chain) => {
    const present = saved.builtin.get(`${table} ${chain}`) ?? [];
    const heads = wanted.filter((jump) => jump.chain === chain);
    const mine = present.filter((rule) => OURS.test(targetOf(rule)));
    const inPlace =
      mine.length === heads.length &&
      heads.every((jump, index) => present[index] === `${jump.match} -j ${jump.target}`);
    if (inPlace) return [];
    return [
      ...mine.map((rule) => `-D ${chain} ${rule}`),
      ...heads.map((jump, index) => `-I ${chain} ${index + 1} ${jump.match} -j ${jump.target}`),
    ];
  });
}

const changedChains = (before: Chains, after: Chains): [string, readonly string[]][] =>
  [...after].filter(([name, rules]) => before.get(name)?.join('\n') !== rules.join('\n'));

/**
 * Input for `iptables-restore --noflush`: our changed chains replaced, our jumps first, our dead chains gone; nobody else's
 * rule is named. Empty when there is nothing to do. `before` is what we applied last; chains of ours that are there but in
 * neither are removed.
 */
export function renderRestore(before: Tables, after: Tables, jumps: readonly Jump[], saved: SavedRules): string {
  const parts = TABLES.map((table) => {
    const changed = changedChains(before[table], after[table]);
    const gone = new Set([...before[table].keys(), ...saved.chains[table]].filter((name) => !after[table].has(name)));
    const heads = jumpLines(table, jumps, saved);
    if (changed.length + gone.size + heads.length === 0) return '';
    return [
      `*${table}`,
      ...changed.map(([name]) => `:${name} - [0:0]`),
      ...changed.flatMap(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`)),
      ...heads,
      ...[...gone].map((name) => `-F ${name}`),
      ...[...gone].map((name) => `-X ${name}`),
      'COMMIT\n',
    ].join('\n');
  });
  return parts.join('');
}
