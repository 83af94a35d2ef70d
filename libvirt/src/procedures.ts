// The procedures of libvirt's RPC that this package speaks: one table of numbers and structures, no logic. The numbers are
// a wire ABI that is only ever appended to (remote_protocol.x, qemu_protocol.x), so they serve every daemon since 8.0.
import { arrayOf, fixedArray, i32, i64, i8, opaque, optional, string, struct, u16, u32, u64, u8, uuid } from './codec';
import type { Codec } from './codec';
import { Program } from './packet';
import {
  LIST_LIMIT,
  dom,
  domainInterface,
  filesystemInfo,
  memoryStat,
  net,
  nodeStat,
  nwfilter,
  pool,
  secret,
  snap,
  statsRecord,
  typedParameters,
  vcpuInfo,
  vol,
} from './types';

/** One remote call: what it is called, where it is found, what travels in each direction. */
export interface Procedure<A, R> {
  /** libvirt's own name, for example `DOMAIN_CREATE_WITH_FLAGS`. */
  readonly name: string;
  readonly program: number;
  readonly number: number;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
}

const procedure = <A, R>(number: number, args: Codec<A>, result: Codec<R>): Omit<Procedure<A, R>, 'name'> => ({
  program: Program.REMOTE,
  number,
  args,
  result,
});
const qemuProcedure = <A, R>(number: number, args: Codec<A>, result: Codec<R>): Omit<Procedure<A, R>, 'name'> => ({
  ...procedure(number, args, result),
  program: Program.QEMU,
});
const nothing = struct({});

const table = {
  // Connection, authentication, host
  authList: procedure(66, nothing, struct({ types: arrayOf(i32, 64) })),
  authPolkit: procedure(70, nothing, struct({ complete: i32 })),
  connectSupportsFeature: procedure(60, struct({ feature: i32 }), struct({ supported: i32 })),
  connectOpen: procedure(1, struct({ name: optional(string), flags: u32 }), nothing),
  connectClose: procedure(2, nothing, nothing),
  connectGetType: procedure(3, nothing, struct({ type: string })),
  connectGetVersion: procedure(4, nothing, struct({ hvVer: u64 })),
  connectGetLibVersion: procedure(157, nothing, struct({ libVer: u64 })),
  connectGetHostname: procedure(59, nothing, struct({ hostname: string })),
  connectGetUri: procedure(110, nothing, struct({ uri: string })),
  connectGetCapabilities: procedure(7, nothing, struct({ capabilities: string })),
  connectGetDomainCapabilities: procedure(
    342,
    struct({
      emulatorbin: optional(string),
      arch: optional(string),
      machine: optional(string),
      virttype: optional(string),
      flags: u32,
    }),
    struct({ capabilities: string }),
  ),
  connectGetCpuModelNames: procedure(
    312,
    struct({ arch: string, needResults: i32, flags: u32 }),
    struct({ models: arrayOf(string, LIST_LIMIT), ret: i32 }),
  ),
  connectCompareHypervisorCpu: procedure(
    393,
    struct({
      emulator: optional(string),
      arch: optional(string),
      machine: optional(string),
      virttype: optional(string),
      xmlCPU: string,
      flags: u32,
    }),
    struct({ result: i32 }),
  ),
  connectBaselineHypervisorCpu: procedure(
    394,
    struct({
      emulator: optional(string),
      arch: optional(string),
      machine: optional(string),
      virttype: optional(string),
      xmlCPUs: arrayOf(string, LIST_LIMIT),
      flags: u32,
    }),
    struct({ cpu: string }),
  ),
  nodeGetInfo: procedure(
    6,
    nothing,
    struct({
      model: fixedArray(i8, 32),
      memory: u64,
      cpus: i32,
      mhz: i32,
      nodes: i32,
      sockets: i32,
      cores: i32,
      threads: i32,
    }),
  ),
  nodeGetFreeMemory: procedure(102, nothing, struct({ freeMem: u64 })),
  nodeGetCpuStats: procedure(
    227,
    struct({ cpuNum: i32, nparams: i32, flags: u32 }),
    struct({ params: arrayOf(nodeStat, 16), nparams: i32 }),
  ),
  nodeGetMemoryStats: procedure(
    228,
    struct({ nparams: i32, cellNum: i32, flags: u32 }),
    struct({ params: arrayOf(nodeStat, 16), nparams: i32 }),
  ),
  nodeGetFreePages: procedure(
    340,
    struct({ pages: arrayOf(u32, 1024), startCell: i32, cellCount: u32, flags: u32 }),
    struct({ counts: arrayOf(u64, 1024) }),
  ),

  // Domain lifecycle
  connectListAllDomains: procedure(
    273,
    struct({ needResults: i32, flags: u32 }),
    struct({ domains: arrayOf(dom, LIST_LIMIT), ret: u32 }),
  ),
  domainLookupByUuid: procedure(24, struct({ uuid }), struct({ dom })),
  domainLookupByName: procedure(23, struct({ name: string }), struct({ dom })),
  domainDefineXmlFlags: procedure(350, struct({ xml: string, flags: u32 }), struct({ dom })),
  domainCreateWithFlags: procedure(196, struct({ dom, flags: u32 }), struct({ dom })),
  domainCreateXml: procedure(10, struct({ xmlDesc: string, flags: u32 }), struct({ dom })),
  domainShutdownFlags: procedure(258, struct({ dom, flags: u32 }), nothing),
  domainReboot: procedure(27, struct({ dom, flags: u32 }), nothing),
  domainReset: procedure(245, struct({ dom, flags: u32 }), nothing),
  domainSuspend: procedure(34, struct({ dom }), nothing),
  domainResume: procedure(28, struct({ dom }), nothing),
  domainDestroyFlags: procedure(234, struct({ dom, flags: u32 }), nothing),
  domainUndefineFlags: procedure(231, struct({ dom, flags: u32 }), nothing),
  domainGetState: procedure(212, struct({ dom, flags: u32 }), struct({ state: i32, reason: i32 })),
  domainGetInfo: procedure(
    16,
    struct({ dom }),
    struct({ state: u8, maxMem: u64, memory: u64, nrVirtCpu: u16, cpuTime: u64 }),
  ),
  domainGetXmlDesc: procedure(14, struct({ dom, flags: u32 }), struct({ xml: string })),
  domainGetAutostart: procedure(15, struct({ dom }), struct({ autostart: i32 })),
  domainSetAutostart: procedure(29, struct({ dom, autostart: i32 }), nothing),
  domainSetMetadata: procedure(
    264,
    struct({ dom, type: i32, metadata: optional(string), key: optional(string), uri: optional(string), flags: u32 }),
    nothing,
  ),
  domainGetMetadata: procedure(
    265,
    struct({ dom, type: i32, uri: optional(string), flags: u32 }),
    struct({ metadata: string }),
  ),
  domainRename: procedure(358, struct({ dom, newName: optional(string), flags: u32 }), struct({ retcode: i32 })),
  domainIsActive: procedure(150, struct({ dom }), struct({ active: i32 })),
  domainIsPersistent: procedure(151, struct({ dom }), struct({ persistent: i32 })),
  domainManagedSave: procedure(182, struct({ dom, flags: u32 }), nothing),
  domainHasManagedSaveImage: procedure(183, struct({ dom, flags: u32 }), struct({ result: i32 })),
  domainManagedSaveRemove: procedure(184, struct({ dom, flags: u32 }), nothing),

  // Devices, resize, console, guest agent
  domainAttachDeviceFlags: procedure(160, struct({ dom, xml: string, flags: u32 }), nothing),
  domainDetachDeviceFlags: procedure(161, struct({ dom, xml: string, flags: u32 }), nothing),
  domainDetachDeviceAlias: procedure(392, struct({ dom, alias: string, flags: u32 }), nothing),
  domainUpdateDeviceFlags: procedure(174, struct({ dom, xml: string, flags: u32 }), nothing),
  domainSetVcpusFlags: procedure(199, struct({ dom, nvcpus: u32, flags: u32 }), nothing),
  domainSetMemoryFlags: procedure(204, struct({ dom, memory: u64, flags: u32 }), nothing),
  domainBlockResize: procedure(251, struct({ dom, disk: string, size: u64, flags: u32 }), nothing),
  domainOpenConsole: procedure(201, struct({ dom, devName: optional(string), flags: u32 }), nothing),
  domainScreenshot: procedure(211, struct({ dom, screen: u32, flags: u32 }), struct({ mime: optional(string) })),
  domainSendKey: procedure(
    226,
    struct({ dom, codeset: u32, holdtime: u32, keycodes: arrayOf(u32, 1024), flags: u32 }),
    nothing,
  ),
  domainInjectNmi: procedure(210, struct({ dom, flags: u32 }), nothing),
  domainInterfaceAddresses: procedure(
    353,
    struct({ dom, source: u32, flags: u32 }),
    struct({ ifaces: arrayOf(domainInterface, 2048) }),
  ),
  domainGetFsinfo: procedure(
    349,
    struct({ dom, flags: u32 }),
    struct({ info: arrayOf(filesystemInfo, 256), ret: u32 }),
  ),
  domainFsfreeze: procedure(
    335,
    struct({ dom, mountpoints: arrayOf(string, LIST_LIMIT), flags: u32 }),
    struct({ filesystems: i32 }),
  ),
  domainFsthaw: procedure(
    336,
    struct({ dom, mountpoints: arrayOf(string, LIST_LIMIT), flags: u32 }),
    struct({ filesystems: i32 }),
  ),
  domainSetUserPassword: procedure(
    357,
    struct({ dom, user: optional(string), password: optional(string), flags: u32 }),
    nothing,
  ),
  qemuDomainAgentCommand: qemuProcedure(
    3,
    struct({ dom, cmd: string, timeout: i32, flags: u32 }),
    struct({ result: optional(string) }),
  ),

  // Statistics
  connectGetAllDomainStats: procedure(
    344,
    struct({ doms: arrayOf(dom, LIST_LIMIT), stats: u32, flags: u32 }),
    struct({ retStats: arrayOf(statsRecord, LIST_LIMIT) }),
  ),
  domainBlockStats: procedure(
    64,
    struct({ dom, path: string }),
    struct({ rdReq: i64, rdBytes: i64, wrReq: i64, wrBytes: i64, errs: i64 }),
  ),
  domainGetBlockInfo: procedure(
    194,
    struct({ dom, path: string, flags: u32 }),
    struct({ allocation: u64, capacity: u64, physical: u64 }),
  ),
  domainInterfaceStats: procedure(
    65,
    struct({ dom, device: string }),
    struct({
      rxBytes: i64,
      rxPackets: i64,
      rxErrs: i64,
      rxDrop: i64,
      txBytes: i64,
      txPackets: i64,
      txErrs: i64,
      txDrop: i64,
    }),
  ),
  domainMemoryStats: procedure(
    159,
    struct({ dom, maxStats: u32, flags: u32 }),
    struct({ stats: arrayOf(memoryStat, 1024) }),
  ),
  domainGetVcpus: procedure(
    20,
    struct({ dom, maxinfo: i32, maplen: i32 }),
    struct({ info: arrayOf(vcpuInfo, LIST_LIMIT), cpumaps: opaque }),
  ),

  // Block jobs, snapshots, limits
  domainBlockCopy: procedure(
    345,
    struct({ dom, path: string, destxml: string, params: typedParameters, flags: u32 }),
    nothing,
  ),
  domainBlockPull: procedure(240, struct({ dom, path: string, bandwidth: u64, flags: u32 }), nothing),
  domainBlockCommit: procedure(
    290,
    struct({ dom, disk: string, base: optional(string), top: optional(string), bandwidth: u64, flags: u32 }),
    nothing,
  ),
  domainGetBlockJobInfo: procedure(
    238,
    struct({ dom, path: string, flags: u32 }),
    struct({ found: i32, type: i32, bandwidth: u64, cur: u64, end: u64 }),
  ),
  domainBlockJobAbort: procedure(237, struct({ dom, path: string, flags: u32 }), nothing),
  domainSnapshotCreateXml: procedure(185, struct({ dom, xmlDesc: string, flags: u32 }), struct({ snap })),
  domainListAllSnapshots: procedure(
    274,
    struct({ dom, needResults: i32, flags: u32 }),
    struct({ snapshots: arrayOf(snap, LIST_LIMIT), ret: i32 }),
  ),
  domainSnapshotDelete: procedure(193, struct({ snap, flags: u32 }), nothing),
  domainSetBlockIoTune: procedure(252, struct({ dom, disk: string, params: typedParameters, flags: u32 }), nothing),
  domainSetInterfaceParameters: procedure(
    256,
    struct({ dom, device: string, params: typedParameters, flags: u32 }),
    nothing,
  ),
  domainSetSchedulerParametersFlags: procedure(219, struct({ dom, params: typedParameters, flags: u32 }), nothing),
  domainBackupBegin: procedure(
    421,
    struct({ dom, backupXml: string, checkpointXml: optional(string), flags: u32 }),
    nothing,
  ),

  // Migration: peer to peer, so one call that ends when the guest has moved
  domainMigratePerform3Params: procedure(
    305,
    struct({ dom, dconnuri: optional(string), params: typedParameters, cookieIn: opaque, flags: u32 }),
    struct({ cookieOut: opaque }),
  ),
  // The same in steps, each asked by the migration's manager of the daemon that it concerns
  domainMigrateBegin3Params: procedure(
    302,
    struct({ dom, params: typedParameters, flags: u32 }),
    struct({ cookieOut: opaque, xml: string }),
  ),
  domainMigratePrepare3Params: procedure(
    303,
    struct({ params: typedParameters, cookieIn: opaque, flags: u32 }),
    struct({ cookieOut: opaque, uriOut: optional(string) }),
  ),
  domainMigrateFinish3Params: procedure(
    306,
    struct({ params: typedParameters, cookieIn: opaque, flags: u32, cancelled: i32 }),
    struct({ dom, cookieOut: opaque }),
  ),
  domainMigrateConfirm3Params: procedure(
    307,
    struct({ dom, params: typedParameters, cookieIn: opaque, flags: u32, cancelled: i32 }),
    nothing,
  ),
  domainGetJobInfo: procedure(
    163,
    struct({ dom }),
    struct({
      type: i32,
      timeElapsed: u64,
      timeRemaining: u64,
      dataTotal: u64,
      dataProcessed: u64,
      dataRemaining: u64,
      memTotal: u64,
      memProcessed: u64,
      memRemaining: u64,
      fileTotal: u64,
      fileProcessed: u64,
      fileRemaining: u64,
    }),
  ),
  domainGetJobStats: procedure(298, struct({ dom, flags: u32 }), struct({ type: i32, params: typedParameters })),
  domainAbortJob: procedure(164, struct({ dom }), nothing),
  domainMigrateSetMaxDowntime: procedure(166, struct({ dom, downtime: u64, flags: u32 }), nothing),
  domainMigrateSetMaxSpeed: procedure(207, struct({ dom, bandwidth: u64, flags: u32 }), nothing),
  domainMigrateStartPostCopy: procedure(364, struct({ dom, flags: u32 }), nothing),

  // Event subscription; the messages are in events.ts
  connectDomainEventCallbackRegisterAny: procedure(
    316,
    struct({ eventID: i32, dom: optional(dom) }),
    struct({ callbackID: i32 }),
  ),
  connectDomainEventCallbackDeregisterAny: procedure(317, struct({ callbackID: i32 }), nothing),
  connectRegisterCloseCallback: procedure(360, nothing, nothing),
  connectUnregisterCloseCallback: procedure(361, nothing, nothing),

  // Storage pools and volumes
  connectListAllStoragePools: procedure(
    281,
    struct({ needResults: i32, flags: u32 }),
    struct({ pools: arrayOf(pool, LIST_LIMIT), ret: u32 }),
  ),
  storagePoolLookupByName: procedure(84, struct({ name: string }), struct({ pool })),
  storagePoolLookupByUuid: procedure(85, struct({ uuid }), struct({ pool })),
  storagePoolGetXmlDesc: procedure(88, struct({ pool, flags: u32 }), struct({ xml: string })),
  storagePoolIsActive: procedure(154, struct({ pool }), struct({ active: i32 })),
  storagePoolDefineXml: procedure(77, struct({ xml: string, flags: u32 }), struct({ pool })),
  storagePoolCreateXml: procedure(76, struct({ xml: string, flags: u32 }), struct({ pool })),
  storagePoolBuild: procedure(79, struct({ pool, flags: u32 }), nothing),
  storagePoolCreate: procedure(78, struct({ pool, flags: u32 }), nothing),
  storagePoolSetAutostart: procedure(90, struct({ pool, autostart: i32 }), nothing),
  storagePoolRefresh: procedure(83, struct({ pool, flags: u32 }), nothing),
  storagePoolGetInfo: procedure(
    87,
    struct({ pool }),
    struct({ state: u8, capacity: u64, allocation: u64, available: u64 }),
  ),
  storagePoolDestroy: procedure(80, struct({ pool }), nothing),
  storagePoolUndefine: procedure(82, struct({ pool }), nothing),
  storagePoolListAllVolumes: procedure(
    282,
    struct({ pool, needResults: i32, flags: u32 }),
    struct({ vols: arrayOf(vol, LIST_LIMIT), ret: u32 }),
  ),
  storageVolLookupByName: procedure(95, struct({ pool, name: string }), struct({ vol })),
  storageVolLookupByPath: procedure(97, struct({ path: string }), struct({ vol })),
  storageVolCreateXml: procedure(93, struct({ pool, xml: string, flags: u32 }), struct({ vol })),
  storageVolCreateXmlFrom: procedure(125, struct({ pool, xml: string, clonevol: vol, flags: u32 }), struct({ vol })),
  storageVolGetInfo: procedure(98, struct({ vol }), struct({ type: i8, capacity: u64, allocation: u64 })),
  storageVolGetXmlDesc: procedure(99, struct({ vol, flags: u32 }), struct({ xml: string })),
  storageVolGetPath: procedure(100, struct({ vol }), struct({ name: string })),
  storageVolResize: procedure(260, struct({ vol, capacity: u64, flags: u32 }), nothing),
  storageVolDelete: procedure(94, struct({ vol, flags: u32 }), nothing),
  storageVolWipe: procedure(165, struct({ vol, flags: u32 }), nothing),
  storageVolUpload: procedure(208, struct({ vol, offset: u64, length: u64, flags: u32 }), nothing),
  storageVolDownload: procedure(209, struct({ vol, offset: u64, length: u64, flags: u32 }), nothing),

  // Secrets, network filters, networks
  connectListAllSecrets: procedure(
    287,
    struct({ needResults: i32, flags: u32 }),
    struct({ secrets: arrayOf(secret, LIST_LIMIT), ret: u32 }),
  ),
  secretDefineXml: procedure(142, struct({ xml: string, flags: u32 }), struct({ secret })),
  secretSetValue: procedure(144, struct({ secret, value: opaque, flags: u32 }), nothing),
  secretLookupByUuid: procedure(141, struct({ uuid }), struct({ secret })),
  secretLookupByUsage: procedure(147, struct({ usageType: i32, usageID: string }), struct({ secret })),
  secretUndefine: procedure(146, struct({ secret }), nothing),
  nwfilterDefineXml: procedure(180, struct({ xml: string }), struct({ nwfilter })),
  nwfilterLookupByName: procedure(175, struct({ name: string }), struct({ nwfilter })),
  nwfilterUndefine: procedure(181, struct({ nwfilter }), nothing),
  connectListAllNetworks: procedure(
    283,
    struct({ needResults: i32, flags: u32 }),
    struct({ nets: arrayOf(net, LIST_LIMIT), ret: u32 }),
  ),
  networkLookupByName: procedure(46, struct({ name: string }), struct({ net })),
};

type Named<T> = {
  readonly [K in keyof T]: T[K] extends Omit<Procedure<infer A, infer R>, 'name'> ? Procedure<A, R> : never;
};

/** `domainLookupByUuid` -> `DOMAIN_LOOKUP_BY_UUID` */
const libvirtName = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

/** Every procedure by its libvirt name in camel case. */
export const procedures = Object.fromEntries(
  Object.entries(table).map(([key, entry]) => [key, { ...entry, name: libvirtName(key) }]),
) as unknown as Named<typeof table>;
