// The XML of a guest that moves: what changes on the way, and what a host may not be offered.
import { migrationOptions } from '../../compute-agent/src/migrationOptions';
import { qemuOwner, socketUris } from '../../compute-agent/src/migrationSockets';
import { machineOf, movedXml } from '../../compute-agent/src/movedXml';
import { foreignPart } from '../../compute-agent/src/offeredXml';

const uuid = '00010203-0405-4607-8809-0a0b0c0d0e0f';
const files = ['/there/disk.qcow2', '/there/base', '/there/config.iso', '/there/console.log'];
const devices = `<emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/here/disk.qcow2' index='2'/>
 <backingStore type='file'><format type='raw'/><source file='/here/base'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><source file="/here/config.iso"/><target dev='vdz' bus='virtio'/><readonly/></disk>
<interface type='ethernet'><mac address='fa:16:3e:00:00:01'/><target dev='tap1' managed='no'/></interface>
<serial type='pty'><source path='/dev/pts/3'/><log file='/here/console.log' append='off'/></serial>
<console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/><log file='/here/console.log' append='off'/></console>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>`;
const domain = (inside = devices, more = ''): string =>
  `<domain type='kvm' id='4'><name>cumulet-${uuid}</name><uuid>${uuid}</uuid><memory unit='KiB'>1</memory>${more}` +
  `<os><type arch='x86_64'>hvm</type><boot dev='hd'/></os><cpu mode='custom'><model>Haswell</model></cpu><devices>${inside}</devices></domain>`;
const moved = (xml: string): string =>
  movedXml(xml, { disk: files[0] ?? '', backing: files[1], configDrive: files[2] ?? null, consoleLog: files[3] ?? '' });
const strange = (xml: string): string | undefined => foreignPart(xml, { name: `cumulet-${uuid}`, uuid, files });

test('files are those of the new host, and nothing else changes', () => {
  const xml = moved(domain());
  expect(xml.replaceAll('/there/', '/here/').replaceAll('"', "'")).toBe(domain().replaceAll('"', "'"));
  expect(xml).not.toContain('/here/');
  expect(strange(xml)).toBeUndefined();
});

test('a server without a config drive and a known image keeps what it names there, and that is refused', () => {
  const kept = movedXml(domain(), { disk: '/d', backing: undefined, configDrive: null, consoleLog: '/l' });
  expect(kept).toContain("<source file='/here/base'/>");
  expect(kept).toContain('<source file="/here/config.iso"/>');
  expect(strange(moved(domain()).replace('/there/base', '/here/base'))).toBe('it names /here/base');
});

test('disks that are no part of a server keep what they name, and are refused', () => {
  for (const more of [
    "<disk type='file'><source file='/here/x'/><target dev='vdb'/></disk>",
    "<disk type='file'><source file='/here/x'/></disk>",
  ]) {
    const xml = moved(domain(devices + more));
    expect(xml).toContain(more);
    expect(strange(xml)).toBe('it names /here/x');
  }
});

test.each<[string, string, string]>([
  ['a disk of the host', "<disk type='block'><source dev='/dev/vda'/><target dev='vdb'/></disk>", '/dev/vda'],
  ['a file of the host', "<disk type='file'><source file='/etc/shadow'/><target dev='vdb'/></disk>", '/etc/shadow'],
  [
    'a file below',
    "<disk><source file='/there/base'><x><source file='/etc/shadow'/></x></source></disk>",
    '/etc/shadow',
  ],
  ['a network disk', "<disk type='network'><source protocol='iscsi' name='a'/><target dev='vdb'/></disk>", 'iscsi'],
  ['a log elsewhere', "<serial type='pty'><log file='/etc/cron.d/x'/></serial>", '/etc/cron.d/x'],
  ['a bridge', "<interface type='bridge'><source bridge='br0'/></interface>", 'br0'],
  ['a device of the host', "<hostdev mode='subsystem'/>", 'hostdev'],
  ['a directory of the host', "<filesystem><source dir='/'/></filesystem>", 'filesystem'],
  ['another program', '<emulator>/bin/sh</emulator>', 'a program that is not QEMU'],
])('%s is refused', (_what, device, word) => {
  expect(strange(moved(domain()).replace('</devices>', `${device}</devices>`))).toContain(word);
});

test.each<[string, string]>([
  ["<qemu:commandline xmlns:qemu='q'><qemu:arg value='-x'/></qemu:commandline>", 'qemu:commandline'],
  ['<launchSecurity/>', 'launchSecurity'],
])('a part like %s is refused', (part, word) => {
  expect(strange(moved(domain(devices, part)))).toContain(word);
});

test('a kernel of the host, another domain and what is no domain are refused', () => {
  expect(strange(moved(domain()).replace('<boot ', '<kernel>/boot/vmlinuz</kernel><boot '))).toContain('kernel');
  expect(strange(moved(domain()).replace(`<name>cumulet-${uuid}`, '<name>other'))).toBe('it is another domain');
  expect(strange('<domain/>')).toBe('it is another domain');
  expect(strange('<network/>')).toBe('it is no domain');
});

test('a machine is told by what runs it and its processor', () => {
  expect(machineOf(domain())).toEqual({ virtType: 'kvm', cpu: "<cpu mode='custom'><model>Haswell</model></cpu>" });
  expect(machineOf("<domain type='qemu'><cpu mode='maximum'/></domain>")).toEqual({
    virtType: 'qemu',
    cpu: "<cpu mode='maximum'/>",
  });
  expect(machineOf('<domain/>')).toEqual({ virtType: undefined, cpu: undefined });
});

test('QEMU is who libvirt says, and its sockets are in the directory of the server', () => {
  const model = "<secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+108</baselabel></secmodel>";
  expect(qemuOwner(`<capabilities>${model}</capabilities>`)).toEqual({ uid: 64055, gid: 108 });
  expect(qemuOwner('<capabilities/>')).toBeUndefined();
  const memory = `unix:///d/servers/${uuid}/migration/memory`;
  expect(socketUris('/d', uuid, false)).toEqual({ migrateUri: memory });
  expect(socketUris('/d', uuid, true)).toEqual({
    migrateUri: memory,
    disksUri: `unix:///d/servers/${uuid}/migration/disks`,
  });
});

test('what libvirt is told depends on disks, power and the administrator', () => {
  expect(migrationOptions({ sharedDisk: false })).toEqual({ flags: 1 | 8 | 128, disks: ['vda'] });
  expect(migrationOptions({ sharedDisk: true, paused: true, autoConverge: true, bandwidth: 7 })).toEqual({
    flags: 1 | 8 | 32 | 8192 | 512,
    bandwidth: 7,
  });
});
