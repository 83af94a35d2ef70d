// The agent's hold on what is desired: the feed, one run at a time, commands for ports, and what it remembers of its last run.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostError, silentLogger, type NetworkChanges } from '@cumulet/common';
import { createAppliedFile, decodeApplied, encodeApplied } from '../../../network-agent/src/appliedFile';
import { ensurePorts, ownerWords, removePorts } from '../../../network-agent/src/commands';
import type { Applied } from '../../../network-agent/src/dataplane';
import { applyChanges, nothingDesired } from '../../../network-agent/src/desired';
import { createFeed } from '../../../network-agent/src/feed';
import { merged } from '../../../network-agent/src/serial';
import { securityGroup, serverPort, tenantNetwork } from '../../support/networkLab';

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

  test('an answer that comes after a newer question was asked is dropped', async () => {
    const waiting: ((changes: NetworkChanges) => void)[] = [];
    const one = createFeed({ networkChanges: () => new Promise((resolve) => waiting.push(resolve)) }, 'h');
    const [early, late] = [one.pull(), one.pull()];
    waiting[1]?.({ sequence: 7, reload: true, objects: [tenantNetwork()], gone: [] });
    expect(await late).toBe(true);
    waiting[0]?.({ sequence: 5, reload: true, objects: [], gone: [] });
    expect(await early).toBe(false);
    expect([one.sequence, one.desired?.networks.size]).toEqual([7, 1]);
  });

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
