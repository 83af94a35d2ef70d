// Ranges of LAN addresses as prefixes, and the lines that bring a host to one.
import {
  addressesOf,
  inRange,
  parseFloating,
  parseRange,
  planFloating,
  prefixesOf,
} from '../../../network-agent/src/floatingRange';
import { hostFilterChains } from '../../../network-agent/src/firewall/host';

test.each([
  ['10.0.0.1-10.0.0.1', ['10.0.0.1/32']],
  ['10.0.0.200-10.0.0.206', ['10.0.0.200/30', '10.0.0.204/31', '10.0.0.206/32']],
  ['10.0.0.0 - 10.0.0.255', ['10.0.0.0/24']],
  ['10.0.0.255-10.0.1.0', ['10.0.0.255/32', '10.0.1.0/32']],
  ['255.255.255.255-255.255.255.255', ['255.255.255.255/32']],
])('%s in the fewest prefixes', (text, prefixes) => {
  expect(prefixesOf(parseRange(text))).toEqual(prefixes);
});

test.each([
  ['', /is not FIRST-LAST/],
  ['10.0.0.1', /is not FIRST-LAST/],
  ['10.0.0.1-10.0.0.2-10.0.0.3', /is not FIRST-LAST/],
  ['10.1-10.2', /is not FIRST-LAST/],
  ['a-b', /is not FIRST-LAST/],
  ['fe80::1-fe80::2', /is not FIRST-LAST/],
  ['10.0.0.2-10.0.0.1', /ends before it begins/],
  ['10.0.0.0-10.0.1.0', /has more than 256 addresses/],
])('%j is no range', (text, words) => {
  expect(() => parseRange(text)).toThrow(words);
});

test('addresses are in their range', () => {
  const range = parseRange('10.0.0.254-10.0.1.1');
  expect(addressesOf(range)).toEqual(['10.0.0.254', '10.0.0.255', '10.0.1.0', '10.0.1.1']);
  expect(['10.0.0.253', '10.0.0.254', '10.0.1.1', '10.0.1.2'].map((address) => inRange(address, range))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

const wanted = { interface: 'eth0', range: '10.0.0.4-10.0.0.6' };
const observed = parseFloating(
  [
    '[{"dst":"10.0.0.4","dev":"eth0","protocol":"197"},{"dst":"10.0.0.4","dev":"eth1","protocol":"197"},{"dst":"10.0.0.9","dev":"eth0"}]',
    '[{"dst":"10.0.0.6","dev":"cml-ext"},{"dst":"10.0.0.8/31","dev":"cml-ext"}]',
  ].join('\n'),
);

test('what is missing is added, what is too much is removed, and what is not ours is left', () => {
  expect(planFloating('cml-ext', wanted, observed)).toEqual([
    'neigh del proxy 10.0.0.4 dev eth1',
    'route del 10.0.0.8/31 dev cml-ext proto 197',
    'route add 10.0.0.4/31 dev cml-ext proto 197',
    'neigh add proxy 10.0.0.5 dev eth0 protocol 197',
    'neigh add proxy 10.0.0.6 dev eth0 protocol 197',
  ]);
  expect(planFloating('cml-ext', undefined, observed)).toEqual([
    'neigh del proxy 10.0.0.4 dev eth0',
    'neigh del proxy 10.0.0.4 dev eth1',
    'route del 10.0.0.6/32 dev cml-ext proto 197',
    'route del 10.0.0.8/31 dev cml-ext proto 197',
  ]);
  expect(planFloating('cml-ext', undefined, parseFloating('[]\n[]'))).toEqual([]);
});

test('the host passes on what comes from the LAN to the range, and nothing more', () => {
  const external = {
    bridge: 'cml-ext',
    address: '172.24.4.1/24',
    floating: { interface: 'eth0', range: '10.0.0.4-10.0.0.4' },
  };
  expect(hostFilterChains(4, external, ['docker0']).get('cumulet-routed')).toEqual([
    '-d 10.0.0.4 -i cml-ext -o cml-ext -m physdev ! --physdev-is-bridged -j ACCEPT',
    '-i cml-ext -o cml-ext -j RETURN',
    '-o docker0 -j RETURN',
    '-s 172.24.4.0/24 -i cml-ext -j ACCEPT',
    '-s 10.0.0.4 -i cml-ext -j ACCEPT',
    '-d 10.0.0.4 -i eth0 -o cml-ext -j ACCEPT',
    '-o cml-ext -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  ]);
});
