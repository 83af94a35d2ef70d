// The scheduler's rules: each filter says no with its reason, each weigher orders; nothing here touches a database.
import { filters } from '../../controller/src/scheduler/filters';
import { refuseByGroup } from '../../controller/src/scheduler/hintFilters';
import {
  explain,
  explainByHost,
  schedule,
  silentHost,
  type GroupSpread,
  type HostView,
  type PlacementRequest,
} from '../../controller/src/scheduler/scheduler';
import { fitsSpec } from '../../controller/src/scheduler/specFilters';

const host = (name: string, changes: Partial<HostView> = {}): HostView => ({
  name,
  enabled: true,
  disabledReason: null,
  alive: true,
  zone: 'nova',
  capacity: { vcpus: 8, memoryMib: 8192, diskGib: 100 },
  used: { vcpus: 0, memoryMib: 0, diskGib: 0 },
  portions: {},
  aggregateMetadata: new Map(),
  architecture: 'x86_64',
  virtType: 'kvm',
  traits: new Set(),
  failedBuilds: 0,
  ...changes,
});
const request = (changes: Partial<PlacementRequest> = {}): PlacementRequest => ({
  need: { vcpus: 1, memoryMib: 512, diskGib: 5 },
  zone: null,
  host: null,
  excludedHosts: [],
  leaving: null,
  sameHosts: null,
  differentHosts: [],
  group: null,
  extraSpecs: {},
  imageProperties: {},
  hostsWithImage: new Set(),
  ...changes,
});
const group = (policy: GroupSpread['policy'], members: Record<string, number>, maxPerHost = 1): GroupSpread => ({
  policy,
  maxPerHost,
  members: new Map(Object.entries(members)),
});
const spec = (key: string, value: string): Partial<PlacementRequest> => ({ extraSpecs: { [key]: value } });
const image = (key: string, value: string): Partial<PlacementRequest> => ({ imageProperties: { [key]: value } });

test.each<[string, Partial<HostView>, Partial<PlacementRequest>, string]>([
  ['requested host', {}, { host: 'b' }, 'another host was asked for'],
  ['another host', {}, { leaving: 'a' }, 'the server is there and shall leave it'],
  ['tried before', {}, { excludedHosts: ['a'] }, 'it failed there already'],
  ['zone', {}, { zone: 'lab' }, 'not in availability zone lab'],
  ['enabled', { enabled: false }, {}, 'disabled by the administrator'],
  ['alive', { alive: false }, {}, 'its agents have not been heard for 10 s'],
  ['aggregate', {}, spec('aggregate_instance_extra_specs:ssd', 'true'), 'in no aggregate with ssd true'],
  [
    'aggregate',
    { aggregateMetadata: new Map([['ssd', ['false', 'no']]]) },
    spec('aggregate_instance_extra_specs:ssd', 'true'),
    'in no aggregate with ssd true',
  ],
  ['traits', {}, spec('trait:HW_CPU_X86_AVX2', 'required'), 'lacks trait HW_CPU_X86_AVX2'],
  ['traits', {}, spec('trait1:CUSTOM_X', 'required'), 'lacks trait CUSTOM_X'],
  [
    'traits',
    { traits: new Set(['CUSTOM_X']) },
    spec('trait_DISK:CUSTOM_X', 'forbidden'),
    'has the forbidden trait CUSTOM_X',
  ],
  [
    'traits',
    { traits: new Set(['CUSTOM_X']) },
    image('trait:CUSTOM_X', 'forbidden'),
    'has the forbidden trait CUSTOM_X',
  ],
  ['image', {}, image('hw_architecture', 'arm64'), 'the image is for arm64, the processor is x86_64'],
  ['image', { virtType: 'qemu' }, image('img_hv_type', 'kvm'), 'the image is for the hypervisor kvm'],
  ['image', {}, image('hw_vm_mode', 'xen'), 'the image needs the mode xen, only hvm is there'],
  ['same host', {}, { sameHosts: ['b'] }, 'not the host of the servers in same_host'],
  ['different host', {}, { differentHosts: ['a'] }, 'it has a server of different_host'],
  [
    'server group',
    {},
    { group: group('anti-affinity', { a: 1 }) },
    'it has 1 server of the anti-affinity group already',
  ],
  [
    'server group',
    {},
    { group: group('anti-affinity', { a: 2 }, 2) },
    'it has 2 servers of the anti-affinity group already',
  ],
  ['server group', {}, { group: group('affinity', { b: 1 }) }, 'the other servers of the affinity group are elsewhere'],
  ['vCPUs', { used: { vcpus: 8, memoryMib: 0, diskGib: 0 } }, {}, 'not enough vCPUs: 1 asked, 0 free'],
  ['memory', { used: { vcpus: 0, memoryMib: 8000, diskGib: 0 } }, {}, 'not enough memory: 512 MiB asked, 192 MiB free'],
  ['disk', { capacity: { vcpus: 8, memoryMib: 8192, diskGib: 4 } }, {}, 'not enough disk: 5 GiB asked, 4 GiB free'],
  ['vCPUs', { portions: { vcpus: { min: 2, max: 8, step: 1 } } }, {}, 'vCPUs: at least 2 a server, 1 asked'],
  [
    'memory',
    { portions: { memoryMib: { min: 1, max: 256, step: 1 } } },
    {},
    'memory: at most 256 MiB a server, 512 MiB asked',
  ],
  ['disk', { portions: { diskGib: { min: 1, max: 100, step: 4 } } }, {}, 'disk: only multiples of 4 GiB, 5 GiB asked'],
])('%s says no (%#)', (filter, hostChanges, requestChanges, reason) => {
  const decision = schedule([host('a', hostChanges)], request(requestChanges));
  expect(decision).toEqual({ candidates: [], rejections: [{ host: 'a', filter, reason }] });
});

test.each<[string, Partial<HostView>, Partial<PlacementRequest>]>([
  ['requested host', {}, { host: 'a' }],
  ['zone', { zone: 'lab' }, { zone: 'lab' }],
  [
    'aggregate',
    { aggregateMetadata: new Map([['ssd', ['no', 'true']]]) },
    spec('aggregate_instance_extra_specs:ssd', 'true'),
  ],
  ['another host', {}, { leaving: 'b' }],
  ['tried before', {}, { excludedHosts: ['b'] }],
  ['aggregate', {}, spec('hw:cpu_policy', 'shared')],
  ['traits', { traits: new Set(['T']) }, spec('trait:T', 'required')],
  ['traits', {}, spec('trait:T', 'forbidden')],
  ['image', {}, image('hw_architecture', 'AMD64')],
  ['image', { architecture: undefined }, image('architecture', 'arm64')],
  ['image', {}, image('hypervisor_type', 'QEMU')],
  ['image', { virtType: undefined }, image('img_hv_type', 'kvm')],
  ['image', {}, image('vm_mode', 'HVM')],
  ['same host', {}, { sameHosts: ['a', 'b'] }],
  ['different host', {}, { differentHosts: ['b'] }],
  ['server group', {}, { group: group('anti-affinity', { a: 1 }, 2) }],
  ['server group', {}, { group: group('affinity', {}) }],
  ['server group', {}, { group: group('affinity', { a: 1 }) }],
  ['server group', {}, { group: group('soft-anti-affinity', { a: 3 }) }],
  ['memory', { portions: { memoryMib: { min: 512, max: 512, step: 256 } } }, {}],
  ['disk', { portions: { diskGib: { min: 2, max: 4, step: 2 } } }, { need: { vcpus: 1, memoryMib: 512, diskGib: 0 } }],
])('%s lets a host pass (%#)', (filter, hostChanges, requestChanges) => {
  const rule = filters.find(({ name }) => name === filter);
  expect(rule?.asks(request(requestChanges))?.(host('a', hostChanges))).toBeUndefined();
  expect(schedule([host('a', hostChanges)], request(requestChanges)).candidates).toEqual(['a']);
});

test('the policy of a group is asked again when the room is claimed', () => {
  expect(refuseByGroup('a', group('anti-affinity', {}))).toBeUndefined();
  expect(refuseByGroup('a', group('soft-affinity', { b: 4 }))).toBeUndefined();
});

test.each([
  ['4', '= 3', true],
  ['2', '= 3', false],
  ['3', '== 3', true],
  ['3', '!= 3', false],
  ['3', '<= 3', true],
  ['2', '>= 3', false],
  ['fast', 's== fast', true],
  ['fast', 's!= fast', false],
  ['b', 's> a', true],
  ['b', 's>= b', true],
  ['b', 's< a', false],
  ['b', 's<= b', true],
  ['ssd nvme', '<in> nvme', true],
  ['ssd nvme', '<all-in> ssd nvme', true],
  ['ssd', '<all-in> ssd nvme', false],
  ['b', '<or> a <or> b', true],
  ['c', '<or> a <or> b', false],
  ['plain', 'plain', true],
  ['plain', 'other', false],
  ['s==', 's==', true],
  ['=', '=', true],
])('the value %j fits the extra spec %j: %s', (value, asked, fits) => {
  expect(fitsSpec(value, asked)).toBe(fits);
});

describe('of hosts that fit,', () => {
  const full = host('full', { used: { vcpus: 6, memoryMib: 6000, diskGib: 50 } });
  const best = (hosts: HostView[], changes: Partial<PlacementRequest> = {}) =>
    schedule(hosts, request(changes)).candidates;

  test('the emptiest comes first, and equal ones by name', () => {
    expect(best([full, host('b'), host('a'), host('c')])).toEqual(['a', 'b', 'c', 'full']);
  });

  test('one without any capacity of a kind weighs nothing for it', () => {
    const none = host('none', { capacity: { vcpus: 8, memoryMib: 8192, diskGib: 0 } });
    expect(best([none, host('z')], { need: { vcpus: 1, memoryMib: 1, diskGib: 0 } })).toEqual(['z', 'none']);
  });

  test('soft affinity is stronger than room, and soft anti-affinity too', () => {
    expect(best([host('a'), full], { group: group('soft-affinity', { full: 1 }) })).toEqual(['full', 'a']);
    expect(best([host('a'), full], { group: group('soft-anti-affinity', { a: 1 }) })).toEqual(['full', 'a']);
    expect(best([host('a'), full], { group: group('soft-affinity', {}) })).toEqual(['a', 'full']);
  });

  test('one that has the image is a little better', () => {
    expect(best([host('a'), host('b')], { hostsWithImage: new Set(['b']) })).toEqual(['b', 'a']);
    expect(best([host('a'), full], { hostsWithImage: new Set(['full']) })).toEqual(['a', 'full']);
  });

  test('one where builds failed comes last', () => {
    expect(best([host('a', { failedBuilds: 1 }), full])).toEqual(['full', 'a']);
  });
});

describe('the explanation', () => {
  const hosts = [host('a', { enabled: false }), host('b', { alive: false }), host('c', { alive: false })];

  test('counts reasons without names of hosts for owners', () => {
    expect(explain(schedule(hosts, request()))).toBe(
      'No valid host was found. 1 host: disabled by the administrator; 2 hosts: its agents have not been heard for 10 s.',
    );
    expect(explain(schedule([], request()))).toBe('No valid host was found: the cloud has no hosts.');
  });

  test('names every host with its filter for administrators', () => {
    expect(explainByHost(schedule(hosts, request())).split('\n')).toEqual([
      'a: enabled: disabled by the administrator',
      'b: alive: its agents have not been heard for 10 s',
      'c: alive: its agents have not been heard for 10 s',
    ]);
  });

  test('knows when a silent host might have had room', () => {
    expect(silentHost(schedule(hosts, request()))).toBe(true);
    expect(silentHost(schedule([host('a', { enabled: false, alive: false })], request()))).toBe(false);
    expect(silentHost(schedule([host('a')], request()))).toBe(false);
  });
});
