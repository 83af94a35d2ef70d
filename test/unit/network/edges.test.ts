// The thin edges without a host: reading what tools print, running in order, following the feed, answering commands.
import type { Server } from 'node:http';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer as createStreamServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CommandError,
  HostError,
  silentLogger,
  type Exec,
  type Logger,
  type MetadataAnswer,
  type MetadataRequest,
  type NetworkChanges,
} from '@cumulet/common';
import { createAppliedFile, decodeApplied, encodeApplied } from '../../../network-agent/src/appliedFile';
import { ensurePorts, ownerWords, removePorts } from '../../../network-agent/src/commands';
import type { Applied } from '../../../network-agent/src/dataplane';
import { applyChanges, nothingDesired } from '../../../network-agent/src/desired';
import { parseResolvConf, relayDatagrams, relayStreams, upstreamsOf } from '../../../network-agent/src/dnsRelay';
import { createFeed } from '../../../network-agent/src/feed';
import { createHostKernel } from '../../../network-agent/src/hostKernel';
import { failedLine, runSteps } from '../../../network-agent/src/ipBatch';
import { createAnswerCache, createMetadataServer, isLinkLocal } from '../../../network-agent/src/metadataProxy';
import { parseLinks, parseNamespaceState } from '../../../network-agent/src/observe';
import { merged } from '../../../network-agent/src/serial';
import { securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

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

describe('one run at a time', () => {
  test('calls during a run share the next one', async () => {
    let runs = 0;
    const gates: (() => void)[] = [];
    const call = merged(() => {
      runs++;
      return new Promise<void>((resolve) => gates.push(resolve));
    });
    const first = call();
    const [second, third] = [call(), call()];
    gates[0]?.();
    await first;
    await new Promise(setImmediate);
    expect(runs).toBe(2);
    gates[1]?.();
    await Promise.all([second, third]);
    const fourth = call();
    gates[2]?.();
    await fourth;
    expect(runs).toBe(3);
  });

  test('a failed run does not stop the next', async () => {
    let fail = true;
    const call = merged(() => (fail ? Promise.reject(new Error('first')) : Promise.resolve()));
    const first = call();
    const second = call();
    fail = false;
    await expect(first).rejects.toThrow('first');
    await second;
  });
});

describe('the feed', () => {
  const answers: NetworkChanges[] = [];
  const feed = () =>
    createFeed(
      {
        networkChanges: () => Promise.resolve(answers.shift() ?? { sequence: 9, reload: false, objects: [], gone: [] }),
      },
      'h',
    );

  test('begins with everything, then asks for what is new', async () => {
    const one = feed();
    expect(one.desired).toBeUndefined();
    answers.push({ sequence: 5, reload: true, objects: [], gone: [] });
    expect(await one.pull()).toBe(true);
    expect(one.sequence).toBe(5);
    expect(await one.pull()).toBe(false);
    answers.push({ sequence: 10, reload: false, objects: [tenantNetwork()], gone: [] });
    expect(await one.pull()).toBe(true);
    expect(one.desired?.networks.size).toBe(1);
    one.restart();
    answers.push({ sequence: 11, reload: true, objects: [], gone: [] });
    expect(await one.pull()).toBe(true);
    expect(one.desired?.networks.size).toBe(0);
  });

  test('does not take a part for the whole', async () => {
    answers.push({ sequence: 5, reload: false, objects: [], gone: [] });
    await expect(feed().pull()).rejects.toThrow('without the whole state');
  });
});

describe('commands', () => {
  const state = (over: Partial<Applied> = {}): Applied => ({
    wired: new Set(['p']),
    faults: new Map(),
    closed: new Map(),
    cutOff: new Set(),
    ...over,
  });
  const context = (applied: Applied, known = true) => ({ sync: () => Promise.resolve(applied), known: () => known });
  const body = { port_ids: ['p'], sequence: 1, until: 'wired' as const };

  test('ports on and off', async () => {
    expect(await ensurePorts(body, context(state()))).toEqual({ wired: true });
    expect(await removePorts(body, context(state(), false))).toEqual({ wired: false });
  });

  test('a domain may start on taps that are made and not wired, but not on broken ones', async () => {
    const made = { ...body, until: 'made' as const };
    expect(await ensurePorts(made, context(state({ wired: new Set() })))).toEqual({ wired: false });
    const faults = new Map([['p', 'ip tuntap add: Device busy']]);
    await expect(ensurePorts(made, context(state({ wired: new Set(), faults })))).rejects.toMatchObject({
      code: 'port_not_wired',
    });
  });

  test('failures say to the owner what is theirs, and the rest to the administrator', async () => {
    await expect(ensurePorts(body, context(state(), false))).rejects.toMatchObject({ code: 'port_not_here' });
    await expect(removePorts(body, context(state()))).rejects.toMatchObject({ code: 'port_still_here' });
    const faults = new Map([['p', 'ip link tapx: Device busy']]);
    await expect(ensurePorts(body, context(state({ wired: new Set(), faults })))).rejects.toMatchObject({
      code: 'port_not_wired',
      message: 'port p could not be connected to its network on its host',
      facts: { details: ['ip link tapx: Device busy'] },
    });
    await expect(ensurePorts(body, context(state({ wired: new Set() })))).rejects.toMatchObject({
      facts: { details: [''] },
    });
    await expect(removePorts(body, context(state({ faults }), false))).rejects.toMatchObject({
      code: 'port_not_removed',
    });
    expect(ownerWords('p', state({ closed: new Map([['p', 'rule x']]) }))).toBe('rule x');
  });

  test('a host that can’t be set up is a fault that another try may avoid', async () => {
    const broken = { sync: () => Promise.reject(new Error('nft: no')), known: () => true };
    await expect(ensurePorts(body, broken)).rejects.toMatchObject({ code: 'network_failed', retryable: true });
    const behind = {
      sync: () => Promise.reject(new HostError('feed_behind', 'x', { retryable: true })),
      known: () => true,
    };
    await expect(ensurePorts(body, behind)).rejects.toMatchObject({ code: 'feed_behind' });
  });
});

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
    return { calls, settings, host: createHostKernel(exec, read, join(directory, 'kernel.json')) };
  }
  const filtering = { 'net.bridge.bridge-nf-call-iptables': '1', 'net.bridge.bridge-nf-call-ip6tables': '1' };
  const off = { ...filtering, 'net.bridge.bridge-nf-call-iptables': '0', 'net.ipv4.ip_forward': '0' };

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
    await expect(host.ensure(false)).rejects.toThrow('without them (br_netfilter) no security group works');
    await host.restore();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('what was applied', () => {
  const group = securityGroup([]);
  const network = tenantNetwork();
  const port = serverPort(network, '10.0.0.5', [group.id]);
  const desired = applyChanges(nothingDesired, {
    sequence: 1,
    reload: true,
    objects: [network, group, port],
    gone: [],
  });

  test('survives on disk', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cumulet-applied-'));
    try {
      const path = join(folder, 'applied.json');
      expect(await createAppliedFile(path, silentLogger).read()).toBeUndefined();
      const file = createAppliedFile(path, silentLogger);
      file.write({ desired, zones: new Map([['brx', 7]]) });
      expect((await file.read())?.zones.get('brx')).toBe(7);
      while (!readable(path)) await new Promise(setImmediate);
      const again = await createAppliedFile(path, silentLogger).read();
      expect(again?.desired.ports.get(port.id)).toEqual(port);
      writeFileSync(path, 'damaged');
      expect(await createAppliedFile(path, silentLogger).read()).toBeUndefined();
      await file.remove();
      expect(readable(path)).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  const readable = (path: string): boolean => {
    try {
      return readFileSync(path).length > 0;
    } catch {
      return false;
    }
  };

  test('leaves out what no flow depends on', () => {
    const full = {
      desired: applyChanges(desired, {
        sequence: 2,
        reload: false,
        objects: [
          {
            ...network,
            dhcp_hosts: [{ port_id: 'p', mac: port.mac, hostname: 'x', addresses: [], extra_options: [] }],
          },
        ],
        gone: [],
      }),
      zones: new Map(),
    };
    expect(decodeApplied(encodeApplied(full)).desired.networks.get(network.id)?.dhcp_hosts).toEqual([]);
  });
});

describe('metadata', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  const listen = async (
    answer: (request: MetadataRequest) => Promise<MetadataAnswer>,
    identify = (address: string): string | undefined => address,
  ): Promise<string> => {
    const context = {
      host: 'h',
      networkId: 'n',
      api: { metadata: answer },
      log: silentLogger,
      identify,
      answers: createAnswerCache(),
      timeout: 50,
    };
    server = createMetadataServer(context);
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  test('the caller is its address and network, whatever its headers say', async () => {
    const asked: MetadataRequest[] = [];
    const url = await listen((request) => {
      asked.push(request);
      return Promise.resolve({ status: 201, contentType: 'text/x', body: 'ok' });
    });
    const response = await fetch(`${url}/a/b?c=d`, {
      method: 'POST',
      body: 'secret',
      headers: { 'x-forwarded-for': '10.9.9.9', 'x-instance-id': 'other' },
    });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      201,
      'text/x',
      'ok',
    ]);
    expect(asked).toEqual([
      { host: 'h', networkId: 'n', address: '127.0.0.1', method: 'POST', path: '/a/b', body: 'secret' },
    ]);
    const head = await fetch(`${url}/a`, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe('2');
  });

  test('the last good answer is served while the controller is away or slow, and 503 where there is none', async () => {
    let mode: 'good' | 'away' | 'slow' | 'odd' = 'good';
    const url = await listen(() => {
      if (mode === 'away') return Promise.reject(new Error('away'));
      if (mode === 'slow') return new Promise(() => undefined);
      return Promise.resolve({ status: mode === 'odd' ? 404 : 200, contentType: 'text/plain', body: mode });
    });
    const get = async (path: string): Promise<string> => {
      const response = await fetch(url + path);
      return `${response.status} ${(await response.text()).trim()}`;
    };
    expect(await get('/x')).toBe('200 good');
    mode = 'odd';
    expect(await get('/x')).toBe('404 odd');
    mode = 'away';
    expect(await get('/x')).toBe('200 good');
    expect(await get('/y')).toContain('503');
    mode = 'slow';
    expect(await get('/x')).toBe('200 good');
  });

  test('an unknown caller and a body that is too long are refused without asking', async () => {
    const url = await listen(
      () => Promise.reject(new Error('asked')),
      () => undefined,
    );
    expect((await fetch(url)).status).toBe(404);
    server?.closeAllConnections();
    server?.close();
    const other = await listen(() => Promise.reject(new Error('asked')));
    expect((await fetch(other, { method: 'PUT', body: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('the oldest answers are given up', () => {
    const cache = createAnswerCache(2);
    const answer = (body: string): MetadataAnswer => ({ status: 200, contentType: '', body });
    cache.set('a', answer('1'));
    cache.set('b', answer('2'));
    cache.set('a', answer('3'));
    cache.set('c', answer('4'));
    expect([cache.get('a')?.body, cache.get('b'), cache.get('c')?.body]).toEqual(['3', undefined, '4']);
  });

  test('link-local addresses are told apart', () => {
    expect(['fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', '10.0.0.1'].map(isLinkLocal)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('the name relay', () => {
  test('servers from resolv.conf or the configuration', async () => {
    expect(
      parseResolvConf('# x\nnameserver 192.0.2.1\n nameserver fe80::1%eth0\nnameserver nonsense\nsearch a\n'),
    ).toEqual(['192.0.2.1', 'fe80::1%eth0']);
    expect(await upstreamsOf(['192.0.2.9'])()).toEqual(['192.0.2.9']);
    await expect(upstreamsOf([], '/nonexistent/resolv.conf')()).rejects.toThrow('ENOENT');
  });

  test('a question goes to the next server when the first does not want it', async () => {
    const upstream = createSocket('udp4');
    await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', resolve));
    upstream.on('message', (question, from) =>
      upstream.send(`answer to ${question.toString()}`, from.port, from.address),
    );
    const relay = createSocket('udp4');
    await new Promise<void>((resolve) => relay.bind(0, '127.0.0.1', resolve));
    const closed = createSocket('udp4');
    await new Promise<void>((resolve) => closed.bind(0, '127.0.0.1', resolve));
    const closedPort = closed.address().port;
    closed.close();
    relayDatagrams(
      relay,
      // The first two refuse; a machine without IPv6 does so in its own way.
      () => Promise.resolve([`::1#${closedPort}`, `127.0.0.1#${closedPort}`, `127.0.0.1#${upstream.address().port}`]),
      silentLogger,
    );
    const client = createSocket('udp4');
    const answer = await new Promise<string>((resolve) => {
      client.on('message', (message) => resolve(message.toString()));
      client.send('question', relay.address().port, '127.0.0.1');
    });
    expect(answer).toBe('answer to question');
    for (const socket of [upstream, relay, client]) socket.close();
  });

  test('a socket that fails is told to the administrator and does not end the agent', () => {
    const heard: unknown[][] = [];
    const log = Object.assign(Object.create(silentLogger) as Logger, {
      warn: (...words: unknown[]) => void heard.push(words),
    });
    const relay = createSocket('udp4');
    relayDatagrams(relay, () => Promise.resolve([]), log);
    relay.emit('error', new Error('no buffer space'));
    expect(heard).toEqual([[{ error: 'no buffer space' }, 'a name relay socket failed']]);
    relay.close();
  });

  test('a connection is joined to the first server, and closed when there is none', async () => {
    const upstream = createStreamServer((socket) => socket.end('hello'));
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    const servers = [`127.0.0.1#${(upstream.address() as AddressInfo).port}`];
    const relay = createStreamServer();
    relayStreams(relay, () => Promise.resolve(servers), silentLogger);
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const read = (): Promise<string> =>
      new Promise((resolve) => {
        let text = '';
        const client = createConnection((relay.address() as AddressInfo).port, '127.0.0.1');
        client.on('data', (chunk: Buffer) => (text += chunk.toString()));
        client.on('error', () => undefined);
        client.on('close', () => resolve(text));
      });
    expect(await read()).toBe('hello');
    servers.length = 0;
    expect(await read()).toBe('');
    relay.close();
    upstream.close();
  });
});
