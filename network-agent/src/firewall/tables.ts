// Tables of iptables that come into being with our first rule: a purge takes those along that are empty again.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Exec } from '@cumulet/common';

/** What the output of iptables-save says of each table: whether anything in it has an effect. */
export function parseTables(text: string): Map<string, { readonly isEmpty: boolean }> {
  const tables = new Map<string, { isEmpty: boolean }>();
  let table = { isEmpty: true };
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) tables.set(line.slice(1).trim(), (table = { isEmpty: true }));
    // A chain of the kernel's that accepts; one of somebody's own has "-" for its policy.
    else if (/^(:|-A )/.test(line) && !/^:\S+ ACCEPT( |$)/.test(line)) table.isEmpty = false;
  }
  return tables;
}

export interface FirewallTables {
  /** Writes down, once, which tables are there before us. */
  note(): Promise<void>;
  /** Removes those that were not, where nothing is in them. Without the note none. */
  removeEmpty(): Promise<void>;
}

/** @param path the file that remembers which tables were there */
export function createFirewallTables(exec: Exec, path: string): FirewallTables {
  const read = async (): Promise<{ readonly name: string; readonly isEmpty: boolean }[]> => {
    const outputs = await Promise.all([exec(['iptables-save']), exec(['ip6tables-save'])]);
    return outputs.flatMap(({ stdout }, at) =>
      [...parseTables(stdout)].map(([table, { isEmpty }]) => ({
        name: `${at === 0 ? 'ip' : 'ip6'} ${table}`,
        isEmpty,
      })),
    );
  };
  const noted = async (): Promise<readonly string[] | undefined> => {
    try {
      return JSON.parse(await readFile(path, 'utf8')) as string[];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
      throw error;
    }
  };
  return {
    async note() {
      if ((await noted()) !== undefined) return;
      const names = (await read()).map(({ name }) => name);
      await writeFile(`${path}.new`, JSON.stringify(names), { mode: 0o600 });
      await rename(`${path}.new`, path);
    },
    async removeEmpty() {
      const before = await noted();
      if (before === undefined) return;
      for (const { name, isEmpty } of await read())
        // Where iptables is not built upon nft there is no such table to delete, nor any need to.
        if (isEmpty && !before.includes(name))
          await exec(['nft', 'delete', 'table', ...name.split(' ')]).catch(() => undefined);
      await rm(path, { force: true });
    },
  };
}
