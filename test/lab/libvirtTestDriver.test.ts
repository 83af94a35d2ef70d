// The client against a real libvirtd and its simulated hypervisor `test:///default`, a world that all its clients share.
import { randomUUID } from 'node:crypto';
import { ErrorCode, LibvirtClient, LibvirtError, UndefineFlag, XmlFlag, isNotFound } from '@cumulet/libvirt';
import type { EventMap } from '@cumulet/libvirt';
import { startPrivateLibvirtd } from '../support/privateLibvirtd';
import type { PrivateLibvirtd } from '../support/privateLibvirtd';

let daemon: PrivateLibvirtd;
let client: LibvirtClient;
let uuid: string;

const domainXml = (name: string, memoryKiB = 8192): string => `<domain type='test'>
  <name>${name}-${uuid}</name><uuid>${uuid}</uuid><memory>${memoryKiB}</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>`;
/** The test driver knows only these. */
const UNDEFINE = UndefineFlag.MANAGED_SAVE | UndefineFlag.SNAPSHOTS_METADATA;

beforeAll(async () => {
  daemon = await startPrivateLibvirtd();
});
afterAll(() => daemon?.stop());
beforeEach(async () => {
  client = await LibvirtClient.connect({ uri: 'test:///default', socketPath: daemon.socketPath });
  uuid = randomUUID();
});
afterEach(async () => {
  await client.destroyDomain(uuid);
  await client.undefineDomain(uuid, UNDEFINE);
  await client.close();
});

test('describes host and hypervisor', async () => {
  expect(await client.hypervisorType()).toBe('TEST');
  expect(await client.uri()).toBe('test:///default');
  expect((await client.version()).library).toMatch(/^\d+\.\d+\.\d+$/);
  expect(await client.hostname()).not.toBe('');
  expect(await client.nodeInfo()).toMatchObject({ model: 'i686', memoryKiB: 3145728, cpus: 16, threads: 2 });
  expect(await client.capabilities()).toContain('<capabilities>');
});

test('lists and finds domains, and tells absence from failure', async () => {
  const all = await client.domains();
  expect(all.map((domain) => domain.name)).toContain('test');
  const first = all.find((domain) => domain.name === 'test');
  expect(await client.lookupDomain(first?.uuid ?? '')).toEqual(first);
  expect(await client.lookupDomainByName('test')).toEqual(first);
  expect(await client.lookupDomain(uuid)).toBeUndefined();
  expect(await client.lookupDomainByName('no such domain')).toBeUndefined();
  expect(await client.domainState(uuid)).toBeUndefined();
  expect(isNotFound(await client.domainXml(uuid).catch((error: unknown) => error))).toBe(true);
});

test('takes a domain through its whole life, each step twice without harm', async () => {
  for (let i = 0; i < 2; i++) expect((await client.defineDomain(domainXml('life'))).uuid).toBe(uuid);
  expect(await client.domainState(uuid)).toMatchObject({ state: 'shut-off' });
  for (let i = 0; i < 2; i++) await client.startDomain(uuid);
  expect(await client.domainState(uuid)).toEqual({ state: 'running', reason: 1 });
  expect(await client.domainInfo(uuid)).toMatchObject({ state: 'running', maxMemoryKiB: 8192, vcpus: 1 });
  await client.suspendDomain(uuid);
  expect(await client.domainState(uuid)).toMatchObject({ state: 'paused' });
  await expect(client.startDomain(uuid)).rejects.toThrow('already running');
  await client.startDomain(uuid, { paused: true });
  await client.resumeDomain(uuid);
  await client.rebootDomain(uuid);
  for (let i = 0; i < 2; i++) await client.destroyDomain(uuid);
  expect(await client.domainState(uuid)).toEqual({ state: 'shut-off', reason: 2 });
  for (let i = 0; i < 2; i++) await client.undefineDomain(uuid, UNDEFINE);
  expect(await client.lookupDomain(uuid)).toBeUndefined();
  await client.destroyDomain(uuid);
});

test('redefining changes the definition of the same domain', async () => {
  await client.defineDomain(domainXml('redefined', 4096));
  await client.defineDomain(domainXml('redefined', 12288));
  expect(await client.domainXml(uuid, XmlFlag.INACTIVE)).toContain("<memory unit='KiB'>12288</memory>");
  expect((await client.domains()).filter((domain) => domain.name === `redefined-${uuid}`)).toHaveLength(1);
});

test('saves a domain and restores it at the next start', async () => {
  await client.defineDomain(domainXml('saved'));
  await client.startDomain(uuid);
  expect(await client.hasManagedSave(uuid)).toBe(false);
  await client.managedSave(uuid);
  expect(await client.hasManagedSave(uuid)).toBe(true);
  expect(await client.domainState(uuid)).toEqual({ state: 'shut-off', reason: 5 });
  await client.managedSaveRemove(uuid);
  expect(await client.hasManagedSave(uuid)).toBe(false);
});

test('keeps settings: autostart, persistence', async () => {
  await client.defineDomain(domainXml('settings'));
  expect(await client.autostart(uuid)).toBe(false);
  await client.setAutostart(uuid, true);
  expect(await client.autostart(uuid)).toBe(true);
  expect(await client.isPersistent(uuid)).toBe(true);
});

test('an undefined domain that runs goes on, and undefining it again does no harm', async () => {
  await client.defineDomain(domainXml('transient'));
  await client.startDomain(uuid);
  await client.undefineDomain(uuid, UNDEFINE);
  expect(await client.isPersistent(uuid)).toBe(false);
  expect(await client.domainState(uuid)).toMatchObject({ state: 'running' });
  await client.undefineDomain(uuid, UNDEFINE);
});

test('tells the lifecycle of domains as it happens', async () => {
  const seen: EventMap['lifecycle'][] = [];
  client.on('lifecycle', (event) => {
    if (event.domain.uuid === uuid) seen.push(event);
  });
  await client.defineDomain(domainXml('watched'));
  await client.startDomain(uuid);
  await client.suspendDomain(uuid);
  await client.resumeDomain(uuid);
  await client.destroyDomain(uuid);
  await client.undefineDomain(uuid, UNDEFINE);
  while (seen.at(-1)?.event !== 'undefined') await new Promise((resolve) => client.once('event', resolve));
  expect(seen.map(({ event, detail }) => `${event} ${detail}`)).toEqual([
    'defined added',
    'started booted',
    'suspended paused',
    'resumed unpaused',
    'stopped destroyed',
    'undefined removed',
  ]);
});

test('reports what libvirt said, with its code and domain', async () => {
  const failed = client.defineDomain('<domain');
  await expect(failed).rejects.toBeInstanceOf(LibvirtError);
  await expect(failed).rejects.toMatchObject({
    code: ErrorCode.XML_DETAIL,
    level: 2,
    procedure: 'DOMAIN_DEFINE_XML_FLAGS',
  });
});

test('answers many calls at once', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, () => client.version()));
  expect(new Set(answers.map(({ library }) => library)).size).toBe(1);
});

test('statistics of all domains, or of some', async () => {
  await client.defineDomain(domainXml('counted'));
  const all = await client.allDomainStats();
  expect(all.map(({ domain }) => domain.name)).toEqual(expect.arrayContaining([`counted-${uuid}`, 'test']));
  const [one] = await client.allDomainStats(0, { uuids: [uuid] });
  expect(one).toMatchObject({ domain: { uuid }, statistics: { 'state.state': 5 } });
});
