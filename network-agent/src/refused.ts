// Finds who is to blame when the kernel refuses a set of rules: each group and each port is tried by itself, nothing is applied.
import { CommandError, messageOf, type Exec } from '@cumulet/common';
import { emptyBridgeTable, renderBridgeTable } from './firewall/bridgeTable';
import type { RulesPlan } from './rulesPlan';

const COMMAND = { 4: 'iptables-restore', 6: 'ip6tables-restore' } as const;

async function refusal(exec: Exec, argv: readonly string[], input: string): Promise<string | undefined> {
  try {
    await exec(argv, { input });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.stderr.trim() || messageOf(error);
    throw error;
  }
}

/** Ids of security groups and ports whose rules alone are refused, with the tool's words. */
export async function findRefused(exec: Exec, plan: RulesPlan): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  for (const family of [4, 6] as const) {
    for (const [id, names] of plan.groupChains) {
      const lines = names.flatMap((name) => [
        `:${name} - [0:0]`,
        ...(plan.tables[family].filter.get(name) ?? []).map((rule) => `-A ${name} ${rule}`),
      ]);
      const text = ['*filter', ':cumulet-ok - [0:0]', ...lines, 'COMMIT\n'].join('\n');
      const why = await refusal(exec, [COMMAND[family], '--noflush', '-w', '--test'], text);
      if (why !== undefined) refused.set(id, why);
    }
  }
  for (const [id, rules] of plan.frames.ports) {
    const table = renderBridgeTable({ ...emptyBridgeTable, ports: new Map([[id, rules]]) });
    const why = await refusal(exec, ['nft', '-c', '-f', '-'], `${table.join('\n')}\n`);
    if (why !== undefined) refused.set(id, why);
  }
  return refused;
}
