// Members of remote security groups as ipsets: new members before the rules that use them, removals after.
import type { SecurityGroupState } from '@cumulet/common';
import { parsePrefix, prefixText, type Family } from '../addresses';
import { groupSet } from '../names';

export interface AddressSet {
  readonly family: Family;
  readonly members: ReadonlySet<string>;
}
export type AddressSets = ReadonlyMap<string, AddressSet>;

/** A hash:net can't hold a prefix of length 0: the whole is given as its two halves. */
function elements(text: string): { family: Family; members: string[] } {
  const prefix = parsePrefix(text);
  if (prefix.length > 0) return { family: prefix.family, members: [prefixText(prefix)] };
  return { family: prefix.family, members: prefix.family === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'] };
}

/** The sets that the given groups' rules name as remote. A group nobody told us about is an empty set: it admits no one. */
export function remoteSets(
  groups: readonly SecurityGroupState[],
  known: ReadonlyMap<string, SecurityGroupState>,
): Map<string, AddressSet> {
  const sets = new Map<string, AddressSet>();
  const remote = new Set(groups.flatMap((group) => group.rules.flatMap((rule) => rule.remote_group_id ?? [])));
  for (const id of remote) {
    const parsed = (known.get(id)?.members ?? []).map(elements);
    for (const family of [4, 6] as const) {
      const members = parsed.filter((entry) => entry.family === family).flatMap((entry) => entry.members);
      sets.set(groupSet(family, id), { family, members: new Set(members) });
    }
  }
  return sets;
}

/** Input for `ipset -exist restore`: before the rules, what is new; after them, what is gone. */
export function renderSetChanges(before: AddressSets, after: AddressSets): { before: string; after: string } {
  const first: string[] = [];
  const last: string[] = [];
  for (const [name, set] of after) {
    const old = before.get(name);
    if (!old) first.push(`create ${name} hash:net family ${set.family === 4 ? 'inet' : 'inet6'}`);
    for (const member of set.members) if (!old?.members.has(member)) first.push(`add ${name} ${member}`);
    for (const member of old?.members ?? []) if (!set.members.has(member)) last.push(`del ${name} ${member}`);
  }
  for (const name of before.keys()) if (!after.has(name)) last.push(`destroy ${name}`);
  const text = (lines: string[]): string => lines.map((line) => `${line}\n`).join('');
  return { before: text(first), after: text(last) };
}

/** Our sets from the output of `ipset save`. */
export function parseSets(text: string): Map<string, AddressSet> {
  const sets = new Map<string, { family: Family; members: Set<string> }>();
  for (const line of text.split('\n')) {
    const [verb, name = '', ...rest] = line.split(' ');
    if (!/^cumulet[46]-/.test(name)) continue;
    if (verb === 'create') sets.set(name, { family: rest.includes('inet6') ? 6 : 4, members: new Set() });
    else if (verb === 'add' && rest[0] !== undefined) sets.get(name)?.members.add(rest[0]);
  }
  return sets;
}
