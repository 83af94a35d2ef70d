// What a running guest has used, from libvirt's statistics.
import { HostError, type Diagnostics, type Traffic } from '@cumulet/common';
import { ErrorCode, hasCode, Stats, type DomainStats } from '@cumulet/libvirt';
import { findDomain, type ServerContext } from './ensureServer';
import { doing } from './faults';

type Statistics = DomainStats['statistics'];

/** A figure; -1 when the hypervisor does not count it. */
const figure = (statistics: Statistics, name: string): number => Number(statistics[name] ?? -1);
/** `list('net')` has the prefixes "net.0", "net.1", ... */
const list = (statistics: Statistics, group: string, count = `${group}.count`): string[] =>
  Array.from({ length: Number(statistics[count] ?? 0) }, (_, index) => `${group}.${index}`);

function traffic(statistics: Statistics, prefix: string): Traffic {
  const count = (name: string): number => figure(statistics, `${prefix}.${name}`);
  return { bytes: count('bytes'), packets: count('pkts'), errors: count('errs'), drops: count('drop') };
}

/** The figures of `virConnectGetAllDomainStats`, named. */
function diagnosticsFrom(statistics: Statistics): Omit<Diagnostics, 'hypervisor' | 'memory'> {
  return {
    cpuTimes: list(statistics, 'vcpu', 'vcpu.current').map((prefix) => figure(statistics, `${prefix}.time`)),
    disks: list(statistics, 'block').map((prefix) => ({
      device: String(statistics[`${prefix}.name`]),
      readRequests: figure(statistics, `${prefix}.rd.reqs`),
      readBytes: figure(statistics, `${prefix}.rd.bytes`),
      writeRequests: figure(statistics, `${prefix}.wr.reqs`),
      writeBytes: figure(statistics, `${prefix}.wr.bytes`),
      errors: figure(statistics, `${prefix}.errors`),
    })),
    interfaces: list(statistics, 'net').map((prefix) => ({
      device: String(statistics[`${prefix}.name`]),
      received: traffic(statistics, `${prefix}.rx`),
      sent: traffic(statistics, `${prefix}.tx`),
    })),
    maximumMemory: figure(statistics, 'balloon.maximum'),
  };
}

const notRunning = (): HostError => new HostError('not_running', 'the server is not running', { retryable: false });

/** @throws HostError not_running */
export async function readDiagnostics(context: ServerContext, serverId: string): Promise<Diagnostics> {
  const { hypervisor, virtType } = context;
  return doing('looking at the server', async () => {
    if (!(await findDomain(context, serverId))) throw notRunning();
    const wanted = Stats.VCPU | Stats.BALLOON | Stats.INTERFACE | Stats.BLOCK;
    const [found] = await hypervisor.allDomainStats(wanted, { uuids: [serverId] });
    if (!found) throw notRunning();
    try {
      const memory = await hypervisor.memoryStats(serverId);
      return { ...diagnosticsFrom(found.statistics), memory, hypervisor: virtType };
    } catch (error) {
      throw hasCode(error, ErrorCode.OPERATION_INVALID, ErrorCode.NO_DOMAIN) ? notRunning() : error;
    }
  });
}
