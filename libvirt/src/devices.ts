// Devices and size of a domain: attach, detach, vCPUs, memory, disks; its console, screen and metadata.
import { domainReference } from './domains';
import { ErrorCode, LibvirtError, hasCode, orAbsent } from './errors';
import { Affect, ConsoleFlag, XmlFlag } from './flags';
import { procedures } from './procedures';
import type { Session } from './session';
import { VirStream } from './stream';

const MAXIMUM = 4;
const GUEST = 8;
const SIZE_IN_BYTES = 1;
const METADATA_ELEMENT = 2;
const metadataTypes = { description: 0, title: 1 } as const;
/** virKeycodeSet */
const keycodeSets = { linux: 0, xt: 1, atset1: 2, atset2: 3, atset3: 4, os_x: 5, xt_kbd: 6, usb: 7, win32: 8, qnum: 9 };

export interface ChangeOptions {
  /** {@link Affect} values; unless told what the domain's state calls for. */
  affect?: number;
  /** Set the most there may be instead of what there is. */
  maximum?: boolean;
}

export function deviceOperations(session: Session) {
  return {
    /** Adds a device. `affect` says where: {@link Affect} values, unless told what the domain's state calls for. */
    async attachDevice(uuid: string, xml: string, affect: number = Affect.CURRENT): Promise<void> {
      await session.call(procedures.domainAttachDeviceFlags, { dom: domainReference(uuid), xml, flags: affect });
    },

    /**
     * Asks for a device to be removed; one that is not there is fine. From a running guest it is gone only when
     * `deviceRemoved` says so or the live XML no longer shows it; `deviceRemovalFailed` tells that the guest refused.
     */
    async detachDevice(uuid: string, xml: string, affect: number = Affect.CURRENT): Promise<void> {
      try {
        await session.call(procedures.domainDetachDeviceFlags, { dom: domainReference(uuid), xml, flags: affect });
      } catch (error) {
        if (!hasCode(error, ErrorCode.DEVICE_MISSING)) throw error;
      }
    },

    /** {@link detachDevice} by the device's alias, for example `ua-1f2e` or `virtio-disk1`. */
    async detachDeviceByAlias(uuid: string, alias: string, affect: number = Affect.CURRENT): Promise<void> {
      const dom = domainReference(uuid);
      try {
        await session.call(procedures.domainDetachDeviceAlias, { dom, alias, flags: affect });
      } catch (error) {
        if (hasCode(error, ErrorCode.DEVICE_MISSING)) return;
        // Older daemons call a missing alias an internal error; the XML tells.
        const flags = affect === Affect.CONFIG ? XmlFlag.INACTIVE : 0;
        const { xml } = await session.call(procedures.domainGetXmlDesc, { dom, flags });
        if (!(error instanceof LibvirtError) || xml.includes(`<alias name='${alias}'/>`)) throw error;
      }
    },

    /** Changes what can be changed of a device: a CD's medium, an interface's link state. */
    async updateDevice(uuid: string, xml: string, affect: number = Affect.CURRENT): Promise<void> {
      await session.call(procedures.domainUpdateDeviceFlags, { dom: domainReference(uuid), xml, flags: affect });
    },

    /** Sets the number of vCPUs, or the most there may be; `guest` asks the guest agent to switch them. */
    async setVcpus(
      uuid: string,
      count: number,
      { affect = Affect.CURRENT, maximum = false, guest = false }: ChangeOptions & { guest?: boolean } = {},
    ): Promise<void> {
      const flags = affect | (maximum ? MAXIMUM : 0) | (guest ? GUEST : 0);
      await session.call(procedures.domainSetVcpusFlags, { dom: domainReference(uuid), nvcpus: count, flags });
    },

    /** Sets the memory that the guest has, or the most it may have, in KiB. */
    async setMemory(
      uuid: string,
      kib: number,
      { affect = Affect.CURRENT, maximum = false }: ChangeOptions = {},
    ): Promise<void> {
      const flags = affect | (maximum ? MAXIMUM : 0);
      await session.call(procedures.domainSetMemoryFlags, { dom: domainReference(uuid), memory: BigInt(kib), flags });
    },

    /** Grows a disk of a running domain, by its target (`vda`) or path. */
    async resizeBlock(uuid: string, disk: string, bytes: number): Promise<void> {
      const args = { dom: domainReference(uuid), disk, size: BigInt(bytes), flags: SIZE_IN_BYTES };
      await session.call(procedures.domainBlockResize, args);
    },

    /**
     * The console of a running domain: bytes both ways, until either side ends it or the guest stops. `device` is the
     * alias of a serial, parallel or console device, the first unless told. One reader at a time: `force` takes over.
     */
    async openConsole(
      uuid: string,
      { device, force = false }: { device?: string; force?: boolean } = {},
    ): Promise<VirStream> {
      const args = { dom: domainReference(uuid), devName: device, flags: force ? ConsoleFlag.FORCE : 0 };
      const connection = await session.openForStream();
      return (await VirStream.open(connection, procedures.domainOpenConsole, args, 'both')).stream;
    },

    /** A picture of the screen, and its format as a MIME type. */
    async screenshot(uuid: string, screen = 0): Promise<{ stream: VirStream; mime: string | undefined }> {
      const connection = await session.openForStream();
      const args = { dom: domainReference(uuid), screen, flags: 0 };
      const { stream, result } = await VirStream.open(connection, procedures.domainScreenshot, args, 'read');
      return { stream, mime: result.mime };
    },

    /** Presses keys together for `holdMs`. */
    async sendKeys(
      uuid: string,
      keycodes: number[],
      { set = 'linux', holdMs = 0 }: { set?: keyof typeof keycodeSets; holdMs?: number } = {},
    ) {
      const args = { dom: domainReference(uuid), codeset: keycodeSets[set], holdtime: holdMs, keycodes, flags: 0 };
      await session.call(procedures.domainSendKey, args);
    },

    /** Sends a non-maskable interrupt: Linux guests crash or dump when told to. */
    async injectNmi(uuid: string): Promise<void> {
      await session.call(procedures.domainInjectNmi, { dom: domainReference(uuid), flags: 0 });
    },

    /** Sets a domain's description or title; undefined removes it. */
    async setText(
      uuid: string,
      kind: keyof typeof metadataTypes,
      text: string | undefined,
      affect: number = Affect.CURRENT,
    ): Promise<void> {
      const args = { type: metadataTypes[kind], metadata: text, key: undefined, uri: undefined, flags: affect };
      await session.call(procedures.domainSetMetadata, { dom: domainReference(uuid), ...args });
    },

    /** Stores an XML element in the domain's metadata, under a namespace of one's own; undefined removes it. */
    async setMetadata(
      uuid: string,
      { uri, prefix, xml }: { uri: string; prefix: string; xml: string | undefined },
      affect: number = Affect.CURRENT,
    ): Promise<void> {
      const args = { type: METADATA_ELEMENT, metadata: xml, key: prefix, uri, flags: affect };
      await session.call(procedures.domainSetMetadata, { dom: domainReference(uuid), ...args });
    },

    /** The metadata element of a namespace; undefined when there is none, or no domain. */
    async metadata(uuid: string, uri: string, affect: number = Affect.CURRENT): Promise<string | undefined> {
      const args = { dom: domainReference(uuid), type: METADATA_ELEMENT, uri, flags: affect };
      return (await orAbsent(session.call(procedures.domainGetMetadata, args)))?.metadata;
    },
  };
}
