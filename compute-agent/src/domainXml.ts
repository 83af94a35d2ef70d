// The libvirt definition of a server's domain. Pure. Follows libvirt's "Domain XML format".
import { createHash } from 'node:crypto';
import { interfaceName, type ServerEnsure } from '@cumulet/common';
import { markElement, type Mark } from './domainMark';
import { escapeXml } from './xml';

export type VirtType = 'kvm' | 'qemu';

export interface DomainSpec {
  readonly server: ServerEnsure;
  readonly domainName: string;
  readonly virtType: VirtType;
  /** Where the serial console is logged. */
  readonly consoleLog: string;
  /** The config drive's file. */
  readonly configDrive: string | null;
  /** Whether the disk's file system takes O_DIRECT. */
  readonly directIo: boolean;
}

const tag = (name: string, value: string): string => `<entry name='${name}'>${escapeXml(value)}</entry>`;

/** libvirt refuses titles of several lines. */
const title = (name: string): string => `<title>${escapeXml(name.replaceAll(/[\r\n]+/g, ' '))}</title>`;

/** What a guest reads about itself; cloud-init knows an OpenStack server by it. */
const systemInformation = (id: string): string =>
  "<sysinfo type='smbios'><system>" +
  tag('manufacturer', 'OpenStack Foundation') +
  tag('product', 'OpenStack Nova') +
  tag('serial', id) +
  tag('uuid', id) +
  tag('family', 'Virtual Machine') +
  '</system></sysinfo>';

function cpu(virtType: VirtType): string {
  return virtType === 'kvm' ? "<cpu mode='host-model' check='partial'/>" : "<cpu mode='maximum' check='none'/>";
}

/**
 * The cached image below the overlay. Naming it keeps libvirt from looking into headers, and `relabel='no'` from giving the
 * file, which other tenants' disks stand on too, to the user that QEMU runs as.
 */
function backing({ backing: base }: ServerEnsure['disk']): string {
  if (!base) return '';
  return (
    `<backingStore type='file'><format type='${base.format}'/><source file='${escapeXml(base.path)}'>` +
    "<seclabel model='dac' relabel='no'/></source><backingStore/></backingStore>"
  );
}

/** The guest that ends on one host must not take the file from the one that runs on another. */
const ownedByUs = "<seclabel model='dac' relabel='no'/>";

function rootDisk({ disk }: ServerEnsure, directIo: boolean): string {
  const source = `<source file='${escapeXml(disk.path)}'`;
  return (
    "<disk type='file' device='disk'>" +
    `<driver name='qemu' type='${disk.format}' cache='${directIo ? 'none' : 'writeback'}' discard='unmap'/>` +
    `${disk.shared ? `${source}>${ownedByUs}</source>` : `${source}/>`}${backing(disk)}<target dev='vda' bus='virtio'/></disk>`
  );
}

/** A read-only virtio disk: small guest kernels have no driver for CD drives. */
function configDisk(path: string | null): string {
  if (path === null) return '';
  return (
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>" +
    `<source file='${escapeXml(path)}'/><target dev='vdz' bus='virtio'/><readonly/></disk>`
  );
}

/** The network agent made the tap and wired it; libvirt only opens it. */
export function networkInterface({ port_id, mac, mtu }: ServerEnsure['interfaces'][number]): string {
  return (
    `<interface type='ethernet'><mac address='${escapeXml(mac)}'/>` +
    `<target dev='${escapeXml(interfaceName('tap', port_id))}' managed='no'/>` +
    `<model type='virtio'/><mtu size='${mtu}'/></interface>`
  );
}

/** How an agent in the guest talks to the host. */
const agentChannel = ({ guest_agent: wanted = false }: ServerEnsure): string =>
  wanted ? "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" : '';

/** The domain's XML with its mark. */
export function domainXml(spec: DomainSpec, mark: Mark): string {
  const { server, virtType } = spec;
  return [
    `<domain type='${virtType}'>`,
    `<name>${escapeXml(spec.domainName)}</name><uuid>${escapeXml(server.server_id)}</uuid>`,
    title(server.name),
    `<metadata>${markElement(mark)}</metadata>`,
    `<memory unit='MiB'>${server.memory_mib}</memory><vcpu>${server.vcpus}</vcpu>`,
    systemInformation(server.server_id),
    "<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/><smbios mode='sysinfo'/></os>",
    `<features><acpi/><apic/></features>${cpu(virtType)}<clock offset='utc'/>`,
    '<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>',
    '<devices>',
    rootDisk(server, spec.directIo),
    configDisk(spec.configDrive),
    ...server.interfaces.map(networkInterface),
    `<serial type='pty'><log file='${escapeXml(spec.consoleLog)}' append='off'/><target port='0'/></serial>`,
    "<console type='pty'><target type='serial' port='0'/></console>",
    agentChannel(server),
    "<graphics type='vnc'><listen type='socket'/></graphics><video><model type='vga'/></video>",
    // No USB: its controller keeps an emulated guest busy and nothing needs it.
    "<controller type='usb' model='none'/><memballoon model='virtio'/>",
    "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
    '</devices></domain>',
  ].join('\n');
}

/** A digest of everything in a definition but its mark's changing parts: equal means nothing to define anew. */
export function definitionDigest(spec: DomainSpec): string {
  const { server_id: serverId, project_id: projectId } = spec.server;
  const xml = domainXml(spec, { serverId, projectId, generation: 0, definition: '', reboot: null });
  return createHash('sha256').update(xml).digest('hex').slice(0, 16);
}
