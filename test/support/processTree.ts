// Processes by what the kernel tells of them.
import { readdirSync, readFileSync } from 'node:fs';

export const processIds = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** A file of a process; empty when it has ended. */
function processFile(pid: number, name: 'cmdline' | 'stat' | 'status'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    // It ended while we looked.
    return '';
  }
}

/** The process that started another one, by the second number behind the name in its stat. */
const parentOf = (pid: number): number => Number(/ \(.*\) \w (\d+) /.exec(processFile(pid, 'stat'))?.[1]);

/** When a process began, in ticks since the boot: with its number it is told from later ones. Empty when it has ended. */
export const startOf = (pid: number): string =>
  processFile(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ')[19] ?? '';

export const childOf = (parent: number): number | undefined => processIds().find((pid) => parentOf(pid) === parent);

/** The words of a process's command; none when it has ended, also while its parent was not told. */
export const commandOf = (pid: number): string[] => processFile(pid, 'cmdline').split('\0');

/** Our process ids of all that live in a process's own namespace of ids, by what they are there. */
export function innerIds(first: number): Map<number, number> {
  const level = (pid: number): number[] =>
    (/^NSpid:\s+(.*)$/m.exec(processFile(pid, 'status'))?.[1] ?? '').split('\t').map(Number);
  const depth = level(first).length;
  const members = new Set([first]);
  // A child has not always a higher number than its parent: all are looked at until no more belong to it.
  for (let before = 0; before < members.size;) {
    before = members.size;
    for (const pid of processIds()) if (members.has(parentOf(pid))) members.add(pid);
  }
  return new Map([...members].map((pid) => [level(pid)[depth - 1] ?? 0, pid]));
}
