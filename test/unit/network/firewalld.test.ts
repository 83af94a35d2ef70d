// What firewalld is asked for our bridges. With a real one the first hour (test/firstHour) shows that it passes their packets.
import { CommandError, type Exec, type Logger } from '@cumulet/common';
import { createFirewalld } from '../../../network-agent/src/firewalld';

const TENANT = 'br0123456789a';
const OTHER = 'brabcdef01234';
const isOurs = (name: string): boolean => /^br[0-9a-f]{11}$/.test(name) || name === 'cml-ext';

/** A firewalld that answers as busctl prints it; `fail` is what busctl says instead. */
function firewalld(
  zones: Record<string, string[]>,
  fail?: { code: number | null; words: string; at?: string },
  daemon = __filename,
) {
  const calls: string[] = [];
  const said: string[] = [];
  const exec: Exec = (argv) => {
    const [method = '', , zone = '', name = ''] = argv.slice(argv.indexOf('call') + 4);
    if (fail && (fail.at ?? method) === method)
      return Promise.reject(new CommandError(argv, fail.code, '', fail.words, undefined));
    const answer = (type: string, data: unknown) =>
      Promise.resolve({ stdout: `${JSON.stringify({ type, data: [data] })}\n`, stderr: '' });
    if (method === 'getZones') return answer('as', Object.keys(zones));
    if (method === 'getActiveZones') {
      const active = Object.entries(zones).filter(([, names]) => names.length > 0);
      return answer('a{sa{sas}}', Object.fromEntries(active.map(([key, interfaces]) => [key, { interfaces }])));
    }
    calls.push(`${method} ${zone} ${name}`);
    const there = zones[zone] ?? [];
    zones[zone] = method === 'addInterface' ? [...there, name] : there.filter((one) => one !== name);
    return answer('s', zone);
  };
  const note = (facts: object, words: string): void => void said.push(`${words} ${JSON.stringify(facts)}`);
  const log = { info: note, warn: note } as unknown as Logger;
  return { calls, said, zones, host: createFirewalld(exec, log, isOurs, daemon) };
}

test('bridges are taken into the zone of routed networks, once, and again after a reload has lost them', async () => {
  const { calls, said, zones, host } = firewalld({ public: ['eth0'], trusted: [], 'libvirt-routed': ['virbr1'] });
  const bridges = new Set([TENANT, 'cml-ext']);
  await host.sync(bridges);
  const taken = [`addInterface libvirt-routed ${TENANT}`, 'addInterface libvirt-routed cml-ext'];
  expect(calls.splice(0)).toEqual(taken);
  expect(said).toEqual([expect.stringContaining('passes what these bridges forward')]);
  await host.sync(bridges);
  expect(calls).toEqual([]);
  zones['libvirt-routed'] = [];
  await host.sync(bridges);
  expect(calls).toEqual(taken);
});

test('where it is not installed nobody is asked', async () => {
  const { calls, host } = firewalld({ trusted: [] }, undefined, '/nowhere/firewalld');
  await host.sync(new Set([TENANT]));
  expect(calls).toEqual([]);
});

test('one that is gone is forgotten, those of others and of another zone stay', async () => {
  const { calls, zones, host } = firewalld({
    public: ['eth0'],
    work: ['cml-ext'],
    trusted: [OTHER, 'br-lan'],
    'libvirt-routed': ['virbr1', TENANT],
  });
  await host.sync(new Set([TENANT, 'cml-ext']));
  expect(calls).toEqual([`removeInterface trusted ${OTHER}`]);
  await host.sync(new Set());
  expect(zones).toEqual({ public: ['eth0'], work: ['cml-ext'], trusted: ['br-lan'], 'libvirt-routed': ['virbr1'] });
});

test('without the zone of routed networks it is the trusted one, and what is missing then is told', async () => {
  const { calls, said, host } = firewalld({ public: ['eth0'], trusted: [] });
  await host.sync(new Set(['cml-ext']));
  expect(calls).toEqual(['addInterface trusted cml-ext']);
  expect(said).toEqual([expect.stringContaining('until it is reloaded')]);
});

test.each([
  [null, 'spawn busctl ENOENT'],
  [1, 'Call failed: Name "org.fedoraproject.FirewallD1" does not exist'],
  [1, 'Call failed: The name org.fedoraproject.FirewallD1 was not provided by any .service files'],
  [1, 'Failed to connect to bus: No such file or directory'],
])('where none runs nothing is asked for, and nothing said: %s %s', async (code, words) => {
  const { calls, said, host } = firewalld({}, { code, words });
  await host.sync(new Set(['cml-ext']));
  expect([calls, said]).toEqual([[], []]);
});

test.each([
  ['getActiveZones', 'Call failed: Access denied'],
  ['addInterface', 'Call failed: INVALID_ZONE'],
])('one that refuses %s is told in the log, and networking goes on', async (at, words) => {
  const { said, host } = firewalld({ public: [], trusted: [] }, { code: 1, words, at });
  await host.sync(new Set(['cml-ext']));
  expect(said).toEqual([expect.stringMatching(new RegExp(`did not take our bridges.*${words}`))]);
});
