// The part of libvirt that this agent uses: what a test's stand-in must offer.
import type { Duplex } from 'node:stream';
import type { LibvirtClient } from '@cumulet/libvirt';

interface Consoles {
  /** Bytes from and to the serial port of a running guest; `force` takes over from another reader. */
  readonly openConsole: (uuid: string, options: { force: boolean }) => Promise<Duplex>;
}

export type Hypervisor = Consoles &
  Pick<
    LibvirtClient,
    | 'abortJob'
    | 'allDomainStats'
    | 'attachDevice'
    | 'beginBackup'
    | 'capabilities'
    | 'close'
    | 'compareCpu'
    | 'defineDomain'
    | 'destroyDomain'
    | 'detachDeviceByAlias'
    | 'domainCapabilities'
    | 'domains'
    | 'domainState'
    | 'domainXml'
    | 'hasManagedSave'
    | 'jobStats'
    | 'lookupDomain'
    | 'managedSave'
    | 'managedSaveRemove'
    | 'memoryStats'
    | 'nodeInfo'
    | 'on'
    | 'receiveDomain'
    | 'resumeDomain'
    | 'sendDomain'
    | 'setUserPassword'
    | 'shutdownDomain'
    | 'startDomain'
    | 'suspendDomain'
    | 'undefineDomain'
    | 'version'
  >;
