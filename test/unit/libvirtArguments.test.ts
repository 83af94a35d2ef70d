// What each operation of the libvirt client sends.
import type { LibvirtClient } from '@cumulet/libvirt';
import type { ProcedureKey } from '../support/fakeLibvirtd';
import { dom, filter, libvirtScene, named, pool, secret, uuid, vol } from '../support/libvirtScene';

const scene = libvirtScene();

type Sends = [string, ProcedureKey, (client: LibvirtClient) => Promise<unknown>, object, object?];

test.each<Sends>([
  ['shutdown by the agent', 'domainShutdownFlags', (c) => c.shutdownDomain(uuid, 'agent'), { dom, flags: 2 }],
  ['shutdown by any means', 'domainShutdownFlags', (c) => c.shutdownDomain(uuid), { dom, flags: 0 }],
  ['reboot by ACPI', 'domainReboot', (c) => c.rebootDomain(uuid, 'acpi'), { dom, flags: 1 }],
  ['reset', 'domainReset', (c) => c.resetDomain(uuid), { dom, flags: 0 }],
  ['graceful destroy', 'domainDestroyFlags', (c) => c.destroyDomain(uuid, { graceful: true }), { dom, flags: 1 }],
  ['undefine with all that belongs to it', 'domainUndefineFlags', (c) => c.undefineDomain(uuid), { dom, flags: 23 }],
  [
    'define and validate',
    'domainDefineXmlFlags',
    (c) => c.defineDomain('<d/>', { validate: true }),
    { xml: '<d/>', flags: 1 },
    { dom: named },
  ],
  [
    'start without the saved image',
    'domainCreateWithFlags',
    (c) => c.startDomain(uuid, { forceBoot: true }),
    { dom, flags: 8 },
    { dom: named },
  ],
  ['rename', 'domainRename', (c) => c.renameDomain(uuid, 'n'), { dom, newName: 'n', flags: 0 }, { retcode: 0 }],
  [
    'update a device',
    'domainUpdateDeviceFlags',
    (c) => c.updateDevice(uuid, '<d/>', 3),
    { dom, xml: '<d/>', flags: 3 },
  ],
  [
    'vCPUs by the guest agent',
    'domainSetVcpusFlags',
    (c) => c.setVcpus(uuid, 2, { guest: true, affect: 1 }),
    { dom, nvcpus: 2, flags: 9 },
  ],
  [
    'most memory',
    'domainSetMemoryFlags',
    (c) => c.setMemory(uuid, 1024, { maximum: true, affect: 2 }),
    { dom, memory: 1024n, flags: 6 },
  ],
  [
    'keys',
    'domainSendKey',
    (c) => c.sendKeys(uuid, [1, 2], { set: 'qnum', holdMs: 5 }),
    { dom, codeset: 9, holdtime: 5, keycodes: [1, 2], flags: 0 },
  ],
  [
    'description',
    'domainSetMetadata',
    (c) => c.setText(uuid, 'description', undefined),
    { dom, type: 0, metadata: undefined, key: undefined, uri: undefined, flags: 0 },
  ],
  [
    'password',
    'domainSetUserPassword',
    (c) => c.setUserPassword(uuid, 'u', 'p'),
    { dom, user: 'u', password: 'p', flags: 0 },
  ],
  [
    'downtime of a migration',
    'domainMigrateSetMaxDowntime',
    (c) => c.setMigrationDowntime(uuid, 50),
    { dom, downtime: 50n, flags: 0 },
  ],
  [
    'speed of a migration',
    'domainMigrateSetMaxSpeed',
    (c) => c.setMigrationSpeed(uuid, 9),
    { dom, bandwidth: 9n, flags: 0 },
  ],
  ['post-copy', 'domainMigrateStartPostCopy', (c) => c.startPostCopy(uuid), { dom, flags: 0 }],
  ['abort a job', 'domainAbortJob', (c) => c.abortJob(uuid), { dom }],
  [
    'commit',
    'domainBlockCommit',
    (c) => c.commitBlock(uuid, 'vda', { top: 't', bandwidth: 1 }),
    { dom, disk: 'vda', base: undefined, top: 't', bandwidth: 1n, flags: 0 },
  ],
  [
    'abort a block job without waiting',
    'domainBlockJobAbort',
    (c) => c.abortBlockJob(uuid, 'vda', { async: true }),
    { dom, path: 'vda', flags: 1 },
  ],
  [
    'delete a snapshot',
    'domainSnapshotDelete',
    (c) => c.deleteSnapshot({ name: 's', dom: named }),
    { snap: { name: 's', dom: named }, flags: 0 },
  ],
  [
    'interface limits',
    'domainSetInterfaceParameters',
    (c) => c.setInterfaceLimits(uuid, 'tap0', { 'inbound.average': 5 }, 1),
    { dom, device: 'tap0', params: [{ field: 'inbound.average', value: { type: 'uint', value: 5 } }], flags: 1 },
  ],
  [
    'processor limits, quotas signed',
    'domainSetSchedulerParametersFlags',
    (c) => c.setCpuLimits(uuid, { cpu_shares: 10, vcpu_quota: -1 }, 1),
    {
      ...{ dom, flags: 1 },
      params: [
        { field: 'cpu_shares', value: { type: 'ullong', value: 10n } },
        { field: 'vcpu_quota', value: { type: 'llong', value: -1n } },
      ],
    },
  ],
  ['suspend', 'domainSuspend', (c) => c.suspendDomain(uuid), { dom }],
  ['resume', 'domainResume', (c) => c.resumeDomain(uuid), { dom }],
  ['autostart', 'domainSetAutostart', (c) => c.setAutostart(uuid, true), { dom, autostart: 1 }],
  ['removal of a saved image', 'domainManagedSaveRemove', (c) => c.managedSaveRemove(uuid), { dom, flags: 0 }],
  ['attach', 'domainAttachDeviceFlags', (c) => c.attachDevice(uuid, '<d/>'), { dom, xml: '<d/>', flags: 0 }],
  [
    'a larger disk',
    'domainBlockResize',
    (c) => c.resizeBlock(uuid, 'vda', 512),
    { dom, disk: 'vda', size: 512n, flags: 1 },
  ],
  ['NMI', 'domainInjectNmi', (c) => c.injectNmi(uuid), { dom, flags: 0 }],
  [
    'metadata',
    'domainSetMetadata',
    (c) => c.setMetadata(uuid, { uri: 'u', prefix: 'p', xml: '<x/>' }),
    { dom, type: 2, metadata: '<x/>', key: 'p', uri: 'u', flags: 0 },
  ],
  ['pull', 'domainBlockPull', (c) => c.pullBlock(uuid, 'vda', 2), { dom, path: 'vda', bandwidth: 2n, flags: 0 }],
  [
    'copy',
    'domainBlockCopy',
    (c) => c.copyBlock(uuid, 'vda', '<d/>', 2),
    { dom, path: 'vda', destxml: '<d/>', params: [], flags: 2 },
  ],
  [
    'backup',
    'domainBackupBegin',
    (c) => c.beginBackup(uuid, '<b/>'),
    { dom, backupXml: '<b/>', checkpointXml: undefined, flags: 0 },
  ],
  [
    'disk limits',
    'domainSetBlockIoTune',
    (c) => c.setBlockLimits(uuid, 'vda', { read_bytes_sec: 1 }, 1),
    { dom, disk: 'vda', params: [{ field: 'read_bytes_sec', value: { type: 'ullong', value: 1n } }], flags: 1 },
  ],
  ['start a pool', 'storagePoolCreate', (c) => c.startPool(pool), { pool, flags: 0 }],
  ['autostart of a pool', 'storagePoolSetAutostart', (c) => c.setPoolAutostart(pool, false), { pool, autostart: 0 }],
  ['refresh a pool', 'storagePoolRefresh', (c) => c.refreshPool(pool), { pool, flags: 0 }],
  ['resize a volume', 'storageVolResize', (c) => c.resizeVolume(vol, 9), { vol, capacity: 9n, flags: 0 }],
  [
    'a secret value',
    'secretSetValue',
    (c) => c.setSecretValue(secret, Buffer.from('x')),
    { secret, value: Buffer.from('x'), flags: 0 },
  ],
  ['undefine a secret', 'secretUndefine', (c) => c.undefineSecret(secret), { secret }],
  ['undefine a filter', 'nwfilterUndefine', (c) => c.undefineFilter(filter), { nwfilter: filter }],
  ['wipe a volume', 'storageVolWipe', (c) => c.wipeVolume(vol), { vol, flags: 0 }],
  ['build a pool', 'storagePoolBuild', (c) => c.buildPool(pool, 1), { pool, flags: 1 }],
])('%s: %s gets the right arguments', async (_what, key, operation, args, result = {}) => {
  const seen = scene.answer(key, result);
  await operation(scene.client);
  expect(seen.args).toEqual(args);
});
