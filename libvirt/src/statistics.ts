// Figures of domains: all at once, or one disk, interface or vCPU.
import { domainReference } from './domains';
import { procedures } from './procedures';
import type { Session } from './session';
import { parametersOf } from './types';
import type { DomainReference, Parameters } from './types';

export interface DomainStats {
  domain: DomainReference;
  /** For example `cpu.time` (ns), `balloon.current` (KiB), `net.0.rx.bytes`, `block.0.wr.bytes`. */
  statistics: Parameters;
}

const memoryTags = [
  'swapIn',
  'swapOut',
  'majorFault',
  'minorFault',
  'unused',
  'available',
  'actualBalloon',
  'rss',
  'usable',
  'lastUpdate',
  'diskCaches',
  'hugetlbPgalloc',
  'hugetlbPgfail',
];
const MAX_MEMORY_STATS = 1024;

export function statisticsOperations(session: Session) {
  return {
    /**
     * Statistics of several domains in one call. `stats` are {@link Stats} values, 0 for all; without `uuids` every domain
     * answers. `flags` as of virConnectGetAllDomainStats.
     */
    async allDomainStats(stats = 0, { uuids = [] as readonly string[], flags = 0 } = {}): Promise<DomainStats[]> {
      const doms = uuids.map(domainReference);
      const { retStats } = await session.call(procedures.connectGetAllDomainStats, { doms, stats, flags });
      return retStats.map(({ dom, params }) => ({ domain: dom, statistics: parametersOf(params) }));
    },

    /** Requests and bytes of a disk, by its target (`vda`) or path; -1 for what the hypervisor does not count. */
    blockStats(uuid: string, disk: string) {
      return session.call(procedures.domainBlockStats, { dom: domainReference(uuid), path: disk });
    },

    /** Sizes of a disk in bytes: capacity as the guest sees it, allocation and physical on the host. */
    async blockInfo(uuid: string, disk: string) {
      const args = { dom: domainReference(uuid), path: disk, flags: 0 };
      const { allocation, capacity, physical } = await session.call(procedures.domainGetBlockInfo, args);
      return { allocation: Number(allocation), capacity: Number(capacity), physical: Number(physical) };
    },

    /** Bytes and packets of an interface, by its target device (`tap0`). */
    interfaceStats(uuid: string, device: string) {
      return session.call(procedures.domainInterfaceStats, { dom: domainReference(uuid), device });
    },

    /** What the balloon reports, in KiB, by name; a number nobody named yet is `tag-N`. */
    async memoryStats(uuid: string): Promise<Record<string, number>> {
      const args = { dom: domainReference(uuid), maxStats: MAX_MEMORY_STATS, flags: 0 };
      const { stats } = await session.call(procedures.domainMemoryStats, args);
      return Object.fromEntries(stats.map(({ tag, val }) => [memoryTags[tag] ?? `tag-${tag}`, Number(val)]));
    },

    /** The vCPUs of a running domain: host CPU and time used in nanoseconds. */
    async vcpus(uuid: string, max = 4096) {
      const args = { dom: domainReference(uuid), maxinfo: max, maplen: 0 };
      return (await session.call(procedures.domainGetVcpus, args)).info;
    },
  };
}
