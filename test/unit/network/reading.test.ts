// What the tools of the host print is read, and what is asked of them goes out in batches.
import { CommandError, type Exec } from '@cumulet/common';
import { failedLine, runSteps } from '../../../network-agent/src/ipBatch';
import { parseLinks, parseNamespaceState } from '../../../network-agent/src/observe';

describe('what ip prints', () => {
  test('links with alias, kind and bridge', () => {
    const text = JSON.stringify([
      {
        ifname: 'tapx',
        ifalias: 'p',
        flags: ['UP', 'LOWER_UP'],
        mtu: 1400,
        master: 'brx',
        linkinfo: { info_kind: 'tun' },
      },
      {},
    ]);
    expect([...parseLinks(text).values()]).toEqual([
      { name: 'tapx', alias: 'p', kind: 'tun', master: 'brx', mtu: 1400, up: true, carrier: true },
      { name: '', alias: '', kind: '', master: undefined, mtu: 0, up: false, carrier: false },
    ]);
    expect(parseLinks('').size + parseLinks('{}').size).toBe(0);
    expect(() => parseLinks('oops')).toThrow('ip link printed no JSON');
  });

  test('a namespace without what the kernel made by itself', () => {
    const addresses = [
      { local: '10.0.0.1', prefixlen: 24 },
      { local: 'fe80::1', prefixlen: 64 },
      { local: 'fe80::a9fe:a9fe', prefixlen: 64 },
      { local: 'fd00::7', prefixlen: 64, dynamic: true },
      {},
    ];
    const links = [
      { ifname: 'lo' },
      { ifname: 'qr', address: 'fa:16:3e:00:00:01', mtu: 1400, flags: ['UP'], addr_info: addresses },
      {},
    ];
    const routes = [{ dst: 'default', gateway: '10.0.0.254' }, { dst: '10.0.0.0/24' }, { gateway: '10.0.0.9' }];
    const read = parseNamespaceState(`${JSON.stringify(links)}\n${JSON.stringify(routes)}\n`);
    expect(read.links.get('qr')?.addresses).toEqual(['10.0.0.1/24', 'fe80::a9fe:a9fe/64', '/0']);
    expect(read.links.get('')).toEqual({ mac: '', mtu: 0, up: false, addresses: [] });
    expect(read.routes).toEqual([
      { destination: 'default', nexthop: '10.0.0.254' },
      { destination: 'default', nexthop: '10.0.0.9' },
    ]);
  });
});

describe('ip in batches', () => {
  const steps = [
    { owner: 'a', lines: ['a1', 'a2', 'a3'] },
    { owner: 'b', lines: ['b1'] },
  ];
  const failure = (stderr: string): CommandError => new CommandError(['ip'], 1, '', stderr);

  test('one process when all goes well', async () => {
    const inputs: string[] = [];
    const exec: Exec = async (_argv, options) => {
      inputs.push(options?.input ?? '');
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    expect((await runSteps(exec, steps)).size).toBe(0);
    expect(inputs).toEqual(['a1\na2\na3\nb1\n']);
    expect((await runSteps(exec, [])).size).toBe(0);
  });

  test('a failing step is left where it failed, the others go on', async () => {
    const inputs: string[] = [];
    const exec: Exec = async (_argv, options) => {
      inputs.push(options?.input ?? '');
      if (inputs.length === 1) return Promise.reject(failure('RTNETLINK answers: File exists\nCommand failed -:2\n'));
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    expect([...(await runSteps(exec, steps))]).toEqual([['a', 'ip a2: RTNETLINK answers: File exists']]);
    expect(inputs).toEqual(['a1\na2\na3\nb1\n', 'b1\n']);
  });

  test('any other failure is thrown', async () => {
    await expect(runSteps(() => Promise.reject(failure('killed')), steps)).rejects.toThrow('killed');
    await expect(runSteps(() => Promise.reject(failure('Command failed -:99')), steps)).rejects.toThrow('failed');
    await expect(runSteps(() => Promise.reject(new Error('no')), steps)).rejects.toThrow('no');
    expect([
      ...(await runSteps(
        (_argv, options) =>
          options?.input === 'b1\n'
            ? Promise.resolve({ stdout: '', stderr: '' })
            : Promise.reject(failure('Command failed -:1')),
        steps,
      )),
    ]).toEqual([['a', 'ip a1: ']]);
    expect(failedLine('nothing')).toBeUndefined();
  });
});
