// Operations of the libvirt client that may run twice, and those that need more than one call.
import { ErrorCode, MigrateFlag, hasCode } from '@cumulet/libvirt';
import type { LibvirtClient } from '@cumulet/libvirt';
import type { ProcedureKey } from '../support/fakeLibvirtd';
import { dom, libvirtScene, named, pool, uuid, vol } from '../support/libvirtScene';

const scene = libvirtScene();

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fine',
    (error: unknown) => (error as { code?: number }).code,
  );

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
  scene.refuse(key, code);
  scene.answer('domainIsPersistent', { persistent: 0 });
  expect(await codeOf(operation(scene.client))).toBe('fine');
  scene.refuse(key, ErrorCode.ACCESS_DENIED);
  scene.answer('domainGetXmlDesc', { xml: "<alias name='a'/>" });
  expect(await codeOf(operation(scene.client))).toBe(ErrorCode.ACCESS_DENIED);
});

test('starting what runs is fine; starting what is paused, or failed to start, is not', async () => {
  scene.refuse('domainCreateWithFlags', ErrorCode.OPERATION_INVALID, 'already running');
  for (const [state, paused, result] of [
    [1, false, 'fine'],
    [2, false, 'fine'],
    [3, true, 'fine'],
    [3, false, ErrorCode.OPERATION_INVALID],
    [5, false, ErrorCode.OPERATION_INVALID],
  ] as const) {
    scene.answer('domainGetState', { state, reason: 0 });
    expect(await codeOf(scene.client.startDomain(uuid, { paused }))).toBe(result);
  }
  scene.refuse('domainGetState', ErrorCode.NO_DOMAIN);
  expect(await codeOf(scene.client.startDomain(uuid))).toBe(ErrorCode.OPERATION_INVALID);
});

test('undefining what was forbidden for want of a flag is told', async () => {
  scene.refuse(
    'domainUndefineFlags',
    ErrorCode.OPERATION_INVALID,
    'Refusing to undefine while domain managed save image exists',
  );
  scene.answer('domainIsPersistent', { persistent: 1 });
  expect(await codeOf(scene.client.undefineDomain(uuid, 0))).toBe(ErrorCode.OPERATION_INVALID);
  scene.answer('domainIsPersistent', { persistent: 0 });
  expect(await codeOf(scene.client.undefineDomain(uuid))).toBe('fine');
});

test('an absent alias is fine also where the daemon calls it an internal error', async () => {
  scene.refuse('domainDetachDeviceAlias', ErrorCode.INTERNAL_ERROR, 'no device found with alias a');
  const seen = scene.answer('domainGetXmlDesc', { xml: "<alias name='b'/>" });
  expect(await codeOf(scene.client.detachDeviceByAlias(uuid, 'a', 2))).toBe('fine');
  expect(seen.args).toEqual({ dom, flags: 2 });
  scene.answer('domainGetXmlDesc', { xml: "<alias name='a'/>" });
  expect(await codeOf(scene.client.detachDeviceByAlias(uuid, 'a'))).toBe(ErrorCode.INTERNAL_ERROR);
});

test('a lookup that fails for another reason than absence is told', async () => {
  scene.refuse('domainLookupByUuid', ErrorCode.ACCESS_DENIED);
  expect(await codeOf(scene.client.lookupDomain(uuid))).toBe(ErrorCode.ACCESS_DENIED);
  scene.refuse('storageVolCreateXml', ErrorCode.SYSTEM_ERROR);
  expect(await codeOf(scene.client.ensureVolume(pool, 'v', 1, '<v/>'))).toBe(ErrorCode.SYSTEM_ERROR);
  expect(hasCode(new Error('other'), ErrorCode.SYSTEM_ERROR)).toBe(false);
});

test('versions are three numbers', async () => {
  scene.answer('connectGetLibVersion', { libVer: 9000000n });
  scene.answer('connectGetVersion', { hvVer: 7002022n });
  expect(await scene.client.version()).toEqual({ library: '9.0.0', hypervisor: '7.2.22' });
});

test('a volume that exists is the answer when it has the wanted size', async () => {
  scene.refuse('storageVolCreateXml', ErrorCode.STORAGE_VOL_EXIST);
  scene.answer('storageVolLookupByName', { vol });
  scene.answer('storageVolGetInfo', { type: 0, capacity: 5n, allocation: 0n });
  expect(await scene.client.ensureVolume(pool, 'v', 5, '<v/>')).toEqual(vol);
  expect(await codeOf(scene.client.ensureVolume(pool, 'v', 6, '<v/>'))).toBe(ErrorCode.STORAGE_VOL_EXIST);
});

test('a screenshot has a type', async () => {
  scene.answer('domainScreenshot', { mime: 'image/png' });
  const { stream, mime } = await scene.client.screenshot(uuid);
  expect(mime).toBe('image/png');
  stream.destroy();
});

test("a migration goes by the domain's own name, on a connection of its own, with typed parameters", async () => {
  scene.answer('domainLookupByUuid', { dom: named });
  const seen = scene.answer('domainMigratePerform3Params', { cookieOut: Buffer.alloc(0) });
  await scene.client.migrate(uuid, {
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
  expect((await scene.daemon.peer(1)).calls).toContain('domainMigratePerform3Params');
  await scene.client.migrate(uuid, { destination: 'd' });
  expect(seen.args).toMatchObject({ flags: 27, params: [] });
});

test('a managed migration asks each side for its steps, with what it needs and no more', async () => {
  const text = (field: string, value: string) => ({ field, value: { type: 'string', value } });
  const bytes = (word: string) => Buffer.from(word);
  const options = { flags: MigrateFlag.LIVE | MigrateFlag.NON_SHARED_INC, disks: ['vda'], bandwidth: 9 };
  const always = [{ field: 'bandwidth', value: { type: 'ullong', value: 9n } }, text('migrate_disks', 'vda')];
  const sockets = { migrateUri: 'unix:///m', disksUri: 'unix:///d' };
  scene.answer('domainLookupByUuid', { dom: named });
  const begun = scene.answer('domainMigrateBegin3Params', { cookieOut: bytes('1'), xml: '<x/>' });
  const prepared = scene.answer('domainMigratePrepare3Params', { cookieOut: bytes('2'), uriOut: undefined });
  const performed = scene.answer('domainMigratePerform3Params', { cookieOut: bytes('3') });
  const finished = scene.answer('domainMigrateFinish3Params', { dom: named, cookieOut: bytes('4') });
  const confirmed = scene.answer('domainMigrateConfirm3Params');
  const outgoing = await scene.client.sendDomain(uuid, options, '<d/>');
  expect([outgoing.xml, outgoing.cookie]).toEqual(['<x/>', bytes('1')]);
  expect(begun.args).toEqual({ dom: named, flags: 129, params: [text('destination_xml', '<d/>'), ...always] });
  const incoming = await scene.client.receiveDomain('vm', options, outgoing.xml, outgoing.cookie, sockets);
  expect(prepared.args).toEqual({
    ...{ cookieIn: bytes('1'), flags: 129 },
    params: [
      ...[text('destination_name', 'vm'), text('destination_xml', '<x/>')],
      ...[text('migrate_uri', 'unix:///m'), text('disks_uri', 'unix:///d'), ...always],
    ],
  });
  expect(await outgoing.perform(incoming.cookie, { migrateUri: 'unix:///s' })).toEqual(bytes('3'));
  expect(performed.args).toEqual({
    ...{ dom: named, dconnuri: undefined, cookieIn: bytes('2'), flags: 129 },
    params: [text('destination_xml', '<d/>'), text('migrate_uri', 'unix:///s'), ...always],
  });
  expect(await incoming.finish(bytes('3'))).toEqual(bytes('4'));
  const end = { cookieIn: bytes('3'), flags: 129, cancelled: 0 };
  expect(finished.args).toEqual({ ...end, params: [text('destination_name', 'vm'), ...always] });
  await outgoing.takeBack(bytes('5'));
  expect(confirmed.args).toMatchObject({ dom: named, cookieIn: bytes('5'), cancelled: 1 });
  await outgoing.close();
  await incoming.close();
});

test('a side of a migration that can not begin leaves no connection', async () => {
  scene.refuse('domainMigratePrepare3Params', ErrorCode.OPERATION_INVALID);
  const options = { flags: 1 };
  const receiving = scene.client.receiveDomain('vm', options, '<x/>', Buffer.alloc(0), { migrateUri: 'unix:///m' });
  expect(await codeOf(receiving)).toBe(ErrorCode.OPERATION_INVALID);
  expect((await scene.daemon.peer(1)).calls.at(-1)).toBe('connectClose');
});

test('an error that libvirt sends without a message still says something', async () => {
  const { LibvirtError } = await import('@cumulet/libvirt');
  const none = { str1: undefined, str2: undefined, str3: undefined, int1: 0, int2: 0, dom: undefined, net: undefined };
  expect(new LibvirtError('X', { code: 1234, domain: 1, message: undefined, level: 2, ...none }).message).toBe(
    'libvirt X: no message (error 1234 no name here, domain 1)',
  );
});
