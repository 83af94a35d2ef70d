// The domain definition as a pure function, and the mark that is read back from it.
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { interfaceName, type ServerEnsure } from '@cumulet/common';
import { markElement, parseMark, type Mark } from '../../compute-agent/src/domainMark';
import { definitionDigest, domainXml, type DomainSpec } from '../../compute-agent/src/domainXml';
import { escapeXml } from '../../compute-agent/src/xml';

const port = 'aaaaaaaa-0000-4000-8000-000000000001';
const server: ServerEnsure = {
  server_id: '11111111-1111-4111-8111-111111111111',
  name: 'web',
  project_id: 'p1',
  vcpus: 2,
  memory_mib: 512,
  disk: { path: '/d/disk', format: 'qcow2', backing: { path: '/d/base', format: 'raw' } },
  interfaces: [{ port_id: port, mac: 'fa:16:3e:00:00:01', mtu: 1450 }],
  config_drive: null,
  power: 'running',
  reboot: null,
  redefine: false,
};
const spec: DomainSpec = {
  server,
  domainName: 'cumulet-x',
  virtType: 'qemu',
  consoleLog: '/d/console.log',
  configDrive: null,
  directIo: true,
};
const mark: Mark = { serverId: server.server_id, projectId: 'p1', generation: 3, definition: 'abc', reboot: null };
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  processEntities: true,
});
const parsed = (changes: Partial<DomainSpec> = {}, serverChanges: Partial<ServerEnsure> = {}) =>
  parser.parse(domainXml({ ...spec, ...changes, server: { ...server, ...serverChanges } }, mark)).domain;

test('sizes, identity, lifecycle and devices', () => {
  const domain = parsed();
  expect(domain).toMatchObject({
    type: 'qemu',
    name: 'cumulet-x',
    uuid: server.server_id,
    title: 'web',
    memory: { '#text': '512', unit: 'MiB' },
    vcpu: '2',
    on_poweroff: 'destroy',
    on_reboot: 'restart',
    on_crash: 'destroy',
    clock: { offset: 'utc' },
    cpu: { mode: 'maximum' },
  });
  const entries = Object.fromEntries(
    domain.sysinfo.system.entry.map((entry: Record<string, string>) => [entry['name'], entry['#text']]),
  );
  expect(entries).toMatchObject({
    manufacturer: 'OpenStack Foundation',
    product: 'OpenStack Nova',
    serial: server.server_id,
    uuid: server.server_id,
  });
  const { devices } = domain;
  expect(devices.disk).toMatchObject({
    driver: { type: 'qcow2', cache: 'none', discard: 'unmap' },
    source: { file: '/d/disk' },
    backingStore: {
      format: { type: 'raw' },
      source: { file: '/d/base', seclabel: { model: 'dac', relabel: 'no' } },
      backingStore: '',
    },
    target: { dev: 'vda', bus: 'virtio' },
  });
  expect(devices.interface).toEqual({
    type: 'ethernet',
    mac: { address: 'fa:16:3e:00:00:01' },
    target: { dev: interfaceName('tap', port), managed: 'no' },
    model: { type: 'virtio' },
    mtu: { size: '1450' },
  });
  expect(devices.graphics).toEqual({ type: 'vnc', listen: { type: 'socket' } });
  expect(devices.serial).toMatchObject({ type: 'pty', log: { file: '/d/console.log', append: 'off' } });
  expect(devices.rng).toEqual({ model: 'virtio', backend: { '#text': '/dev/urandom', model: 'random' } });
});

test('with KVM the guest gets the host processor', () => {
  expect(parsed({ virtType: 'kvm' })).toMatchObject({ type: 'kvm', cpu: { mode: 'host-model' } });
});

test('without KVM it gets all that is emulated', () => {
  expect(parsed({ virtType: 'qemu' })).toMatchObject({ type: 'qemu', cpu: { mode: 'maximum' } });
});

test('without direct I/O the disk goes through the page cache, without a base there is no backing store', () => {
  const { devices } = parsed({ directIo: false }, { disk: { path: '/d', format: 'qcow2' }, interfaces: [] });
  expect(devices.disk.driver.cache).toBe('writeback');
  expect(devices.disk.backingStore).toBeUndefined();
  expect(devices.interface).toBeUndefined();
});

test('libvirt leaves alone whose a disk is that several hosts have', () => {
  expect(parsed().devices.disk.source.seclabel).toBeUndefined();
  const { disk } = parsed({}, { disk: { ...server.disk, shared: true } }).devices;
  expect(disk.source).toEqual({ file: '/d/disk', seclabel: { model: 'dac', relabel: 'no' } });
  expect(disk.backingStore.source.file).toBe('/d/base');
});

test('a config drive is a read-only virtio disk of explicit raw format', () => {
  const { devices } = parsed({ configDrive: '/d/config.iso' });
  expect(devices.disk[1]).toEqual({
    type: 'file',
    device: 'disk',
    driver: { name: 'qemu', type: 'raw' },
    source: { file: '/d/config.iso' },
    target: { dev: 'vdz', bus: 'virtio' },
    readonly: '',
  });
});

test.each([
  '</title><devices/>',
  `"quotes" & 'more'`,
  'two\nlines\r\nor three',
  'bell\u0007 null\u0000 lone \ud800 end',
  'größe 你好 😀',
])('the name %j can not leave its element', (name) => {
  const xml = domainXml({ ...spec, server: { ...server, name } }, mark);
  expect(XMLValidator.validate(xml)).toBe(true);
  expect(parser.parse(xml).domain.devices.disk.source.file).toBe('/d/disk');
  expect(/<title>([^<]*)<\/title>/.exec(xml)?.[1]).not.toMatch(/[\n\r\u0000-\u0008]/);
});

test('escaping keeps what XML can carry and replaces the rest', () => {
  expect(escapeXml(`a<b>&"'\t\u0001😀`)).toBe('a&lt;b&gt;&amp;&quot;&apos;\t\ufffd😀');
});

test('the digest changes with the definition and with nothing else', () => {
  const digest = definitionDigest(spec);
  expect(digest).toMatch(/^[0-9a-f]{16}$/);
  expect(
    definitionDigest({ ...spec, server: { ...server, power: 'paused', reboot: { nonce: 'x', type: 'hard' } } }),
  ).toBe(digest);
  expect(definitionDigest({ ...spec, server: { ...server, memory_mib: 1024 } })).not.toBe(digest);
  expect(definitionDigest({ ...spec, configDrive: '/d/config.iso' })).not.toBe(digest);
});

test.each<Mark>([mark, { ...mark, reboot: 'req-<1>&"' }])('a mark is read back as it was written', (written) => {
  expect(parseMark(domainXml(spec, written))).toEqual(written);
});

test.each([
  ['no metadata', '<domain/>'],
  ['empty metadata', '<domain><metadata/></domain>'],
  ["somebody else's metadata", '<domain><metadata><nova:instance xmlns:nova="x"/></metadata></domain>'],
  [
    'another namespace',
    `<domain><metadata>${markElement(mark).replace('urn:cumulet:server:1', 'urn:x')}</metadata></domain>`,
  ],
])('%s is no mark', (_, xml) => {
  expect(parseMark(xml)).toBeUndefined();
});

test('a mark without attributes is a mark of nothing', () => {
  const xml = '<domain><metadata><cumulet:server xmlns:cumulet="urn:cumulet:server:1"/></metadata></domain>';
  expect(parseMark(xml)).toEqual({ serverId: '', projectId: '', generation: 0, definition: '', reboot: null });
});
