// What the compute agent relies on in a hypervisor: the same statements about the stand-in and about libvirt with QEMU.
import { newId } from '@cumulet/common';
import type { Hypervisor } from '@cumulet/compute-agent';
import { Affect, ErrorCode, XmlFlag } from '@cumulet/libvirt';

/** Declares the contract's tests. `get` is called within each test; each leaves nothing behind. */
export function hypervisorContract(get: () => Hypervisor): void {
  let uuid: string;
  const xml = (note: string): string =>
    `<domain type='qemu'><name>cumulet-contract-${uuid}</name><uuid>${uuid}</uuid>` +
    `<metadata><n:note xmlns:n="urn:test">${note}</n:note></metadata><memory unit='MiB'>64</memory>` +
    "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices></devices></domain>";
  const state = async (): Promise<string | undefined> => (await get().domainState(uuid))?.state;
  const noteOf = async (flags: number): Promise<string | undefined> =>
    /urn:test["']>([^<]*)</.exec(await get().domainXml(uuid, flags))?.[1];

  beforeEach(() => (uuid = newId()));
  afterEach(async () => {
    await get().destroyDomain(uuid);
    await get().undefineDomain(uuid);
  });

  test('what does not exist is undefined, and removing it does no harm', async () => {
    expect(await get().lookupDomain(uuid)).toBeUndefined();
    expect(await state()).toBeUndefined();
    await get().destroyDomain(uuid);
    await get().undefineDomain(uuid);
  });

  test('a defined domain is off, starts, is found by uuid with its name, and starting it again does no harm', async () => {
    await get().defineDomain(xml('a'));
    expect(await state()).toBe('shut-off');
    await get().startDomain(uuid);
    expect(await state()).toBe('running');
    await get().startDomain(uuid);
    expect(await get().lookupDomain(uuid)).toMatchObject({ name: `cumulet-contract-${uuid}`, uuid });
    expect(await get().domains()).toContainEqual(expect.objectContaining({ uuid }));
    const statistics = (await get().allDomainStats(1)).find(({ domain }) => domain.uuid === uuid)?.statistics;
    expect(statistics?.['state.state']).toBe(1);
  });

  test('a running domain keeps the metadata it was started with until it starts again', async () => {
    await get().defineDomain(xml('old'));
    await get().startDomain(uuid);
    await get().defineDomain(xml('new'));
    expect([await noteOf(0), await noteOf(XmlFlag.INACTIVE)]).toEqual(['old', 'new']);
    await get().destroyDomain(uuid);
    await get().startDomain(uuid);
    expect(await noteOf(0)).toBe('new');
  });

  test('pause, resume, and memory that is saved comes back with the metadata of its time', async () => {
    await get().defineDomain(xml('old'));
    await get().startDomain(uuid, { paused: true });
    expect(await state()).toBe('paused');
    await get().resumeDomain(uuid);
    expect(await state()).toBe('running');
    await get().suspendDomain(uuid);
    expect(await state()).toBe('paused');
    await get().managedSave(uuid);
    expect([await state(), await get().hasManagedSave(uuid)]).toEqual(['shut-off', true]);
    await get().defineDomain(xml('new'));
    await get().startDomain(uuid);
    expect([await noteOf(0), await get().hasManagedSave(uuid)]).toEqual(['old', false]);
  });

  test('discarded memory does not come back', async () => {
    await get().defineDomain(xml('a'));
    await get().startDomain(uuid);
    await get().managedSave(uuid);
    await get().managedSaveRemove(uuid);
    expect(await get().hasManagedSave(uuid)).toBe(false);
  });

  test('asking a domain that is off to shut down, or for its job, is refused as invalid', async () => {
    await get().defineDomain(xml('a'));
    await expect(get().shutdownDomain(uuid, 'acpi')).rejects.toMatchObject({ code: ErrorCode.OPERATION_INVALID });
    await expect(get().suspendDomain(uuid)).rejects.toMatchObject({ code: ErrorCode.OPERATION_INVALID });
    await expect(get().jobStats(uuid)).rejects.toMatchObject({ code: ErrorCode.OPERATION_INVALID });
  });

  test('figures of its memory and a password are refused for a domain that is off, the password also without a channel', async () => {
    await get().defineDomain(xml('a'));
    await expect(get().memoryStats(uuid)).rejects.toMatchObject({ code: ErrorCode.OPERATION_INVALID });
    const set = (): Promise<void> => get().setUserPassword(uuid, 'root', 'secret');
    await expect(set()).rejects.toMatchObject({ code: ErrorCode.OPERATION_INVALID });
    await get().startDomain(uuid);
    expect((await get().memoryStats(uuid))['actualBalloon']).toBe(65536);
    await expect(set()).rejects.toMatchObject({ code: ErrorCode.ARGUMENT_UNSUPPORTED });
  });

  test('an interface is added to the running guest alone, under a name; one that is not there is no error to remove', async () => {
    await get().defineDomain(xml('a'));
    await get().startDomain(uuid);
    const card = "<interface type='user'><mac address='fa:16:3e:00:00:07'/><model type='virtio'/></interface>";
    await get().attachDevice(uuid, card, Affect.LIVE);
    expect(await get().domainXml(uuid)).toMatch(/fa:16:3e:00:00:07[^]*<alias name='net0'\/>/);
    expect(await get().domainXml(uuid, XmlFlag.INACTIVE)).not.toContain('fa:16:3e:00:00:07');
    await get().detachDeviceByAlias(uuid, 'net9', Affect.LIVE);
    // A guest that pays no attention keeps it; asking alone is not refused.
    await get().detachDeviceByAlias(uuid, 'net0', Affect.LIVE);
  });
}
