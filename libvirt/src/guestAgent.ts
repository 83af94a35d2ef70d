// What a guest's agent (or its DHCP lease) knows: addresses, filesystems, passwords.
import { domainReference } from './domains';
import { procedures } from './procedures';
import type { Session } from './session';

const addressSources = { lease: 0, agent: 1, arp: 2 } as const;
const families: Record<number, 'ipv4' | 'ipv6'> = { 0: 'ipv4', 1: 'ipv6' };

export interface GuestInterface {
  name: string;
  mac: string | undefined;
  addresses: { family: 'ipv4' | 'ipv6'; address: string; prefix: number }[];
}

export function guestAgentOperations(session: Session) {
  return {
    /** The guest's interfaces with their addresses, as libvirt's leases, the guest agent or the host's ARP table tell. */
    async interfaceAddresses(uuid: string, source: keyof typeof addressSources = 'agent'): Promise<GuestInterface[]> {
      const args = { dom: domainReference(uuid), source: addressSources[source], flags: 0 };
      const { ifaces } = await session.call(procedures.domainInterfaceAddresses, args);
      return ifaces.map(({ name, hwaddr, addrs }) => ({
        name,
        mac: hwaddr,
        addresses: addrs.map(({ type, addr, prefix }) => ({ family: families[type] ?? 'ipv6', address: addr, prefix })),
      }));
    },

    /** Mounted filesystems of the guest and the disks under them. */
    async filesystems(uuid: string) {
      return (await session.call(procedures.domainGetFsinfo, { dom: domainReference(uuid), flags: 0 })).info;
    },

    /** Freezes filesystems, all unless told, until {@link thawFilesystems}. @returns how many */
    async freezeFilesystems(uuid: string, mountpoints: string[] = []): Promise<number> {
      const args = { dom: domainReference(uuid), mountpoints, flags: 0 };
      return (await session.callAlone(procedures.domainFsfreeze, args)).filesystems;
    },

    /** @returns how many filesystems were thawed */
    async thawFilesystems(uuid: string, mountpoints: string[] = []): Promise<number> {
      const args = { dom: domainReference(uuid), mountpoints, flags: 0 };
      return (await session.callAlone(procedures.domainFsthaw, args)).filesystems;
    },

    /** Sets the password of a user of the guest. */
    async setUserPassword(uuid: string, user: string, password: string): Promise<void> {
      const args = { dom: domainReference(uuid), user, password, flags: 0 };
      await session.call(procedures.domainSetUserPassword, args);
    },

    /** Sends one command (JSON text) to the guest agent. @returns its answer, JSON text */
    async agentCommand(uuid: string, command: string, timeoutSeconds = 10): Promise<string | undefined> {
      const args = { dom: domainReference(uuid), cmd: command, timeout: timeoutSeconds, flags: 0 };
      return (await session.callAlone(procedures.qemuDomainAgentCommand, args)).result;
    },
  };
}
