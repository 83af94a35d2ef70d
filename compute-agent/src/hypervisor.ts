// The part of libvirt that this agent uses: what a test's stand-in must offer.
import type { LibvirtClient } from '@cumulet/libvirt';

export type Hypervisor = Pick<
  LibvirtClient,
  | 'allDomainStats'
  | 'attachDevice'
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
  | 'lookupDomain'
  | 'managedSave'
  | 'managedSaveRemove'
  | 'nodeInfo'
  | 'on'
  | 'resumeDomain'
  | 'shutdownDomain'
  | 'startDomain'
  | 'suspendDomain'
  | 'undefineDomain'
  | 'version'
>;
