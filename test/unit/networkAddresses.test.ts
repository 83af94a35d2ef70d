// Address arithmetic of the network service, by tables.
import {
  canonicalAddress,
  eui64Address,
  formatCidr,
  linkLocalMac,
  overlaps,
  parseAddress,
  parseCidr,
  storedAddress,
  storedCidr,
  usableRange,
} from '../../controller/src/services/network/cidr';
import { freeAddresses } from '../../controller/src/services/network/addressPlan';
import { fullNameOf, hostnameOf } from '../../controller/src/services/network/dnsNames';
import { rulesForAgent } from '../../controller/src/services/network/ruleStates';
import { compact } from '../../controller/src/services/network/subnetPools';
import { firstFree } from '../../controller/src/services/network/subnetPoolAllocation';
import { defaultGateway, defaultPools } from '../../controller/src/services/network/subnetRules';

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['FD00:0:0::1', 'fd00::1'],
  ['::ffff:1.2.3.4', '::ffff:102:304'],
  ['10.1', undefined],
  ['0x0a.0.0.1', undefined],
  ['010.0.0.1', undefined],
  ['256.0.0.1', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
  ['host', undefined],
])('the address %s is %s', (text, canonical) => {
  expect(canonicalAddress(text)).toBe(canonical);
});

test.each([
  ['10.0.0.9/24', '10.0.0.0/24'],
  ['10.0.0.9/32', '10.0.0.9/32'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['fd00::1:2/64', 'fd00::/64'],
  ['10.0.0.0', undefined],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0/-1', undefined],
  ['fd00::/129', undefined],
  ['10.0.0.0/24/8', undefined],
])('the range %s is %s', (text, canonical) => {
  const cidr = parseCidr(text);
  expect(cidr && formatCidr(cidr)).toBe(canonical);
});

test('a stored text that is no address is an error, not a guess', () => {
  expect(() => storedCidr('x')).toThrow('not a CIDR');
  expect(() => storedAddress('x')).toThrow('not an address');
});

test.each([
  ['10.0.0.0/24', '10.0.0.1', [{ start: '10.0.0.2', end: '10.0.0.254' }], '10.0.0.1'],
  [
    '10.0.0.0/24',
    '10.0.0.100',
    [
      { start: '10.0.0.1', end: '10.0.0.99' },
      { start: '10.0.0.101', end: '10.0.0.254' },
    ],
    '10.0.0.1',
  ],
  ['10.0.0.0/30', '10.0.0.2', [{ start: '10.0.0.1', end: '10.0.0.1' }], '10.0.0.1'],
  ['10.0.0.0/31', null, [{ start: '10.0.0.0', end: '10.0.0.1' }], '10.0.0.0'],
  ['10.0.0.7/32', '10.0.0.7', [], '10.0.0.7'],
  ['fd00::/126', 'fe80::1', [{ start: 'fd00::1', end: 'fd00::3' }], 'fd00::1'],
])('%s with gateway %s has the pools %j', (text, gateway, pools, standard) => {
  const cidr = storedCidr(text);
  expect(defaultPools(cidr, gateway)).toEqual(pools);
  expect(defaultGateway(cidr)).toBe(standard);
});

test('ranges overlap only within a version', () => {
  expect(overlaps(storedCidr('10.0.0.0/8'), storedCidr('10.9.0.0/16'))).toBe(true);
  expect(overlaps(storedCidr('10.0.0.0/16'), storedCidr('10.1.0.0/16'))).toBe(false);
  expect(overlaps(storedCidr('0.0.0.0/0'), storedCidr('::/0'))).toBe(false);
  expect(usableRange(storedCidr('10.0.0.0/24'))).toEqual({ start: 167_772_161n, end: 167_772_414n });
});

test('an automatic address and the MAC behind a link-local one fit together', () => {
  expect(eui64Address(storedCidr('fd00:1::/64'), 'fa:16:3e:01:02:03')).toBe('fd00:1::f816:3eff:fe01:203');
  expect(linkLocalMac('fe80::f816:3eff:fe01:203')).toBe('fa:16:3e:01:02:03');
  for (const text of ['fe80::1', 'fe81::f816:3eff:fe01:203', 'fd00::f816:3eff:fe01:203', '10.0.0.1', 'x'])
    expect(linkLocalMac(text)).toBeUndefined();
  expect(parseAddress('fe80::1')?.version).toBe(6);
});

test('free addresses skip used ones and go on in the next pool', () => {
  const pools = [
    { start: '10.0.0.2', end: '10.0.0.4' },
    { start: '10.0.0.9', end: '10.0.0.10' },
  ];
  expect(freeAddresses(4, pools, new Set(['10.0.0.3']), 3)).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.9']);
  expect(freeAddresses(4, pools, new Set(), 99)).toHaveLength(5);
});

test.each([
  [['10.0.1.0/24', '10.0.0.0/24'], ['10.0.0.0/23']],
  [
    ['10.0.1.0/24', '10.0.2.0/24'],
    ['10.0.1.0/24', '10.0.2.0/24'],
  ],
  [['10.0.0.0/8', '10.9.0.0/16', '10.0.0.0/8'], ['10.0.0.0/8']],
  [['0.0.0.0/1', '128.0.0.0/1'], ['0.0.0.0/0']],
  [['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/23'], ['10.0.0.0/22']],
])('%j joined is %j', (prefixes, joined) => {
  expect(compact(prefixes)).toEqual(joined);
});

test('the first free range lies behind what is taken, on a multiple of its size', () => {
  const find = (prefixes: string[], taken: string[], length: number) => {
    const found = firstFree(prefixes.map(storedCidr), taken.map(storedCidr), length);
    return found && formatCidr(found);
  };
  expect(find(['10.0.0.0/16'], [], 24)).toBe('10.0.0.0/24');
  expect(find(['10.0.0.0/16'], ['10.0.0.0/26'], 24)).toBe('10.0.1.0/24');
  expect(find(['10.0.0.0/24'], ['10.0.0.0/25', '10.0.0.128/25'], 26)).toBeUndefined();
  expect(find(['10.1.0.0/24', '10.0.0.0/24'], ['10.0.0.0/24'], 24)).toBe('10.1.0.0/24');
  expect(find(['10.0.0.0/24'], [], 16)).toBeUndefined();
});

test('a host name is the port’s own or made from its address', () => {
  expect(hostnameOf('web', '10.0.0.5')).toBe('web');
  expect(hostnameOf('', '10.0.0.5')).toBe('host-10-0-0-5');
  expect(hostnameOf('', 'fd00::5')).toBe('host-fd00-5');
  expect(hostnameOf('web.lab.', '10.0.0.5')).toBe('web.lab');
  expect(fullNameOf('web', '10.0.0.5', 'lab.')).toBe('web.lab.');
  expect(fullNameOf('web.lab.', '10.0.0.5', '')).toBe('web.lab.');
  expect(fullNameOf('', '10.0.0.5', '')).toBe('host-10-0-0-5.openstacklocal.');
});

test('a rule for an address group becomes one rule per prefix of its family, none when there is none', () => {
  const rule = {
    id: 'r',
    project_id: 'p',
    description: '',
    created_at: 0,
    updated_at: 0,
    revision: 0,
    security_group_id: 'g',
    direction: 'egress',
    ethertype: 'IPv6',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: null,
    remote_address_group_id: 'a',
  };
  const prefixes = ['fd00::/64', '10.0.0.0/8', 'fd01::/64'].map((address) => ({ address_group_id: 'a', address }));
  expect(rulesForAgent([rule], prefixes).map((one) => [one.id, one.remote_ip_prefix])).toEqual([
    ['r.0', 'fd00::/64'],
    ['r.1', 'fd01::/64'],
  ]);
  expect(rulesForAgent([rule], [])).toEqual([]);
  expect(
    rulesForAgent(
      [
        { ...rule, remote_address_group_id: null },
        { ...rule, id: 'a', remote_address_group_id: null },
      ],
      [],
    ).map((one) => one.id),
  ).toEqual(['a', 'r']);
});
