// The part of libvirt that this agent uses: what a test's stand-in must offer.
import type { LibvirtClient } from '@cumulet/libvirt';

export type Hypervisor = Pick<
  LibvirtClient,
  | 'abortJob'
  | 'allDomainStats'
  | 'attachDevice'
  | 'beginBackup'
  | 'capabilities'
  | 'close'
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
  | 'resumeDomain'
  | 'setUserPassword'
  | 'shutdownDomain'
  | 'startDomain'
  | 'suspendDomain'
  | 'undefineDomain'
  | 'version'
>;
