// What each operation of the libvirt client makes of an answer.
import type { LibvirtClient } from '@cumulet/libvirt';
import type { ProcedureKey } from '../support/fakeLibvirtd';
import { filter, libvirtScene, named, pool, secret, uuid, vol } from '../support/libvirtScene';

const scene = libvirtScene();
const progress = [
  ...['timeElapsed', 'timeRemaining', 'dataTotal', 'dataProcessed', 'dataRemaining'],
  ...['memTotal', 'memProcessed', 'memRemaining', 'fileTotal', 'fileProcessed', 'fileRemaining'],
];
const sizes = { capacity: 1, allocation: 2 };

type Answers = [string, ProcedureKey, object, (client: LibvirtClient) => Promise<unknown>, unknown];

test.each<Answers>([
  ['the hypervisor', 'connectGetType', { type: 'QEMU' }, (c) => c.hypervisorType(), 'QEMU'],
  ['the host', 'connectGetHostname', { hostname: 'h' }, (c) => c.hostname(), 'h'],
  ['the URI', 'connectGetUri', { uri: 'u' }, (c) => c.uri(), 'u'],
  ['capabilities', 'connectGetCapabilities', { capabilities: '<c/>' }, (c) => c.capabilities(), '<c/>'],
  [
    'domain capabilities',
    'connectGetDomainCapabilities',
    { capabilities: '<c/>' },
    (c) => c.domainCapabilities(),
    '<c/>',
  ],
  ['CPU models', 'connectGetCpuModelNames', { models: ['a'], ret: 1 }, (c) => c.cpuModelNames('x86_64'), ['a']],
  ['a joined CPU', 'connectBaselineHypervisorCpu', { cpu: '<cpu/>' }, (c) => c.baselineCpu(['<cpu/>']), '<cpu/>'],
  ['free memory', 'nodeGetFreeMemory', { freeMem: 5n }, (c) => c.freeMemory(), 5],
  [
    'processor time',
    'nodeGetCpuStats',
    { params: [{ field: 'idle', value: 1n }], nparams: 1 },
    (c) => c.nodeCpuStats(),
    { idle: 1n },
  ],
  [
    'memory of the host',
    'nodeGetMemoryStats',
    { params: [{ field: 'total', value: 1n }], nparams: 1 },
    (c) => c.nodeMemoryStats(),
    { total: 1n },
  ],
  ['huge pages', 'nodeGetFreePages', { counts: [1n] }, (c) => c.freePages([2048]), [1n]],
  ['all domains', 'connectListAllDomains', { domains: [named], ret: 1 }, (c) => c.domains(1), [named]],
  ['a domain by name', 'domainLookupByName', { dom: named }, (c) => c.lookupDomainByName('vm'), named],
  [
    'figures of a domain',
    'domainGetInfo',
    { state: 1, maxMem: 4n, memory: 2n, nrVirtCpu: 2, cpuTime: 9n },
    (c) => c.domainInfo(uuid),
    { state: 'running', maxMemoryKiB: 4, memoryKiB: 2, vcpus: 2, cpuTimeNs: 9n },
  ],
  ['XML of a domain', 'domainGetXmlDesc', { xml: '<d/>' }, (c) => c.domainXml(uuid), '<d/>'],
  ['autostart', 'domainGetAutostart', { autostart: 1 }, (c) => c.autostart(uuid), true],
  ['a saved image', 'domainHasManagedSaveImage', { result: 1 }, (c) => c.hasManagedSave(uuid), true],
  ['metadata', 'domainGetMetadata', { metadata: '<m/>' }, (c) => c.metadata(uuid, 'u'), '<m/>'],
  [
    'statistics',
    'connectGetAllDomainStats',
    { retStats: [{ dom: named, params: [] }] },
    (c) => c.allDomainStats(),
    [{ domain: named, statistics: {} }],
  ],
  [
    'a disk',
    'domainBlockStats',
    { rdReq: 1n, rdBytes: 2n, wrReq: 3n, wrBytes: 4n, errs: 5n },
    (c) => c.blockStats(uuid, 'vda'),
    { rdReq: 1n, rdBytes: 2n, wrReq: 3n, wrBytes: 4n, errs: 5n },
  ],
  [
    'sizes of a disk',
    'domainGetBlockInfo',
    { allocation: 2n, capacity: 1n, physical: 3n },
    (c) => c.blockInfo(uuid, 'vda'),
    { ...sizes, physical: 3 },
  ],
  [
    'vCPUs',
    'domainGetVcpus',
    { info: [{ number: 0, state: 1, cpuTime: 2n, cpu: 3 }], cpumaps: Buffer.alloc(0) },
    (c) => c.vcpus(uuid),
    [{ number: 0, state: 1, cpuTime: 2n, cpu: 3 }],
  ],
  ['pools', 'connectListAllStoragePools', { pools: [pool], ret: 1 }, (c) => c.pools(), [pool]],
  ['a pool', 'storagePoolLookupByName', { pool }, (c) => c.lookupPool('p'), pool],
  ['a defined pool', 'storagePoolDefineXml', { pool }, (c) => c.definePool('<p/>'), pool],
  ['a created pool', 'storagePoolCreateXml', { pool }, (c) => c.createPool('<p/>'), pool],
  ['XML of a pool', 'storagePoolGetXmlDesc', { xml: '<p/>' }, (c) => c.poolXml(pool), '<p/>'],
  ['volumes', 'storagePoolListAllVolumes', { vols: [vol], ret: 1 }, (c) => c.volumes(pool), [vol]],
  ['a volume', 'storageVolLookupByName', { vol }, (c) => c.lookupVolume(pool, 'v'), vol],
  ['a volume at a path', 'storageVolLookupByPath', { vol }, (c) => c.lookupVolumeByPath('/p/v'), vol],
  ['a created volume', 'storageVolCreateXml', { vol }, (c) => c.createVolume(pool, '<v/>'), vol],
  ['a volume made sure of', 'storageVolCreateXml', { vol }, (c) => c.ensureVolume(pool, 'v', 1, '<v/>'), vol],
  ['a cloned volume', 'storageVolCreateXmlFrom', { vol }, (c) => c.cloneVolume(pool, '<v/>', vol), vol],
  [
    'figures of a volume',
    'storageVolGetInfo',
    { type: 1, capacity: 1n, allocation: 2n },
    (c) => c.volumeInfo(vol),
    { type: 'block', ...sizes },
  ],
  ['path of a volume', 'storageVolGetPath', { name: '/p/v' }, (c) => c.volumePath(vol), '/p/v'],
  ['XML of a volume', 'storageVolGetXmlDesc', { xml: '<v/>' }, (c) => c.volumeXml(vol), '<v/>'],
  ['secrets', 'connectListAllSecrets', { secrets: [secret], ret: 1 }, (c) => c.secrets(), [secret]],
  ['a defined secret', 'secretDefineXml', { secret }, (c) => c.defineSecret('<s/>'), secret],
  ['a secret', 'secretLookupByUuid', { secret }, (c) => c.lookupSecret(uuid), secret],
  ['a secret by usage', 'secretLookupByUsage', { secret }, (c) => c.lookupSecretByUsage('iscsi', 't'), secret],
  ['a defined filter', 'nwfilterDefineXml', { nwfilter: filter }, (c) => c.defineFilter('<f/>'), filter],
  ['a filter', 'nwfilterLookupByName', { nwfilter: filter }, (c) => c.lookupFilter('f'), filter],
  ['networks', 'connectListAllNetworks', { nets: [filter], ret: 1 }, (c) => c.networks(), [filter]],
  ['a network', 'networkLookupByName', { net: filter }, (c) => c.lookupNetwork('f'), filter],
  [
    'progress of a job',
    'domainGetJobInfo',
    { type: 2, ...Object.fromEntries(progress.map((key) => [key, 1n])) },
    (c) => c.jobInfo(uuid),
    { type: 'unbounded', ...Object.fromEntries(progress.map((key) => [key, 1])) },
  ],
  [
    'addresses of a guest',
    'domainInterfaceAddresses',
    {
      ifaces: [
        {
          name: 'eth0',
          hwaddr: '52:54:00:00:00:01',
          addrs: [
            { type: 0, addr: '10.0.0.2', prefix: 24 },
            { type: 1, addr: 'fe80::1', prefix: 64 },
          ],
        },
      ],
    },
    (c) => c.interfaceAddresses(uuid),
    [
      {
        name: 'eth0',
        mac: '52:54:00:00:00:01',
        addresses: [
          { family: 'ipv4', address: '10.0.0.2', prefix: 24 },
          { family: 'ipv6', address: 'fe80::1', prefix: 64 },
        ],
      },
    ],
  ],
  [
    'filesystems of a guest',
    'domainGetFsinfo',
    { info: [{ mountpoint: '/', name: 'vda1', fstype: 'ext4', devAliases: ['vda'] }], ret: 1 },
    (c) => c.filesystems(uuid),
    [{ mountpoint: '/', name: 'vda1', fstype: 'ext4', devAliases: ['vda'] }],
  ],
  ['freezing', 'domainFsfreeze', { filesystems: 2 }, (c) => c.freezeFilesystems(uuid, ['/']), 2],
  ['thawing', 'domainFsthaw', { filesystems: 2 }, (c) => c.thawFilesystems(uuid), 2],
  [
    'the guest agent',
    'qemuDomainAgentCommand',
    { result: '{"return":{}}' },
    (c) => c.agentCommand(uuid, '{}'),
    '{"return":{}}',
  ],
  ['a CPU with more', 'connectCompareHypervisorCpu', { result: 2 }, (c) => c.compareCpu('<cpu/>'), 'superset'],
  ['a CPU that fails', 'connectCompareHypervisorCpu', { result: -1 }, (c) => c.compareCpu('<cpu/>'), 'incompatible'],
  [
    'a state nobody named',
    'domainGetState',
    { state: 44, reason: 0 },
    (c) => c.domainState(uuid),
    { state: 'none', reason: 0 },
  ],
  [
    'no block job',
    'domainGetBlockJobInfo',
    { found: 0, type: 0, bandwidth: 0n, cur: 0n, end: 0n },
    (c) => c.blockJob(uuid, 'vda'),
    undefined,
  ],
  [
    'a block job nobody named',
    'domainGetBlockJobInfo',
    { found: 1, type: 9, bandwidth: 1n, cur: 2n, end: 3n },
    (c) => c.blockJob(uuid, 'vda'),
    { type: 'type-9', bandwidth: 1, current: 2, end: 3 },
  ],
  [
    'memory of a guest',
    'domainMemoryStats',
    {
      stats: [
        { tag: 7, val: 9n },
        { tag: 99, val: 1n },
      ],
    },
    (c) => c.memoryStats(uuid),
    { rss: 9, 'tag-99': 1 },
  ],
  [
    'an interface',
    'domainInterfaceStats',
    { rxBytes: 1n, rxPackets: 2n, rxErrs: 3n, rxDrop: 4n, txBytes: 5n, txPackets: 6n, txErrs: 7n, txDrop: 8n },
    (c) => c.interfaceStats(uuid, 't'),
    { rxBytes: 1n, rxPackets: 2n, rxErrs: 3n, rxDrop: 4n, txBytes: 5n, txPackets: 6n, txErrs: 7n, txDrop: 8n },
  ],
  [
    'snapshots',
    'domainListAllSnapshots',
    { snapshots: [{ name: 's', dom: named }], ret: 1 },
    (c) => c.snapshots(uuid),
    [{ name: 's', dom: named }],
  ],
  [
    'a new snapshot',
    'domainSnapshotCreateXml',
    { snap: { name: 's', dom: named } },
    (c) => c.createSnapshot(uuid, '<s/>'),
    { name: 's', dom: named },
  ],
  [
    'a job of unknown type',
    'domainGetJobStats',
    { type: 77, params: [] },
    (c) => c.jobStats(uuid),
    { type: 'none', statistics: {} },
  ],
  [
    'a pool of unknown state',
    'storagePoolGetInfo',
    { state: 66, capacity: 1n, allocation: 2n, available: 3n },
    (c) => c.poolInfo(pool),
    { state: 'inactive', capacity: 1, allocation: 2, available: 3 },
  ],
  [
    'a model that fills its field',
    'nodeGetInfo',
    { model: Array<number>(32).fill(97), memory: 1n, cpus: 1, mhz: 0, nodes: 1, sockets: 1, cores: 1, threads: 1 },
    (c) => c.nodeInfo().then(({ model }) => model),
    'a'.repeat(32),
  ],
])('%s: the answer of %s is understood', async (_what, key, result, operation, expected) => {
  scene.answer(key, result);
  expect(await operation(scene.client)).toEqual(expected);
});
