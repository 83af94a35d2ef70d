// What the host offers to servers, and whether hardware virtualization really works on it.
import { readFile, statfs } from 'node:fs/promises';
import { XMLParser } from 'fast-xml-parser';
import { LibvirtError } from '@cumulet/libvirt';
import type { VirtType } from './domainXml';
import type { Hypervisor } from './hypervisor';
import { hostTraits } from './traits';

const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false });
const GIB = 1024 ** 3;

/** Whether the processor has what KVM needs, by the flags in /proc/cpuinfo. /dev/kvm alone proves nothing. */
export function hasVirtualizationFlags(cpuinfo: string): boolean {
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo);
}

/** The type that works here: KVM needs the processor and the emulator to agree. `capabilities` is undefined when refused. */
export function chooseVirtType(cpuinfo: string, capabilities: string | undefined): VirtType {
  if (capabilities === undefined || !hasVirtualizationFlags(cpuinfo)) return 'qemu';
  const parsed = parser.parse(capabilities) as { domainCapabilities?: { domain?: string } };
  return parsed.domainCapabilities?.domain === 'kvm' ? 'kvm' : 'qemu';
}

/** Asks libvirt only when the processor could: the answer takes seconds where it can't. */
export async function detectVirtType(hypervisor: Pick<Hypervisor, 'domainCapabilities'>): Promise<VirtType> {
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8');
  if (!hasVirtualizationFlags(cpuinfo)) return 'qemu';
  try {
    return chooseVirtType(cpuinfo, await hypervisor.domainCapabilities({ virtType: 'kvm' }));
  } catch (error) {
    // That the daemon can't do KVM is an answer; that it can't be asked is not.
    if (error instanceof LibvirtError) return 'qemu';
    throw error;
  }
}

/** "7.2.22" -> 7002022, the number that hypervisors report in the compute API. */
export function versionNumber(version: string): number {
  const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
  return major * 1_000_000 + minor * 1_000 + micro;
}

interface HostCpu {
  readonly arch: string;
  readonly model: string;
  readonly vendor: string;
}

/** The processor in libvirt's capabilities. */
export function hostCpu(capabilities: string): HostCpu {
  const parsed = parser.parse(capabilities) as { capabilities?: { host?: { cpu?: Partial<HostCpu> } } };
  const { arch = 'x86_64', model = 'unknown', vendor = 'unknown' } = parsed.capabilities?.host?.cpu ?? {};
  return { arch, model, vendor };
}

/** What is sent at registration. Memory in MiB, disk in GiB. */
export async function computeInventory(
  hypervisor: Hypervisor,
  dir: string,
  virtType: VirtType,
): Promise<Record<string, unknown>> {
  const [node, version, capabilities, disk, bootId, cpuinfo] = await Promise.all([
    hypervisor.nodeInfo(),
    hypervisor.version(),
    hypervisor.capabilities(),
    statfs(dir),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    readFile('/proc/cpuinfo', 'utf8'),
  ]);
  const processor = hostCpu(capabilities);
  return {
    vcpus: node.cpus,
    memory_mib: Math.floor(node.memoryKiB / 1024),
    disk_gib: Math.floor((disk.blocks * disk.bsize) / GIB),
    cpu_info: {
      ...processor,
      topology: { sockets: node.sockets, cores: node.cores, threads: node.threads },
    },
    hypervisor_type: 'QEMU',
    hypervisor_version: versionNumber(version.hypervisor),
    libvirt_version: version.library,
    virt_type: virtType,
    traits: hostTraits({ arch: processor.arch, threads: node.threads, cpuinfo, kvm: virtType === 'kvm' }),
    /** Another value than last time means that the host was restarted, and that is why its servers are off. */
    boot_id: bootId.trim(),
  };
}
