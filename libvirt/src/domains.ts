// Domains: define, start, stop, state, description. Whatever may run twice does no harm the second time.
import { ErrorCode, LibvirtError, hasCode, orAbsent } from './errors';
import { UndefineFlag } from './flags';
import { procedures } from './procedures';
import type { Session } from './session';
import type { DomainReference } from './types';

/** A reference by uuid alone: daemons look domains up by uuid; the name shows in their messages only. */
export const domainReference = (uuid: string): DomainReference => ({ name: uuid, uuid, id: -1 });

const states = [
  'none',
  'running',
  'blocked',
  'paused',
  'shutting-down',
  'shut-off',
  'crashed',
  'pm-suspended',
] as const;
/** virDomainState in words; `shutting-down` is libvirt's SHUTDOWN, `shut-off` its SHUTOFF. */
export type DomainStateName = (typeof states)[number];

export interface DomainState {
  state: DomainStateName;
  /** The number that says why; its meaning depends on the state (virDomainRunningReason, virDomainShutoffReason, ...). */
  reason: number;
}

const shutdownModes = { any: 0, acpi: 1, agent: 2 } as const;
const CREATE_PAUSED = 1;
const CREATE_FORCE_BOOT = 8;
const DESTROY_GRACEFUL = 1;
const DEFINE_VALIDATE = 1;
const USUAL_UNDEFINE =
  UndefineFlag.MANAGED_SAVE | UndefineFlag.SNAPSHOTS_METADATA | UndefineFlag.NVRAM | UndefineFlag.CHECKPOINTS_METADATA;

const stateName = (state: number): DomainStateName => states[state] ?? 'none';

export function domainOperations(session: Session) {
  const domainState = async (uuid: string): Promise<DomainState | undefined> => {
    const found = await orAbsent(session.call(procedures.domainGetState, { dom: domainReference(uuid), flags: 0 }));
    return found && { state: stateName(found.state), reason: found.reason };
  };
  const isPersistent = async (uuid: string): Promise<boolean> =>
    (await session.call(procedures.domainIsPersistent, { dom: domainReference(uuid) })).persistent !== 0;

  return {
    /** All domains, or those that {@link ListFlag} values select. */
    async domains(flags = 0): Promise<DomainReference[]> {
      return (await session.call(procedures.connectListAllDomains, { needResults: 1, flags })).domains;
    },

    /** The domain's name and, when it runs, its id; undefined when there is none. */
    async lookupDomain(uuid: string): Promise<DomainReference | undefined> {
      return (await orAbsent(session.call(procedures.domainLookupByUuid, { uuid })))?.dom;
    },

    async lookupDomainByName(name: string): Promise<DomainReference | undefined> {
      return (await orAbsent(session.call(procedures.domainLookupByName, { name })))?.dom;
    },

    /** Defines a domain, or redefines the one with the same uuid and name. `validate` checks the XML against the schema. */
    async defineDomain(xml: string, { validate = false } = {}): Promise<DomainReference> {
      const flags = validate ? DEFINE_VALIDATE : 0;
      return (await session.call(procedures.domainDefineXmlFlags, { xml, flags })).dom;
    },

    /** Starts a defined domain; one that runs already is left alone. `forceBoot` drops a managed save image. */
    async startDomain(uuid: string, { paused = false, forceBoot = false } = {}): Promise<void> {
      const flags = (paused ? CREATE_PAUSED : 0) | (forceBoot ? CREATE_FORCE_BOOT : 0);
      try {
        await session.call(procedures.domainCreateWithFlags, { dom: domainReference(uuid), flags });
      } catch (error) {
        const wanted: DomainStateName[] = paused ? ['running', 'blocked', 'paused'] : ['running', 'blocked'];
        // Drivers say "already running" with different codes; the state tells.
        const state = error instanceof LibvirtError ? (await domainState(uuid))?.state : undefined;
        if (!state || !wanted.includes(state)) throw error;
      }
    },

    /** Asks the guest to power off; returns when asked, the `lifecycle` event or the state tells when it did. */
    async shutdownDomain(uuid: string, mode: keyof typeof shutdownModes = 'any'): Promise<void> {
      await session.call(procedures.domainShutdownFlags, { dom: domainReference(uuid), flags: shutdownModes[mode] });
    },

    /** Asks the guest to restart. */
    async rebootDomain(uuid: string, mode: keyof typeof shutdownModes = 'any'): Promise<void> {
      await session.call(procedures.domainReboot, { dom: domainReference(uuid), flags: shutdownModes[mode] });
    },

    /** Presses the reset button. */
    async resetDomain(uuid: string): Promise<void> {
      await session.call(procedures.domainReset, { dom: domainReference(uuid), flags: 0 });
    },

    /** Stops the vCPUs; memory stays. */
    async suspendDomain(uuid: string): Promise<void> {
      await session.call(procedures.domainSuspend, { dom: domainReference(uuid) });
    },

    async resumeDomain(uuid: string): Promise<void> {
      await session.call(procedures.domainResume, { dom: domainReference(uuid) });
    },

    /** Pulls the plug; nothing happens when the domain is off or does not exist. `graceful` never kills by SIGKILL. */
    async destroyDomain(uuid: string, { graceful = false } = {}): Promise<void> {
      const flags = graceful ? DESTROY_GRACEFUL : 0;
      try {
        await session.call(procedures.domainDestroyFlags, { dom: domainReference(uuid), flags });
      } catch (error) {
        if (!hasCode(error, ErrorCode.NO_DOMAIN, ErrorCode.OPERATION_INVALID)) throw error;
      }
    },

    /**
     * Removes the definition; nothing happens when there is none. A running domain goes on and vanishes when it stops.
     * `flags` are {@link UndefineFlag} values; unless told: managed save, snapshot and checkpoint metadata and NVRAM go too.
     */
    async undefineDomain(uuid: string, flags: number = USUAL_UNDEFINE): Promise<void> {
      try {
        await session.call(procedures.domainUndefineFlags, { dom: domainReference(uuid), flags });
      } catch (error) {
        if (hasCode(error, ErrorCode.NO_DOMAIN)) return;
        // The daemon says "invalid" for a domain that has no definition, but also when a flag was missing.
        if (!hasCode(error, ErrorCode.OPERATION_INVALID) || (await isPersistent(uuid))) throw error;
      }
    },

    /** The state as the daemon sees it; undefined when there is no such domain. */
    domainState,

    /** Whether the domain stays defined when it stops. */
    isPersistent,

    /** Memory in KiB, CPU time in nanoseconds. */
    async domainInfo(uuid: string) {
      const info = await session.call(procedures.domainGetInfo, { dom: domainReference(uuid) });
      return {
        state: stateName(info.state),
        maxMemoryKiB: Number(info.maxMem),
        memoryKiB: Number(info.memory),
        vcpus: info.nrVirtCpu,
        cpuTimeNs: info.cpuTime,
      };
    },

    /** The domain's XML: the live one of a running domain; `flags` are {@link XmlFlag} values. */
    async domainXml(uuid: string, flags = 0): Promise<string> {
      return (await session.call(procedures.domainGetXmlDesc, { dom: domainReference(uuid), flags })).xml;
    },

    async autostart(uuid: string): Promise<boolean> {
      return (await session.call(procedures.domainGetAutostart, { dom: domainReference(uuid) })).autostart !== 0;
    },

    /** Whether the daemon starts the domain when it starts itself. */
    async setAutostart(uuid: string, autostart: boolean): Promise<void> {
      await session.call(procedures.domainSetAutostart, { dom: domainReference(uuid), autostart: autostart ? 1 : 0 });
    },

    /** @returns the new name's reference; the domain must be off. */
    async renameDomain(uuid: string, name: string): Promise<void> {
      await session.call(procedures.domainRename, { dom: domainReference(uuid), newName: name, flags: 0 });
    },

    /** Writes the memory to disk and stops the domain; the next start restores it. May take minutes. */
    async managedSave(uuid: string): Promise<void> {
      await session.callAlone(procedures.domainManagedSave, { dom: domainReference(uuid), flags: 0 });
    },

    async hasManagedSave(uuid: string): Promise<boolean> {
      const args = { dom: domainReference(uuid), flags: 0 };
      return (await session.call(procedures.domainHasManagedSaveImage, args)).result !== 0;
    },

    async managedSaveRemove(uuid: string): Promise<void> {
      await session.call(procedures.domainManagedSaveRemove, { dom: domainReference(uuid), flags: 0 });
    },
  };
}
