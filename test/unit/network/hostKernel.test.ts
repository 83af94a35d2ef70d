// The settings of the kernel that filtering needs.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, silentLogger, type Exec } from '@cumulet/common';
import { createHostKernel, loadBridgeFilter } from '../../../network-agent/src/hostKernel';

describe('kernel settings', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'cumulet-kernel-'))));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A kernel with these settings; a setting that is not there can't be written unless errors are ignored. */
  function kernel(settings: Record<string, string>) {
    const calls: string[] = [];
    const exec: Exec = (argv) => {
      calls.push(argv.join(' '));
      const names = argv.slice(1).filter((word) => !word.startsWith('-'));
      for (const [name = '', value = ''] of names.map((word) => word.split('='))) {
        if (settings[name] !== undefined) settings[name] = value;
        else if (!argv.includes('-e')) return Promise.reject(new CommandError(argv, 255, '', 'no such file'));
      }
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    const read = (path: string): Promise<string | undefined> => {
      const value = settings[path.replace('/proc/sys/', '').replaceAll('/', '.')];
      return Promise.resolve(value === undefined ? undefined : `${value}\n`);
    };
    return { calls, settings, exec, read, host: createHostKernel(exec, read, join(directory, 'kernel.json')) };
  }
  /** br_netfilter is there, and filters nobody's bridges by itself. */
  const filtering = { 'net.bridge.bridge-nf-call-iptables': '0', 'net.bridge.bridge-nf-call-ip6tables': '0' };
  const off = { ...filtering, 'net.ipv4.ip_forward': '0' };

  test('wrong ones are put right, good ones left alone', async () => {
    const { calls, host } = kernel({ ...filtering, 'net.ipv4.ip_forward': '0' });
    expect(await host.ensure(false)).toEqual([]);
    expect(calls).toEqual([]);
    expect(await host.ensure(true)).toEqual(['net.ipv4.ip_forward']);
    expect(calls).toEqual(['sysctl -q -w net.ipv4.ip_forward=1']);
  });

  test('are put back as they were first found, also by another process and when they were changed again meanwhile', async () => {
    const { settings, host } = kernel({ ...off });
    await host.ensure(true);
    settings['net.ipv4.ip_forward'] = 'odd';
    await host.ensure(true);
    const other = kernel(settings);
    expect(await other.host.before()).toEqual({ 'net.ipv4.ip_forward': '0' });
    await other.host.restore();
    expect(settings).toEqual(off);
    expect(readdirSync(directory)).toEqual([]);
    const { calls, host: untouched } = kernel({});
    await untouched.restore();
    expect(calls).toEqual([]);
  });

  test('a kernel without bridge filtering is refused in words; a damaged memory is no obstacle', async () => {
    writeFileSync(join(directory, 'kernel.json'), 'not JSON');
    const { host } = kernel({});
    await expect(host.ensure(false)).rejects.toThrow(
      'br_netfilter is not there, and without it no security group works',
    );
    await host.restore();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('br_netfilter that is loaded for us leaves the bridges of others alone; one that was there is left as it is', async () => {
    const fresh = kernel({});
    const loads: Exec = (argv, options) => {
      if (argv[0] !== 'modprobe') return fresh.exec(argv, options);
      Object.assign(fresh.settings, {
        'net.bridge.bridge-nf-call-iptables': '1',
        'net.bridge.bridge-nf-call-ip6tables': '1',
      });
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    await loadBridgeFilter(loads, fresh.read, silentLogger);
    expect(fresh.settings).toEqual(filtering);
    const there = kernel({ ...filtering, 'net.bridge.bridge-nf-call-iptables': '1' });
    await loadBridgeFilter(there.exec, there.read, silentLogger);
    expect(there.calls).toEqual([]);
    const none = kernel({});
    await loadBridgeFilter(() => Promise.reject(new Error('no such module')), none.read, silentLogger);
    expect(none.settings).toEqual({});
  });
});
