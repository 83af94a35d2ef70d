// Memory of everything that is ours, helpers included, and CPU while nothing happens.
import { readdirSync, readFileSync } from 'node:fs';
import type { RealCloud } from '../support/realCloud';

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Our processes: the cloud, its children, and DHCP servers with files in its directory. Guests are the users'. */
function ourProcesses(cloud: RealCloud): number[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const parent = new Map(
    all.map((pid) => [pid, Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)]),
  );
  const descends = (pid: number): boolean => pid === cloud.pid || (pid > 1 && descends(parent.get(pid) ?? 0));
  const helper = (pid: number): boolean => {
    const command = read(`/proc/${pid}/cmdline`);
    return command.includes(cloud.directory) && !command.startsWith('/usr/bin/qemu');
  };
  return all.filter((pid) => pid !== process.pid && (descends(pid) || helper(pid)));
}

/** Proportional set size of our processes in MB (10^6 bytes). */
export function memoryMb(cloud: RealCloud): number {
  const kib = ourProcesses(cloud).map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0),
  );
  return (kib.reduce((sum, one) => sum + one, 0) * 1024) / 1e6;
}

const TICKS_PER_SECOND = 100;

function cpuSeconds(cloud: RealCloud): number {
  const ticks = ourProcesses(cloud).map((pid) => {
    const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  });
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

/** Percent of one core over the time. */
export async function cpuPercent(cloud: RealCloud, seconds: number): Promise<number> {
  const before = cpuSeconds(cloud);
  await new Promise((next) => setTimeout(next, seconds * 1000));
  return ((cpuSeconds(cloud) - before) / seconds) * 100;
}
