// The compute agent's files and host facts: config drive, console log, inventory, faults, power states.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, HostError, type Exec } from '@cumulet/common';
import { CallTimeoutError, ConnectionLostError, ErrorCode } from '@cumulet/libvirt';
import { configDriveName, ensureConfigDrive } from '../../compute-agent/src/configDrive';
import { readConsoleLog } from '../../compute-agent/src/consoleLog';
import { doing, faultOf } from '../../compute-agent/src/faults';
import {
  chooseVirtType,
  detectVirtType,
  hasVirtualizationFlags,
  hostCpu,
  versionNumber,
} from '../../compute-agent/src/inventory';
import { serverDirectory } from '../../compute-agent/src/layout';
import { powerOf } from '../../compute-agent/src/power';
import { ownSharedDisk } from '../../compute-agent/src/sharedDisk';
import { fakeHypervisor, libvirtError } from '../support/fakeHypervisor';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'cumulet-compute-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Stands for genisoimage: writes the names and contents of the tree into the image. */
const iso =
  (calls: (readonly string[])[]): Exec =>
  (argv) => {
    calls.push(argv);
    const tree = argv.at(-1) ?? '';
    const out = argv[argv.indexOf('-o') + 1] ?? '';
    const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    writeFileSync(
      out,
      files.map((entry) => `${entry.name}=${readFileSync(join(entry.parentPath, entry.name), 'utf8')}`).join(),
    );
    return Promise.resolve({ stdout: '', stderr: '' });
  };

test("a disk that several hosts have gets QEMU's user, one of this host alone keeps its own", async () => {
  const { hypervisor } = fakeHypervisor();
  // Only root gives files away.
  const [uid, gid] = process.getuid?.() === 0 ? [64_055, 108] : [process.getuid?.(), process.getgid?.()];
  const label = `<secmodel><model>dac</model><baselabel type='qemu'>+${uid}:+${gid}</baselabel></secmodel>`;
  const labelled = { ...hypervisor, capabilities: () => Promise.resolve(`<capabilities>${label}</capabilities>`) };
  const disk = { path: join(dir, 'disk'), format: 'qcow2' as const };
  const owner = (): unknown => [statSync(disk.path).uid, statSync(disk.path).gid];
  writeFileSync(disk.path, '');
  const before = owner();
  await ownSharedDisk(labelled, { disk });
  await ownSharedDisk(hypervisor, { disk: { ...disk, shared: true } });
  expect(owner()).toEqual(before);
  await ownSharedDisk(labelled, { disk: { ...disk, shared: true } });
  expect(owner()).toEqual([uid, gid]);
});

test('a config drive is made once from its files and leaves nothing else', async () => {
  const calls: (readonly string[])[] = [];
  const files = { 'openstack/latest/meta_data.json': Buffer.from('{}').toString('base64') };
  const path = join(dir, configDriveName(files));
  await ensureConfigDrive(iso(calls), path, files);
  await ensureConfigDrive(iso(calls), path, files);
  expect(calls).toHaveLength(1);
  expect(calls[0]?.slice(0, 6)).toEqual(['genisoimage', '-quiet', '-V', 'config-2', '-J', '-R']);
  expect(readFileSync(path, 'utf8')).toBe('meta_data.json={}');
  expect(readdirSync(dir)).toEqual([configDriveName(files)]);
  await ensureConfigDrive(iso(calls), join(dir, 'empty.iso'), {});
  expect(readFileSync(join(dir, 'empty.iso'), 'utf8')).toBe('');
});

test('the name of a config drive follows its files, not their order', () => {
  expect(configDriveName({ a: 'MQ==', b: 'Mg==' })).toBe(configDriveName({ b: 'Mg==', a: 'MQ==' }));
  expect(configDriveName({ a: 'MQ==' })).not.toBe(configDriveName({ a: 'Mg==' }));
  expect(configDriveName({ a: 'MQ==' })).toMatch(/^config-[0-9a-f]{16}\.iso$/);
});

test.each(['../outside', '/etc/passwd', 'a/../../b', '.', 'nul\0'])(
  'the config drive file %j is refused',
  async (path) => {
    const calls: (readonly string[])[] = [];
    await expect(ensureConfigDrive(iso(calls), join(dir, 'x.iso'), { [path]: '' })).rejects.toMatchObject({
      code: 'bad_config_drive',
    });
    expect([calls, readdirSync(dir)]).toEqual([[], []]);
  },
);

test('a config drive that fails leaves nothing', async () => {
  const failing: Exec = (argv) => Promise.reject(new CommandError(argv, 1, '', 'no space'));
  await expect(ensureConfigDrive(failing, join(dir, 'x.iso'), { a: '' })).rejects.toThrow(CommandError);
  expect(readdirSync(dir)).toEqual([]);
});

test('the console log is read from its end, across rotated files', async () => {
  const log = join(dir, 'console.log');
  expect(await readConsoleLog(log, 100)).toEqual(Buffer.alloc(0));
  writeFileSync(log, 'three');
  writeFileSync(`${log}.0`, 'two-');
  writeFileSync(`${log}.1`, 'one-');
  const tail = async (bytes: number): Promise<string> => (await readConsoleLog(log, bytes)).toString();
  expect([await tail(3), await tail(5), await tail(7), await tail(99), await tail(0)]).toEqual([
    'ree',
    'three',
    'o-three',
    'one-two-three',
    '',
  ]);
  await expect(readConsoleLog(join(log, 'not-a-directory'), 5)).rejects.toMatchObject({ code: 'ENOTDIR' });
});

const KVM = '<domainCapabilities><domain>kvm</domain></domainCapabilities>';
test.each([
  ['Intel, and libvirt agrees', 'flags\t\t: fpu vmx sse', KVM, 'kvm'],
  ['AMD, and libvirt agrees', 'model: x\nflags : svm', KVM, 'kvm'],
  ['the processor can not, /dev/kvm or not', 'flags\t: fpu sse vmxnet', KVM, 'qemu'],
  ['libvirt refuses', 'flags\t: vmx', undefined, 'qemu'],
  [
    'libvirt offers emulation instead',
    'flags\t: vmx',
    '<domainCapabilities><domain>qemu</domain></domainCapabilities>',
    'qemu',
  ],
  ['an answer without a type', 'flags\t: vmx', '<x/>', 'qemu'],
])('virtualization: %s', (_, cpuinfo, capabilities, type) => {
  expect(chooseVirtType(cpuinfo, capabilities)).toBe(type);
});

test('what works is asked of libvirt only where the processor could', async () => {
  const could = hasVirtualizationFlags(readFileSync('/proc/cpuinfo', 'utf8'));
  let asked = 0;
  const answer = (result: () => Promise<string>) => ({ domainCapabilities: () => (asked++, result()) });
  expect(await detectVirtType(answer(() => Promise.resolve(KVM)))).toBe(could ? 'kvm' : 'qemu');
  expect(await detectVirtType(answer(() => Promise.reject(libvirtError(8))))).toBe('qemu');
  expect(asked).toBe(could ? 2 : 0);
});

test('versions and the processor are read from what libvirt says', () => {
  expect(versionNumber('7.2.22')).toBe(7_002_022);
  expect(versionNumber('9')).toBe(9_000_000);
  const xml =
    '<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor></cpu></host></capabilities>';
  expect(hostCpu(xml)).toEqual({ arch: 'x86_64', model: 'EPYC', vendor: 'AMD' });
  expect(hostCpu('<capabilities/>')).toEqual({ arch: 'x86_64', model: 'unknown', vendor: 'unknown' });
});

test.each([
  ['running', 1, false, 'running'],
  ['blocked', 0, false, 'running'],
  ['shutting-down', 0, false, 'running'],
  ['pm-suspended', 0, false, 'running'],
  ['paused', 1, false, 'paused'],
  ['crashed', 0, false, 'crashed'],
  ['shut-off', 1, false, 'shutdown'],
  ['shut-off', 3, false, 'crashed'],
  ['shut-off', 5, true, 'suspended'],
  ['none', 0, false, 'shutdown'],
])('%s (reason %i, saved %s) is %s', (state, reason, saved, power) => {
  expect(powerOf(state, reason, saved)).toBe(power);
});

test.each([
  ["cannot set up guest memory 'pc.ram': Cannot allocate memory", 1, 'host_memory', true],
  ['/var/x: No space left on device', 38, 'disk_full', true],
  ['Failed to get "write" lock', 1, 'disk_in_use', true],
  ["Cannot access storage file '/x/y': No such file or directory", 38, 'file_missing', true],
  ["Could not open '/x/y': Permission denied", 1, 'permission_denied', true],
  ["internal error: target managed='no' but specified dev doesn't exist", 1, 'port_missing', true],
  [
    "invalid argument: could not get preferred machine for /usr/bin/qemu type=kvm: does not support virt type 'kvm'",
    8,
    'no_kvm',
    true,
  ],
  ['Timed out during operation: cannot acquire state change lock', ErrorCode.OPERATION_TIMEOUT, 'server_busy', true],
  ['something at /x/y', 1, 'hypervisor_refused', true],
  ['XML error: /x/y', ErrorCode.XML_ERROR, 'hypervisor_refused', false],
])('libvirt says %j', (reason, number, code, retryable) => {
  const fault = faultOf(libvirtError(number, reason, 'DOMAIN_CREATE'), 'starting the server');
  expect(fault).toMatchObject({
    code,
    retryable,
    facts: { libvirt: { code: number, domain: 10, procedure: 'DOMAIN_CREATE', reason } },
  });
  expect(fault.message).toMatch(/^starting the server failed: /);
  expect(fault.message).not.toContain('/');
});

test.each([
  [new ConnectionLostError('/run/x', 'gone', false), 'hypervisor_away'],
  [new CallTimeoutError('DOMAIN_CREATE', 5, true), 'hypervisor_slow'],
  [new CommandError(['genisoimage', '/x'], 1, '', 'bad'), 'host_command_failed'],
  [new Error('/secret'), 'internal_error'],
])('%s becomes %s without a path', (error, code) => {
  const fault = faultOf(error, 'the work');
  expect(fault).toMatchObject({ code, retryable: true, facts: { error: error.message }, cause: error });
  expect(fault.message).not.toContain('/');
});

test('a fault that speaks for itself stays as it is', async () => {
  const fault = new HostError('x', 'y', { retryable: false });
  await expect(doing('the work', () => Promise.reject(fault))).rejects.toBe(fault);
  expect(await doing('the work', () => Promise.resolve(5))).toBe(5);
});

test('only a UUID becomes a directory', () => {
  expect(() => serverDirectory('/d', '../x')).toThrow(expect.objectContaining({ code: 'bad_server_id' }));
});
