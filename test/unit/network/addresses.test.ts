// Arithmetic on addresses, and what is not an address.
import {
  canonical,
  covers,
  familyOf,
  ipv6Range,
  isMac,
  linkLocalOf,
  macOfLinkLocal,
  parseInterfaceAddress,
  parsePrefix,
  prefixText,
  withoutOverlaps,
} from '../../../network-agent/src/addresses';

test.each([
  ['10.0.0.77/24', '10.0.0.0/24'],
  ['10.0.0.7', '10.0.0.7'],
  ['10.0.0.7/32', '10.0.0.7'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['FD00:0::0001', 'fd00::1'],
  ['fd00::5/64', 'fd00::/64'],
])('%s is read as %s', (text, expected) => {
  expect(prefixText(parsePrefix(text))).toBe(expected);
});

test.each([
  '',
  '10.0.0',
  '10.0.0.1/33',
  'fd00::/129',
  '10.0.0.0/24/8',
  '10.0.0.1 ',
  'fe80::1%eth0',
  '10.0.0.1/-1',
  '0x7f.1',
  'a; drop',
])('%j is refused', (text) => {
  expect(() => parsePrefix(text)).toThrow('is not an IP address or prefix');
});

test('an interface address keeps its host bits', () => {
  expect(parseInterfaceAddress('10.0.0.77/24')).toEqual({ family: 4, address: '10.0.0.77', length: 24 });
});

test('families and spellings', () => {
  expect(familyOf('10.0.0.1')).toBe(4);
  expect(familyOf('::1')).toBe(6);
  expect(canonical('FD00::0:1')).toBe('fd00::1');
});

test('a prefix covers what lies in it, of its own family only', () => {
  const outer = parsePrefix('10.0.0.0/8');
  expect(covers(outer, parsePrefix('10.1.0.0/16'))).toBe(true);
  expect(covers(parsePrefix('10.1.0.0/16'), outer)).toBe(false);
  expect(covers(outer, parsePrefix('11.0.0.0/16'))).toBe(false);
  expect(covers(outer, parsePrefix('fd00::/16'))).toBe(false);
});

test('doubles and what is covered by another prefix are left out', () => {
  const texts = ['10.0.0.5', '10.0.0.0/24', '10.0.0.5', '10.0.1.1', 'fd00::1'];
  expect(withoutOverlaps(texts.map(parsePrefix)).map(prefixText)).toEqual(['10.0.0.0/24', '10.0.1.1', 'fd00::1']);
});

test('an IPv6 prefix as a range of numbers', () => {
  expect(ipv6Range(parsePrefix('fd00::/126'))).toEqual({ first: 0xfdn << 120n, last: (0xfdn << 120n) + 3n });
});

test('a MAC address and its link-local address lead to each other', () => {
  expect(linkLocalOf('fa:16:3e:00:00:01')).toBe('fe80::f816:3eff:fe00:1');
  expect(macOfLinkLocal('fe80::f816:3eff:fe00:1')).toBe('fa:16:3e:00:00:01');
  expect(macOfLinkLocal('fe80::f816:3eff:fe00:1%eth0')).toBe('fa:16:3e:00:00:01');
});

test.each(['10.0.0.1', 'fd00::f816:3eff:fe00:1', 'fe80::1', 'fe90::f816:3eff:fe00:1', 'fe80::f816:3eff:aa00:1', ''])(
  '%j hides no MAC address',
  (text) => {
    expect(macOfLinkLocal(text)).toBeUndefined();
  },
);

test('what a MAC address looks like', () => {
  expect(isMac('fa:16:3e:00:00:01')).toBe(true);
  expect(isMac('fa:16:3e:00:00')).toBe(false);
  expect(isMac('fa:16:3e:00:00:01\n')).toBe(false);
});
