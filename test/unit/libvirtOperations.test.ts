// What each operation of the client sends, and what it makes of answers that a test machine's daemon can't give.
import { ErrorCode, LibvirtClient, MigrateFlag, hasCode } from '@cumulet/libvirt';
import { Refusal, startFakeLibvirtd } from '../support/fakeLibvirtd';
import type { FakeLibvirtd, ProcedureKey } from '../support/fakeLibvirtd';

const uuid = '00010203-0405-0607-0809-0a0b0c0d0e0f';
const dom = { name: uuid, uuid, id: -1 };
const named = { name: 'vm', uuid, id: 3 };
const pool = { name: 'p', uuid };
const vol = { pool: 'p', name: 'v', key: '/p/v' };

let daemon: FakeLibvirtd;
let client: LibvirtClient;

/** Answers `key` with `result` and returns the arguments that arrive. */
function answer(key: ProcedureKey, result: object = {}): { args?: unknown } {
  const seen: { args?: unknown } = {};
  daemon.on(key, (args) => {
    seen.args = args;
    return result;
  });
  return seen;
}
const refuse = (key: ProcedureKey, code: number, message = 'no'): void =>
  daemon.on(key, () => {
    throw new Refusal(code, message);
  });
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fine',
    (error: unknown) => (error as { code?: number }).code,
  );

beforeEach(async () => {
  daemon = await startFakeLibvirtd();
  client = await LibvirtClient.connect({ socketPath: daemon.socketPath, events: [] });
});
afterEach(async () => {
  await client.close();
  await daemon.remove();
});

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
  ['wipe a volume', 'storageVolWipe', (c) => c.wipeVolume(vol), { vol, flags: 0 }],
  ['build a pool', 'storagePoolBuild', (c) => c.buildPool(pool, 1), { pool, flags: 1 }],
])('%s: %s gets the right arguments', async (_what, key, operation, args, result = {}) => {
  const seen = answer(key, result);
  await operation(client);
  expect(seen.args).toEqual(args);
});

type Answers = [string, ProcedureKey, object, (client: LibvirtClient) => Promise<unknown>, unknown];

test.each<Answers>([
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
  answer(key, result);
  expect(await operation(client)).toEqual(expected);
});

test.each<[string, ProcedureKey, number, (client: LibvirtClient) => Promise<unknown>]>([
  ['destroying what is gone', 'domainDestroyFlags', ErrorCode.NO_DOMAIN, (c) => c.destroyDomain(uuid)],
  ['destroying what is off', 'domainDestroyFlags', ErrorCode.OPERATION_INVALID, (c) => c.destroyDomain(uuid)],
  ['undefining what is gone', 'domainUndefineFlags', ErrorCode.NO_DOMAIN, (c) => c.undefineDomain(uuid)],
  ['detaching what is gone', 'domainDetachDeviceFlags', ErrorCode.DEVICE_MISSING, (c) => c.detachDevice(uuid, '<d/>')],
  [
    'detaching an alias that is gone',
    'domainDetachDeviceAlias',
    ErrorCode.DEVICE_MISSING,
    (c) => c.detachDeviceByAlias(uuid, 'a'),
  ],
  ['deleting a volume that is gone', 'storageVolDelete', ErrorCode.NO_STORAGE_VOL, (c) => c.deleteVolume(vol)],
  ['stopping a pool that is stopped', 'storagePoolDestroy', ErrorCode.OPERATION_INVALID, (c) => c.destroyPool(pool)],
  ['undefining a pool that is gone', 'storagePoolUndefine', ErrorCode.NO_STORAGE_POOL, (c) => c.undefinePool(pool)],
])('%s is fine, another refusal of %s is not', async (_what, key, code, operation) => {
  refuse(key, code);
  answer('domainIsPersistent', { persistent: 0 });
  expect(await codeOf(operation(client))).toBe('fine');
  refuse(key, ErrorCode.ACCESS_DENIED);
  answer('domainGetXmlDesc', { xml: "<alias name='a'/>" });
  expect(await codeOf(operation(client))).toBe(ErrorCode.ACCESS_DENIED);
});

test('starting what runs is fine; starting what is paused, or failed to start, is not', async () => {
  refuse('domainCreateWithFlags', ErrorCode.OPERATION_INVALID, 'already running');
  for (const [state, paused, result] of [
    [1, false, 'fine'],
    [2, false, 'fine'],
    [3, true, 'fine'],
    [3, false, ErrorCode.OPERATION_INVALID],
    [5, false, ErrorCode.OPERATION_INVALID],
  ] as const) {
    answer('domainGetState', { state, reason: 0 });
    expect(await codeOf(client.startDomain(uuid, { paused }))).toBe(result);
  }
  refuse('domainGetState', ErrorCode.NO_DOMAIN);
  expect(await codeOf(client.startDomain(uuid))).toBe(ErrorCode.OPERATION_INVALID);
});

test('undefining what was forbidden for want of a flag is told', async () => {
  refuse(
    'domainUndefineFlags',
    ErrorCode.OPERATION_INVALID,
    'Refusing to undefine while domain managed save image exists',
  );
  answer('domainIsPersistent', { persistent: 1 });
  expect(await codeOf(client.undefineDomain(uuid, 0))).toBe(ErrorCode.OPERATION_INVALID);
  answer('domainIsPersistent', { persistent: 0 });
  expect(await codeOf(client.undefineDomain(uuid))).toBe('fine');
});

test('an absent alias is fine also where the daemon calls it an internal error', async () => {
  refuse('domainDetachDeviceAlias', ErrorCode.INTERNAL_ERROR, 'no device found with alias a');
  const seen = answer('domainGetXmlDesc', { xml: "<alias name='b'/>" });
  expect(await codeOf(client.detachDeviceByAlias(uuid, 'a', 2))).toBe('fine');
  expect(seen.args).toEqual({ dom, flags: 2 });
  answer('domainGetXmlDesc', { xml: "<alias name='a'/>" });
  expect(await codeOf(client.detachDeviceByAlias(uuid, 'a'))).toBe(ErrorCode.INTERNAL_ERROR);
});

test('a lookup that fails for another reason than absence is told', async () => {
  refuse('domainLookupByUuid', ErrorCode.ACCESS_DENIED);
  expect(await codeOf(client.lookupDomain(uuid))).toBe(ErrorCode.ACCESS_DENIED);
  refuse('storageVolCreateXml', ErrorCode.SYSTEM_ERROR);
  expect(await codeOf(client.ensureVolume(pool, 'v', 1, '<v/>'))).toBe(ErrorCode.SYSTEM_ERROR);
  expect(hasCode(new Error('other'), ErrorCode.SYSTEM_ERROR)).toBe(false);
});

test("a migration goes by the domain's own name, on a connection of its own, with typed parameters", async () => {
  answer('domainLookupByUuid', { dom: named });
  const seen = answer('domainMigratePerform3Params', { cookieOut: Buffer.alloc(0) });
  await client.migrate(uuid, {
    ...{ destination: 'qemu+tls://b/system', migrateUri: 'tcp://10.0.0.2', destinationXml: '<d/>', bandwidth: 100 },
    ...{ persistentXml: '<p/>', disks: ['vda', 'vdb'], flags: MigrateFlag.LIVE | MigrateFlag.NON_SHARED_INC },
  });
  const text = (field: string, value: string) => ({ field, value: { type: 'string', value } });
  expect(seen.args).toEqual({
    ...{ dom: named, dconnuri: 'qemu+tls://b/system', cookieIn: Buffer.alloc(0), flags: 129 },
    params: [
      ...[text('migrate_uri', 'tcp://10.0.0.2'), text('destination_xml', '<d/>'), text('persistent_xml', '<p/>')],
      { field: 'bandwidth', value: { type: 'ullong', value: 100n } },
      ...[text('migrate_disks', 'vda'), text('migrate_disks', 'vdb')],
    ],
  });
  expect((await daemon.peer(1)).calls).toContain('domainMigratePerform3Params');
  await client.migrate(uuid, { destination: 'd' });
  expect(seen.args).toMatchObject({ flags: 27, params: [] });
});

test('an error that libvirt sends without a message still says something', async () => {
  const { LibvirtError } = await import('@cumulet/libvirt');
  const none = { str1: undefined, str2: undefined, str3: undefined, int1: 0, int2: 0, dom: undefined, net: undefined };
  expect(new LibvirtError('X', { code: 1234, domain: 1, message: undefined, level: 2, ...none }).message).toBe(
    'libvirt X: no message (error 1234 no name here, domain 1)',
  );
});
