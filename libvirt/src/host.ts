// The host and its hypervisor: capabilities, versions, processors, memory.
import { procedures } from './procedures';
import type { Session } from './session';

/** What to ask domain capabilities for; the hypervisor chooses what is left out. */
export interface EmulatorChoice {
  emulator?: string;
  arch?: string;
  machine?: string;
  /** `kvm` or `qemu`. */
  virtType?: string;
}

/** 9000000 -> `9.0.0` */
const dotted = (version: bigint): string => {
  const number = Number(version);
  return [Math.floor(number / 1_000_000), Math.floor(number / 1_000) % 1_000, number % 1_000].join('.');
};

const compareResults: Record<number, CpuComparison> = { 0: 'incompatible', 1: 'identical', 2: 'superset' };
/** How the host's CPU relates to the one asked about: it lacks something, is the same, or has more. */
export type CpuComparison = 'incompatible' | 'identical' | 'superset';

const fieldsOf = (list: readonly { field: string; value: bigint }[]): Record<string, bigint> =>
  Object.fromEntries(list.map(({ field, value }) => [field, value]));

/** Capabilities make the daemon examine emulators that it has not seen yet: seconds each, a minute for all of a full install. */
const EXAMINE = { timeoutMs: 180_000 };
const ALL_CPUS = -1;
const ALL_CELLS = -1;

/** The node statistics calls are asked twice: with 0 for the number of fields, then for the fields. */
const COUNT_ONLY = 0;

export function hostOperations(session: Session) {
  return {
    /** The driver's name, for example `QEMU`. */
    async hypervisorType(): Promise<string> {
      return (await session.call(procedures.connectGetType, {})).type;
    },

    async version(): Promise<{ library: string; hypervisor: string }> {
      const [library, hypervisor] = await Promise.all([
        session.call(procedures.connectGetLibVersion, {}),
        session.call(procedures.connectGetVersion, {}),
      ]);
      return { library: dotted(library.libVer), hypervisor: dotted(hypervisor.hvVer) };
    },

    async hostname(): Promise<string> {
      return (await session.call(procedures.connectGetHostname, {})).hostname;
    },

    /** The canonical URI of the connection. */
    async uri(): Promise<string> {
      return (await session.call(procedures.connectGetUri, {})).uri;
    },

    /** The capabilities XML of host and guests. */
    async capabilities(): Promise<string> {
      return (await session.call(procedures.connectGetCapabilities, {}, EXAMINE)).capabilities;
    },

    /** The XML that says what a guest of this kind may be given. */
    async domainCapabilities({ emulator, arch, machine, virtType }: EmulatorChoice = {}): Promise<string> {
      const args = { emulatorbin: emulator, arch, machine, virttype: virtType, flags: 0 };
      return (await session.call(procedures.connectGetDomainCapabilities, args, EXAMINE)).capabilities;
    },

    /** CPU models that libvirt knows for an architecture. */
    async cpuModelNames(arch: string): Promise<string[]> {
      return (await session.call(procedures.connectGetCpuModelNames, { arch, needResults: 1, flags: 0 })).models;
    },

    /** Whether the hypervisor on this host can offer the CPU in the XML. */
    async compareCpu(xmlCPU: string, choice: EmulatorChoice = {}): Promise<CpuComparison> {
      const { emulator, arch, machine, virtType: virttype } = choice;
      const args = { emulator, arch, machine, virttype, xmlCPU, flags: 0 };
      const { result } = await session.call(procedures.connectCompareHypervisorCpu, args);
      return compareResults[result] ?? 'incompatible';
    },

    /** The XML of the best CPU that all given ones can offer. */
    async baselineCpu(xmlCPUs: string[], choice: EmulatorChoice = {}): Promise<string> {
      const { emulator, arch, machine, virtType: virttype } = choice;
      const args = { emulator, arch, machine, virttype, xmlCPUs, flags: 0 };
      return (await session.call(procedures.connectBaselineHypervisorCpu, args)).cpu;
    },

    /** Memory in KiB, frequency in MHz (0 when unknown). */
    async nodeInfo() {
      const { model, memory, ...topology } = await session.call(procedures.nodeGetInfo, {});
      const end = model.indexOf(0);
      const text = String.fromCharCode(...model.slice(0, end < 0 ? model.length : end));
      return { model: text, memoryKiB: Number(memory), ...topology };
    },

    /** Free memory of the host in bytes. */
    async freeMemory(): Promise<number> {
      return Number((await session.call(procedures.nodeGetFreeMemory, {})).freeMem);
    },

    /** Nanoseconds that the host's processors (or one of them) spent: kernel, user, idle, iowait. */
    async nodeCpuStats(cpu = ALL_CPUS): Promise<Record<string, bigint>> {
      const ask = (nparams: number) => session.call(procedures.nodeGetCpuStats, { cpuNum: cpu, nparams, flags: 0 });
      const { nparams } = await ask(COUNT_ONLY);
      return fieldsOf((await ask(nparams)).params);
    },

    /** Memory of the host (or one NUMA cell) in KiB: total, free, buffers, cached. */
    async nodeMemoryStats(cell = ALL_CELLS): Promise<Record<string, bigint>> {
      const ask = (nparams: number) =>
        session.call(procedures.nodeGetMemoryStats, { cellNum: cell, nparams, flags: 0 });
      const { nparams } = await ask(COUNT_ONLY);
      return fieldsOf((await ask(nparams)).params);
    },

    /** Free huge pages of each size (KiB) in each NUMA cell from `startCell` on, cell by cell. */
    async freePages(pages: number[], startCell = 0, cellCount = 1): Promise<bigint[]> {
      return (await session.call(procedures.nodeGetFreePages, { pages, startCell, cellCount, flags: 0 })).counts;
    },
  };
}
